/** What an operator does from the command line: streams made and changed apart, questions, namespaces, contexts, report, doctor. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
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
const run = (...args: string[]) => runCli(args, environment());
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
    [["namespaces", "rm", "asked-too"], "the namespace 'asked-too' will be deleted for good"],
  ])("%j wants a yes", async (args, says) => {
    await done("streams", "create", "asked", "--partitions", "2", "--if-not-exists");
    await done("namespaces", "create", "asked-too", "--if-not-exists");
    await refused(2, `${says}: add --yes`, ...args);
  });

  test("and every command takes it", async () => {
    for (const args of [["streams", "ls"], ["namespaces", "ls"], ["report"]]) await done(...args, "--yes");
  });
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

test("namespaces are made, listed and deleted; one with streams only by force", async () => {
  await refused(1, "create it with: millrace namespaces create shop", "streams", "create", "orders", "-n", "shop");
  expect(await done("namespaces", "create", "shop")).toBe("created shop\n");
  await refused(1, "the namespace 'shop' exists", "namespaces", "create", "shop");
  expect(await done("namespaces", "create", "shop", "--if-not-exists")).toBe("there is shop\n");
  await done("streams", "create", "orders", "-n", "shop");
  expect(await done("namespaces", "ls")).toMatch(
    /^NAMESPACE +CREATED\n[\s\S]*^default +always there\n[\s\S]*^shop +20/m,
  );
  await refused(1, "has 1 stream; delete it first, or all of it with --force", "namespaces", "rm", "shop", "--yes");
  expect(await done("namespaces", "rm", "shop", "--force", "--yes")).toBe("deleted shop\n");
  await refused(1, "does not exist", "namespaces", "rm", "shop", "--yes");
  await refused(1, "always exists", "namespaces", "rm", "default", "--yes");
});

test("report shows every group and stream, what is worst first", async () => {
  await done("namespaces", "create", "seen");
  const at = ["-n", "seen"];
  for (const name of ["busy", "calm"]) await done("streams", "create", name, ...at);
  await done("append", "busy", "1", "2", "3", ...at);
  for (const group of ["fine", "halted"]) await done("groups", "create", "busy", group, ...at);
  await done("groups", "pause", "busy", "halted", "--reason", "lunch", ...at);
  await done("groups", "create", "calm", "idle", ...at);
  const ran = JSON.parse(await done("report", "--json", ...at));
  expect(ran.groups.map(({ group }: { group: string }) => group)).toEqual(["halted", "fine", "idle"]);
  expect(ran).toMatchObject({
    groups: [{ lag: 3, paused: true, pausedBecause: "lunch" }, { lag: 3, deadLetters: 0 }, { lag: 0 }],
    streams: [
      { stream: "busy", partitions: 1, records: 3 },
      { stream: "calm", records: 0 },
    ],
    missed: [],
  });
  expect(await done("report", ...at)).toMatch(
    /^STREAM +GROUP +LAG .*\nbusy +halted +3 .*paused: lunch\n[\s\S]*\n\nSTREAM +PARTITIONS +RECORDS .*\nbusy +1 +3 /,
  );
});

describe("doctor", () => {
  const checks = async (args: string[], env: Record<string, string> = environment()) => {
    const ran = await runCli(["doctor", "--json", ...args], env);
    const found = ran.lines.map((line) => JSON.parse(line));
    return { code: ran.code, found, wrong: found.find(({ is }) => is === "wrong") };
  };

  test("finds nothing wrong where all is well", async () => {
    const { code, found, wrong } = await checks([]);
    expect({ code, wrong }).toEqual({ code: 0, wrong: undefined });
    expect(found.map(({ check }) => check)).toEqual([
      "settings",
      "connection",
      "clock",
      "version",
      "token",
      "namespace",
      "archive",
    ]);
    expect(found.at(-1)).toMatchObject({ is: "unknown", says: expect.stringContaining("no archive") });
    expect((await run("doctor")).out).toMatch(/^ok {5}settings {3}http/);
    expect((await millrace.call("GET", "/v1/default/streams?prefix=doctor")).json.streams).toEqual([]);
  });

  test.each([
    [["--url", "http://127.0.0.1:1"], "connection", "does not answer"],
    [["--token", "nonsense"], "token", "not valid"],
    [["-n", "nowhere"], "namespace", "does not exist"],
  ])("%j: says what is wrong with the %s, and what to do", async (args, check, says) => {
    const { code, wrong } = await checks(args);
    expect({ code, ...wrong }).toMatchObject({ code: 1, check, says: expect.stringContaining(says) });
    expect(wrong.todo).toMatch(/\w/);
  });

  test("knows a ticket", async () => {
    await done("streams", "create", "ticketed", "--if-not-exists");
    const { json } = await millrace.call("POST", "/v1/default/streams/ticketed/tickets", { rights: ["read"] });
    const { code, found } = await checks([], { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: json.ticket });
    expect(code).toBe(0);
    expect(found.find(({ check }) => check === "token").says).toContain(
      "a ticket for default/ticketed, to read, until",
    );
  });
});

test("contexts are added, chosen, listed and removed", async () => {
  const profile = join(folder, "contexts", "profile.json");
  const context = (...args: string[]) => runCli(args, { MILLRACE_PROFILE: profile });
  expect(await context("streams", "ls")).toMatchObject({ code: 2, err: expect.stringContaining("there is no file") });
  expect((await context("context", "ls")).out).toContain("no contexts; add one");
  expect((await context("context", "add", "here", "--url", millrace.url, "--token", token)).out).toBe("added here\n");
  expect((await context("context", "add", "away", "--url", "http://127.0.0.1:1", "--token", "t")).out).toBe(
    "added away; let it hold with: millrace context use away\n",
  );
  expect(await context("context", "add", "here", "--url", "http://x")).toMatchObject({ code: 2 });
  expect(await context("streams", "ls")).toMatchObject({ code: 0, err: "" });
  expect((await context("streams", "ls", "--context", "away")).code).toBe(3);
  expect((await context("context", "use", "away")).out).toBe("away holds from now on\n");
  expect((await context("streams", "ls")).code).toBe(3);
  expect((await context("context", "ls")).out).toMatch(
    /NAME +URL.*\n +here .*\n\* +away +http:\/\/127.0.0.1:1 +default +t…/,
  );
  expect(JSON.parse((await context("profile", "show", "--json")).out)).toMatchObject({ context: "away", profile });
  expect((await context("context", "rm", "away")).code).toBe(2);
  expect((await context("context", "rm", "away", "--yes")).out).toBe("removed away; no context holds now\n");
  expect((await context("context", "use", "away")).code).toBe(2);
  // No file is named that is not there.
  expect(JSON.parse((await runCli(["profile", "show", "--json"])).out)).not.toHaveProperty("profile");
});

test("a shell is offered names where a name belongs, and nothing that takes long", async () => {
  await done("streams", "create", "shelled-1", "--if-not-exists");
  await done("streams", "create", "shelled-2", "--if-not-exists");
  await done("groups", "create", "shelled-1", "billing");
  const offered = async (...words: string[]) => (await run("--get-yargs-completions", "millrace", ...words)).lines;
  expect(await offered("streams", "show", "shelled")).toEqual(["shelled-1", "shelled-2"]);
  expect(await offered("groups", "status", "shelled-1", "")).toEqual(["billing"]);
  expect(await offered("streams", "ls", "-n", "def")).toEqual(["default"]);
  expect(await offered("streams", "sh")).toContain("show");
  const options = await offered("read", "shelled-1", "--");
  expect(options).toContain("--limit");
  expect(options.filter((word) => /^--.$/.test(word))).toEqual([]);
  expect(await done("completion", "fish")).toContain("complete -f -c millrace");
  expect(await done("completion", "zsh")).toContain("#compdef millrace");
  const away = await run("--get-yargs-completions", "millrace", "--url", "http://10.255.255.1", "read", "");
  expect(away.code).toBe(0);
});

test("a dump of what is not there leaves no file, and says so plainly", async () => {
  for (const what of ["default/nosuch", "nowhere", "nowhere/nosuch"]) {
    const ran = await run("dump", what, "-o", join(folder, "none.mrdp"));
    expect(ran.code).toBeGreaterThan(0);
    expect(ran.err).toMatch(/^millrace: (the stream 'nosuch'|the namespace 'nowhere'|there is no namespace 'nowhere')/);
    expect(existsSync(join(folder, "none.mrdp"))).toBe(false);
  }
});
