/** What an operator does from the command line: streams made and changed apart, and questions before what is lost. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { start } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-operator-"));
beforeAll(async () => {
  millrace = await service();
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const run = (...args: string[]) => start(args, environment()).ended;
async function done(...args: string[]): Promise<string> {
  const ran = await run(...args);
  expect(ran, `${args.join(" ")}: ${ran.err}`).toMatchObject({ code: 0, err: "" });
  return ran.out;
}
const refused = async (code: number, says: string | RegExp, ...args: string[]) =>
  expect(await run(...args), args.join(" ")).toMatchObject({
    code,
    out: "",
    err: typeof says === "string" ? expect.stringContaining(says) : expect.stringMatching(says),
  });
const configOf = async (name: string) => (await millrace.call("GET", `/v1/default/streams/${name}`)).json.config;
const tailOf = async (name: string, partition: number) =>
  (await millrace.call("GET", `/v1/default/streams/${name}/partitions/${partition}`)).json;

describe("a stream", () => {
  test("is made by create, which leaves one that is there as it is", async () => {
    expect(await done("streams", "create", "made", "--partitions", "2", "--retention-age", "7d")).toBe(
      "created made\n  partitions  2\n  retentionAgeMs  604800000 (7d)\n",
    );
    await refused(1, "exists; change it with: millrace streams update made", "streams", "create", "made", "--compact");
    expect(await done("streams", "create", "made", "--compact", "--if-not-exists")).toContain("left as it is");
    expect(await configOf("made")).toMatchObject({ partitions: 2, compact: false });
  });

  test("is changed by update, which makes none, and says what changed", async () => {
    await done("streams", "create", "changed", "--retention-bytes", "10GiB");
    await refused(
      1,
      "create it with: millrace streams create mistyped",
      "streams",
      "update",
      "mistyped",
      "--ttl",
      "1d",
    );
    expect((await millrace.call("GET", "/v1/default/streams/mistyped")).status).toBe(404);
    expect(await done("streams", "update", "changed", "--retention-bytes", "1GiB", "--ttl-ms", "90d")).toBe(
      [
        "updated changed",
        "  retentionBytes  10737418240 (10.0 GiB) -> 1073741824 (1.00 GiB)",
        "  ttlMs  none -> 7776000000 (90d)",
        "",
      ].join("\n"),
    );
    expect(await done("streams", "update", "changed", "--retention-bytes", "1GiB")).toBe("changed is so already\n");
  });

  test("is not changed where records would be lost, before somebody has said yes", async () => {
    await done("streams", "create", "losing", "--deduplication-window", "0s");
    for (let at = 0; at < 30; at++)
      await millrace.call("POST", "/v1/default/streams/losing/records", { records: [{ data: at }] });
    const narrow = ["streams", "update", "losing", "--retention-records", "10"];
    await refused(2, /^millrace: 2\d records of 'losing' will be dropped, for good: add --yes\n$/, ...narrow);
    await refused(2, "only the latest record", "streams", "update", "losing", "--compact");
    expect(await configOf("losing")).toMatchObject({ retentionRecords: null, compact: false });
    expect(await done(...narrow, "--yes")).toContain("  retentionRecords  none -> 10\n");
  });

  test("that holds more than its bounds says why", async () => {
    await done("streams", "create", "holding", "--retention-records", "5", "--deduplication-window", "1h");
    for (let at = 0; at < 20; at++)
      await millrace.call("POST", "/v1/default/streams/holding/records", { records: [{ data: at }] });
    expect(await done("streams", "show", "holding")).toMatch(
      /partition 0 holds 20 records, and retentionRecords is 5: until .* ids may come again \(deduplicationWindowMs is 1h\)\n$/,
    );
  });

  test.each([
    [["--retention-age", "7"], "--retention-age: '7' is not a duration such as 7d"],
    [["--retention-age-ms", "1y"], "--retention-age-ms: '1y' is not a duration"],
    [["--retention-age", "7d", "--retention-age-ms", "7"], "and not both"],
    [["--retention-bytes", "10G"], "--retention-bytes: '10G' is not a size"],
    [["--ttl", "1d", "--ttl", "2d"], "--ttl is one, and was given twice"],
  ])("is not made with %j", (args, says) => refused(2, says, "streams", "create", "never", ...args));
});

describe("what is lost for good", () => {
  test.each([
    [["streams", "rm", "asked"], "'asked' and all its records will be deleted for good"],
    [["streams", "trim", "asked", "1h"], "in all 2 partitions of 'asked' will be gone for good"],
    [["streams", "erase", "asked", "--key", "k"], "every record of the key 'k' in 'asked' will be forgotten for good"],
    [
      ["streams", "repair", "asked", "--mode", "isolate"],
      "what cannot be read in all 2 partitions of 'asked' will be lost for good",
    ],
  ])("%j wants a yes", async (args, says) => {
    await done("streams", "create", "asked", "--partitions", "2", "--if-not-exists");
    await refused(2, `${says}: add --yes`, ...args);
  });

  test("and every command takes it", () => done("streams", "ls", "--yes"));
});

test("trim takes a time for all partitions, an offset for one", async () => {
  await done("streams", "create", "trimmed", "--partitions", "2", "--deduplication-window", "0s");
  for (let at = 0; at < 12; at++) await done("append", "trimmed", String(at), "--key", `k${at}`);
  const tails = [await tailOf("trimmed", 0), await tailOf("trimmed", 1)].map(({ tail }) => tail);
  expect(Math.min(...tails)).toBeGreaterThan(0);
  await refused(
    2,
    "'trimmed' has 2 partitions, each with offsets of its own",
    "streams",
    "trim",
    "trimmed",
    "1",
    "--yes",
  );
  expect(await done("streams", "trim", "trimmed", "1", "--partition", "1", "--yes")).toBe(
    "partition 1 begins at offset 1 now\n",
  );
  await refused(2, "'soon' is not an offset, nor a time", "streams", "trim", "trimmed", "soon", "--yes");
  expect(await done("streams", "trim", "trimmed", "2099-01-01", "--yes")).toBe(
    `partition 0 begins at offset ${tails[0]} now\npartition 1 begins at offset ${tails[1]} now\n`,
  );
  const asked = ["streams", "repair", "trimmed", "--mode", "truncate", "--from", "0", "--yes"];
  await refused(2, "say which with --partition", ...asked);
});

test("a dump of what is not there leaves no file, and says so plainly", async () => {
  for (const what of ["default/nosuch", "nowhere", "nowhere/nosuch"]) {
    const ran = await run("dump", what, "-o", join(folder, "none.mrdp"));
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toMatch(/^millrace: (the stream 'nosuch'|the namespace 'nowhere'|there is no namespace 'nowhere')/);
    expect(existsSync(join(folder, "none.mrdp"))).toBe(false);
  }
});
