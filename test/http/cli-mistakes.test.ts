/** Slips of the pen on the command line: what was meant is said, and nothing is done. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-mistakes-"));
beforeAll(async () => {
  millrace = await service();
  expect(await run("streams", "create", "orders")).toMatchObject({ code: 0, err: "" });
  expect(await run("groups", "create", "orders", "billing")).toMatchObject({ code: 0, err: "" });
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const run = (...args: string[]) => runCli(args, environment());
const given = (input: string, ...args: string[]) => runCli(args, environment(), input);
const records = async () => (await run("read", "orders", "--data")).lines;

describe("what begins like JSON and is none", () => {
  test.each(['{"total":7', "[1,2", ' {"a":}', "{total: 7}", "[INFO] started"])(
    "%s is no text unawares",
    async (text) => {
      const before = await records();
      const says = expect.stringMatching(/^millrace: not JSON: .*; mend it, or say --text\n$/);
      expect(await run("append", "orders", text)).toMatchObject({ code: 2, out: "", err: says });
      const second = await run("append", "orders", "1", text);
      expect(second).toMatchObject({ code: 2, out: "", err: expect.stringContaining("value 2: not JSON") });
      const line = await given(`${text}\n`, "append", "orders");
      expect(line).toMatchObject({
        code: 2,
        out: "",
        err: expect.stringMatching(/line 1.*not JSON.*--text.*nothing was/),
      });
      expect(await records()).toEqual(before);
      expect(await run("append", "orders", text, "--text")).toMatchObject({ code: 0, err: "" });
      expect(await records()).toEqual([...before, text]);
    },
  );

  test("what does not is a text, as it was", async () => {
    const before = await records();
    expect(await run("append", "orders", "hello", "12:30", '"', "it is {that}")).toMatchObject({ code: 0, err: "" });
    expect(await records()).toEqual([...before, "hello", "12:30", '"', "it is {that}"]);
  });
});

describe("a command that there is not", () => {
  test.each([
    [["tial", "orders"], "there is no command 'tial'; did you mean tail?"],
    [["raed", "orders"], "did you mean read?"],
    [["group", "list", "orders"], "did you mean groups?"],
    [["publish", "orders", "1"], "did you mean append?"],
    [["produce", "orders", "1"], "did you mean append?"],
    [["consume", "orders", "billing"], "did you mean groups consume <stream> <group>?"],
    [["list"], "did you mean streams list?"],
    [["serve"], "did you mean dev?"],
    [["groups", "crate", "orders", "g"], "there is no command 'crate'; did you mean create?"],
    [["groups", "publish", "orders"], "there is no command 'publish'\n"],
    [["streams", "lst"], "did you mean list?"],
    [["quux"], "there is no command 'quux'\n"],
    [["read", "orders", "7"], "Unknown argument: 7"],
    [["read", "orders", "--form", "1"], "Unknown argument: form"],
  ])("%j", async (args, says) => {
    const { code, out, err } = await run(...args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(says);
    expect(err).toContain("See millrace --help");
  });
});

describe("a URL without a scheme", () => {
  test.each([
    ["localhost:8787", "say http://localhost:8787"],
    ["127.0.0.1:8787", "say http://127.0.0.1:8787"],
    ["millrace.example.com", "say https://millrace.example.com"],
  ])("%s is told it, wherever it comes from", async (url, says) => {
    const refused = { code: 2, out: "", err: expect.stringContaining(says) };
    for (const command of [["streams", "list"], ["doctor"], ["profile", "show"]])
      expect(await run(...command, "--url", url), command.join()).toMatchObject(refused);
    expect(await runCli(["streams", "list"], { ...environment(), MILLRACE_URL: url })).toMatchObject(refused);
    const profile = ["--profile", join(folder, "profile.json")];
    for (const command of [
      ["context", "add", "prod"],
      ["profile", "set"],
    ])
      expect(await run(...command, "--url", url, "--token", "t", ...profile)).toMatchObject(refused);
  });
});

test("a group that is not there is made on its stream", async () => {
  const said = expect.stringContaining("create it with: millrace groups create orders biling");
  for (const command of ["show", "status", "pause"])
    expect(await run("groups", command, "orders", "biling"), command).toMatchObject({ code: 1, err: said });
});

test.each(["yesterday", "2026-13-01", "1x", "now"])("a seek to %s is refused before it is asked about", async (to) => {
  const args = ["groups", "seek", "orders", "billing", to];
  const refused = { code: 2, out: "", err: expect.not.stringContaining("--yes") };
  expect(await run(...args)).toMatchObject(refused);
  expect((await run(...args)).err).toMatch(
    /^millrace: to: '.*' (is no offset, earliest, .*time|must be an RFC 3339 time)/,
  );
});

test.each(["earliest", "latest", "1h", "2026-11-28", "0"])("a seek to %s is asked about", async (to) => {
  const args = ["groups", "seek", "orders", "billing", to];
  expect(await run(...args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("add --yes") });
});

test("the list of groups and what is shown of one say the same of deliveries", async () => {
  for (const [policy, listed, shown] of [
    ["block", "any", "maxDeliveries  5 (any number, as it blocks)\n"],
    ["park", "5", "maxDeliveries  5\n"],
  ]) {
    await run("groups", "create", "orders", policy, "--on-failure", policy, "--max-deliveries", "5");
    expect((await run("groups", "list", "orders")).out).toMatch(new RegExp(`\n${policy} +key +${policy} +${listed} `));
    expect((await run("groups", "show", "orders", policy)).out).toContain(shown);
  }
});

test.each([
  ["gz", gzipSync("a line\n")],
  // Whatever it is called.
  ["log", gzipSync("")],
  ["zst", Buffer.from("28b52ffd0400", "hex")],
])("a compressed file that is named to forward is not taken for lines: .%s", async (name, bytes) => {
  const path = join(folder, `packed.${name}`);
  writeFileSync(path, bytes);
  const before = await records();
  const args = ["forward", "orders", path, "--once", "--state", join(folder, "packed.state")];
  expect(await run(...args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(`${path} is compressed`) });
  expect(await records()).toEqual(before);
});

describe("what an option says, --config does not say otherwise:", () => {
  const push = "https://example.com/hook";
  test.each([
    [["streams", "create", "twice", "--partitions", "3"], { partitions: 2 }, "partitions"],
    [["streams", "create", "twice", "--retention-age", "7d"], { retentionAgeMs: null }, "retentionAgeMs"],
    [["streams", "update", "orders", "--retention-bytes", "1GiB"], { retentionBytes: 1_024 }, "retentionBytes"],
    [["groups", "create", "orders", "twice", "--max-deliveries", "7"], { maxDeliveries: 3 }, "maxDeliveries"],
    [["groups", "create", "orders", "twice", "--ack-timeout", "30s"], { ackTimeoutMs: 1 }, "ackTimeoutMs"],
    [["groups", "update", "orders", "billing", "--backoff", "1s"], { backoff: [2_000] }, "backoff"],
    [["groups", "create", "orders", "twice", "--push", push], { push: { url: push } }, "push.url"],
    [["groups", "create", "orders", "twice", "--secret", "whsec_AA"], { push: { secrets: [] } }, "push.secrets"],
  ])("%j", async (args, config, names) => {
    const { code, out, err } = await run(...args, "--config", JSON.stringify(config));
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toBe(`millrace: --config names ${names}, and so does an option of its own: say it once\n`);
  });

  test("and says the rest of it", async () => {
    const made = await run("streams", "create", "rest", "--partitions", "3", "--config", '{"compact":true}', "--json");
    expect(JSON.parse(made.out).config).toMatchObject({ partitions: 3, compact: true });
    const group = ["groups", "create", "rest", "rest", "--push", push, "--config", '{"push":{"headers":{"x":"1"}}}'];
    const { code, out } = await run(...group, "--json");
    expect({ code, push: JSON.parse(out || "{}").config?.push }).toMatchObject({ code: 0, push: { url: push } });
  });
});
