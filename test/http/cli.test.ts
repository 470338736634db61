/** The command line against the service: every command, its exit codes, and what it says when something is wrong. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli, start } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-"));
beforeAll(async () => {
  millrace = await service();
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const run = (args: readonly string[], input?: string) => runCli(args, environment(), input ?? "");
/** One that must succeed. */
async function done(args: readonly string[], input?: string) {
  const ran = await run(args, input);
  expect(ran).toMatchObject({ code: 0, err: "" });
  return ran;
}
const json = async (args: readonly string[], input?: string) =>
  (await done([...args, "--json"], input)).lines.map((line) => JSON.parse(line));

let count = 0;
const fresh = async (...args: string[]) => {
  const name = `cli-${count++}`;
  await done(["streams", "create", name, ...args]);
  return name;
};

describe("streams", () => {
  test("are made, listed, shown and deleted", async () => {
    const name = await fresh("--partitions", "2");
    expect((await done(["streams", "list", "--prefix", name])).out).toMatch(new RegExp(`STREAM.*\n${name} +2 `));
    expect(await json(["streams", "ls", "--prefix", name])).toMatchObject([
      { stream: name, config: { partitions: 2 } },
    ]);
    expect((await done(["streams", "show", name])).out).toMatch(
      /PARTITION +HEAD +HOT FROM +TAIL +RECORDS +BYTES +ARCHIVED/,
    );
    expect(await json(["streams", "show", name])).toMatchObject([{ partitions: [{ tail: 0 }, { tail: 0 }] }]);
    expect(await run(["streams", "delete", name])).toMatchObject({ code: 2, err: expect.stringContaining("--yes") });
    expect((await done(["streams", "delete", name, "--yes"])).out).toBe(`deleted ${name}\n`);
    expect(await run(["streams", "show", name])).toMatchObject({
      code: 1,
      err: expect.stringContaining("does not exist"),
    });
  });
});

describe("append", () => {
  test("takes values, JSON or text", async () => {
    const name = await fresh();
    const ran = await done([
      "append",
      name,
      '{"total":42}',
      "plain text",
      "7",
      "--key",
      "k",
      "--type",
      "t",
      "--tag",
      "a",
    ]);
    expect(ran.lines).toEqual(["0.0  appended", "0.1  appended", "0.2  appended"]);
    const records = await json(["read", name]);
    expect(records.map(({ data }) => data)).toEqual([{ total: 42 }, "plain text", 7]);
    expect(records[0]).toMatchObject({ key: "k", type: "t", tags: ["a"] });
    await done(["append", name, "7", "--text"]);
    expect((await json(["read", name, "--from", "3"]))[0].data).toBe("7");
  });

  test("takes lines of the standard input and of a file, with a field as the key", async () => {
    const name = await fresh();
    const lines = Array.from({ length: 500 }, (_, n) => JSON.stringify({ customer: { id: n % 5 }, n })).join("\n");
    expect((await done(["append", name, "--key-field", "customer.id"], `${lines}\n\n`)).out).toBe("500 appended\n");
    const file = join(folder, "lines.ndjson");
    writeFileSync(file, `${lines}\n`);
    expect(await json(["append", name, "--file", file])).toEqual([{ appended: 500, duplicate: 0, rejected: 0 }]);
    const records = await json(["read", name]);
    expect(records).toHaveLength(1_000);
    expect(records[7]).toMatchObject({ key: "2", data: { n: 7 } });
    expect(records[507].key).toBeUndefined();
  });

  test("keeps numbers as they are written, in data and in keys", async () => {
    const name = await fresh();
    const numbers = ["12345678901234567890", "1e400", "1.10", "-0", '{"id":[9007199254740993,1.0]}'];
    await done(["append", name, "--", ...numbers]);
    const lines = ["12345678901234567890", "12345678901234567891"].map((id) => `{"order":{"id":${id}}}`);
    await done(["append", name, "--key-field", "order.id"], lines.join("\n"));
    const { text } = await millrace.call("GET", `/v1/default/streams/${name}/records`, undefined, {
      accept: "application/x-ndjson",
    });
    const data = text
      .trimEnd()
      .split("\n")
      .map((line) => /"data":(.*?)(,"key"[^{]*)?}$/.exec(line)?.[1]);
    expect(data).toEqual([...numbers, ...lines]);
    expect((await json(["read", name, "--key", "12345678901234567891"])).length).toBe(1);
    expect(await run(["append", name, "--key-field", "order"], lines[0])).toMatchObject({
      code: 2,
      err: expect.stringContaining("'order' is an object"),
    });
  });

  test("leaves out nothing of what it is given", async () => {
    const name = await fresh();
    expect((await done(["append", name, "1", "--", "-5", "--key"])).lines).toHaveLength(3);
    expect((await json(["read", name])).map(({ data }) => data)).toEqual([1, -5, "--key"]);
    for (const wrong of [
      ["1", "--file", "lines.ndjson"],
      ["1", "--key", "a", "--key", "b"],
    ]) {
      expect(await run(["append", name, ...wrong])).toMatchObject({ code: 2, out: "" });
    }
    expect(await json(["read", name])).toHaveLength(3);
  });

  test("takes whole records, and says which line is none", async () => {
    const name = await fresh();
    const twice = '{"key":"a","data":1,"id":"1"}\n{"key":"a","data":1,"id":"1"}\n';
    expect((await done(["append", name, "--records"], twice)).out).toBe("1 appended, 1 duplicate\n");
    expect(await json(["read", name])).toHaveLength(1);
    expect(await run(["append", name, "--records"], '{"key":"a"}\nnot json\n')).toMatchObject({
      code: 1,
      out: "1 appended\n",
      err: expect.stringContaining("line 2"),
    });
    expect(await run(["append", name, "--key-field", "x"], "{}\n")).toMatchObject({
      code: 2,
      err: expect.stringContaining("'x'"),
    });
    expect(await run(["append", name, "--records"], '{}\n{"colour":"red"}\n')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/line 2: .*colour/),
    });
  });
});

describe("read and tail", () => {
  test("print records for people and for programs", async () => {
    const name = await fresh();
    await done(["append", name, "1", "2", "3", "--key", "a"]);
    await done(["append", name, "4", "--key", "b"]);
    const plain = await done(["read", name, "--key", "a"]);
    expect(plain.lines).toHaveLength(3);
    expect(plain.lines[0]).toMatch(/^0\.0 +20\d\d-.*Z {2}a {2}1$/);
    // Not on a terminal: no colour.
    expect(plain.out).not.toContain("\u001b");
    expect((await done(["read", name, "--data"])).lines).toEqual(["1", "2", "3", "4"]);
    expect((await done(["read", name, "--data", "--backward", "--limit", "2"])).lines).toEqual(["4", "3"]);
    expect((await done(["tail", name, "--data", "-c", "2"])).lines).toEqual(["3", "4"]);
    expect((await done(["tail", name, "--data", "--from", "1"])).lines).toEqual(["2", "3", "4"]);
  });

  test("a bad offset is told the valid range", async () => {
    const name = await fresh();
    await done(["append", name, "1"]);
    const ran = await run(["read", name, "--from", "99"]);
    expect(ran).toMatchObject({ code: 1, out: "", err: expect.stringContaining("0 to 1") });
  });

  test("tail -f goes on with what comes, over a restart of the follower's line", async () => {
    const name = await fresh("--partitions", "2");
    await done(["append", name, "1", "2", "3"]);
    const tailing = start(["tail", name, "-f", "--data", "-c", "2"], environment());
    await expect.poll(() => tailing.said.out, { timeout: 10_000 }).toBe("2\n3\n");
    await done(["append", name, "4", "5"]);
    await expect.poll(() => tailing.said.out, { timeout: 10_000 }).toBe("2\n3\n4\n5\n");
    tailing.child.kill("SIGINT");
    await tailing.ended;
  });
});

describe("groups", () => {
  test("are made, listed, watched, moved, paused and deleted", async () => {
    const name = await fresh();
    await done(["append", name, "1", "2"]);
    await done([
      "groups",
      "create",
      name,
      "g",
      "--order",
      "none",
      "--max-deliveries",
      "3",
      "--config",
      '{"backoff":[5]}',
    ]);
    expect(await json(["groups", "list", name])).toMatchObject([
      { group: "g", config: { order: "none", maxDeliveries: 3, backoff: [5] } },
    ]);
    await expect
      .poll(async () => (await done(["groups", "status", name, "g"])).out, { timeout: 10_000 })
      .toMatch(/^g {2}lag 2 .*\nPARTITION.*\n +0 +0 +\d +2 +2 +0 +0 +0 +0\n/);
    await done(["groups", "seek", name, "g", "1", "--yes"]);
    expect((await json(["groups", "status", name, "g"]))[0].lag).toBe(1);
    expect((await done(["groups", "pause", name, "g", "--reason", "lunch"])).out).toContain("paused");
    expect((await done(["groups", "resume", name, "g"])).out).not.toContain("paused");
    await done(["groups", "delete", name, "g", "--yes"]);
    expect(await run(["groups", "status", name, "g"])).toMatchObject({ code: 1 });
  });

  test("keep the rest of a push when its url is changed", async () => {
    const name = await fresh();
    const config = '{"push":{"url":"https://example.com/a","headers":{"x-key":"abc"},"timeoutMs":9000}}';
    await done(["groups", "create", name, "g", "--config", config]);
    await done(["groups", "update", name, "g", "--push", "https://example.com/b"]);
    const url = `/v1/default/streams/${name}/groups/g`;
    expect((await millrace.call("GET", url)).json.config.push).toMatchObject({
      url: "https://example.com/b",
      headers: { "x-key": "…" },
      timeoutMs: 9000,
    });
    const dumped = (await millrace.call("GET", `/v1/default/streams/${name}/dump`)).text;
    expect(dumped).toContain('"headers":{"x-key":"abc"}');
  });

  test("status --watch goes on until it is stopped", async () => {
    const name = await fresh();
    await done(["groups", "create", name, "g"]);
    const watching = start(["groups", "status", name, "g", "--watch", "--json"], environment());
    await expect.poll(() => watching.said.out.split("\n").length, { timeout: 10_000 }).toBeGreaterThan(2);
    watching.child.kill("SIGINT");
    await watching.ended;
  });

  test("consume prints deliveries, and acknowledges them", async () => {
    const name = await fresh();
    await done(["append", name, "1", "2", "3"]);
    await done(["groups", "create", name, "g"]);
    const ran = await done(["groups", "consume", name, "g", "--max", "3", "--data", "--concurrency", "5"]);
    expect(ran.lines).toEqual(["1", "2", "3"]);
    const lag = async () => (await json(["groups", "status", name, "g"]))[0].lag;
    await expect.poll(lag, { timeout: 20_000 }).toBe(0);
  });

  test("consume gives each to a command, whose exit code decides; dead letters are listed, redriven, discarded", async () => {
    const name = await fresh();
    await done(["append", name, '{"n":1}', '{"n":2}', "--key", "a"]);
    await done(["groups", "create", name, "g", "--max-deliveries", "1", "--on-failure", "skip"]);
    const out = join(folder, "consumed");
    const script = join(folder, "work.sh");
    writeFileSync(
      script,
      `#!/bin/sh\nread data\necho "$MILLRACE_KEY $MILLRACE_OFFSET $data" >> ${out}\n[ "$MILLRACE_OFFSET" = 1 ]\n`,
    );
    chmodSync(script, 0o755);
    const working = start(["groups", "consume", name, "g", "--", script], environment());
    await expect
      .poll(async () => (await json(["groups", "status", name, "g"]))[0], { timeout: 10_000 })
      .toMatchObject({ lag: 0, deadLetters: 1 });
    working.child.kill("SIGTERM");
    expect((await working.ended).code).toBe(0);
    expect(readFileSync(out, "utf8")).toBe('a 0 {"n":1}\na 1 {"n":2}\n');
    expect(await json(["groups", "dead-letters", name, "g"])).toMatchObject([{ letter: "0.0" }]);
    expect((await done(["groups", "dead-letters", name, "g"])).out).toMatch(/0\.0 .*exit code 1/);
    expect(await run(["groups", "redrive", name, "g"])).toMatchObject({ code: 2 });
    await done(["groups", "redrive", name, "g", "0.0"]);
    expect((await done(["groups", "consume", name, "g", "--max", "1", "--data"])).lines).toEqual(['{"n":1}']);
    await done(["groups", "discard", name, "g", "--all", "--yes"]);
  });
});

test("consume --max counts what fails, and a command that is none costs no delivery", async () => {
  const name = await fresh();
  await done(["append", name, "1", "2", "3"]);
  await done(["groups", "create", name, "g", "--max-deliveries", "1", "--on-failure", "skip"]);
  expect(await run(["groups", "consume", name, "g", "--", "no-such-command"])).toMatchObject({
    code: 2,
    err: expect.stringContaining("no-such-command"),
  });
  expect(await run(["groups", "consume", name, "g", "--max", "1", "--", "false"])).toMatchObject({
    code: 0,
    err: expect.stringContaining("failed: 0.0"),
  });
  expect(await json(["groups", "status", name, "g"])).toMatchObject([{ deadLetters: 1, lag: 2 }]);
});

test("bench measures on a stream of its own, and takes it away", async () => {
  const [results] = await json(["bench", "--records", "2000"]);
  expect(results.map(({ what }: { what: string }) => what)).toHaveLength(4);
  expect(await json(["streams", "list", "--prefix", "bench-"])).toEqual([]);
});

describe("what it is told", () => {
  test("flags come before the environment, and the environment before the profile, which is for its owner only", async () => {
    const path = join(folder, "deep", "profile.json");
    const set = start(["profile", "set", "--profile", path, "--url", millrace.url, "--token", token]);
    expect((await set.ended).code).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const profiled = { MILLRACE_PROFILE: path };
    expect((await runCli(["streams", "list"], profiled)).code).toBe(0);
    const shown = JSON.parse(
      (await runCli(["profile", "show", "--json"], { ...profiled, MILLRACE_NAMESPACE: "n1" })).out,
    );
    expect(shown).toMatchObject({ url: millrace.url, namespace: "n1", token: "test…" });
    expect((await runCli(["streams", "list"], { ...profiled, MILLRACE_TOKEN: "wrong" })).code).toBe(4);
    expect((await runCli(["streams", "list", "--token", token], { ...profiled, MILLRACE_TOKEN: "wrong" })).code).toBe(
      0,
    );
    chmodSync(path, 0o644);
    expect((await runCli(["streams", "list"], profiled)).err).toContain("chmod 600");
  });

  test.each([
    [["streams", "list", "--url", "http://127.0.0.1:1"], 3, "did not answer"],
    [["streams", "list", "--token", "wrong"], 4, "token"],
    [["streams", "list", "--url", "https://millrace.invalid"], 2, "no token"],
    [["streams", "list", "--url", "ftp://x", "--token", "t"], 2, "must be http(s)://"],
    [["streams", "create", "bad name"], 1, "letters"],
    [["streams"], 2, "create, list"],
    [["shout"], 2, "there is no command"],
    [["read", "s", "--colour", "red"], 2, "Unknown"],
  ])("%j ends with %i", async (args, code, says) => {
    const env = args.includes("https://millrace.invalid") ? {} : environment();
    const ran = await runCli(args, env);
    expect(ran).toMatchObject({ code, out: "", err: expect.stringContaining(says) });
    // One error, and no stack.
    expect(ran.err).not.toMatch(/\n +at /);
  });

  test("help, version and a shell's completion", async () => {
    expect((await done(["--help"])).out).toContain("millrace forward");
    expect((await done(["groups", "consume", "--help"])).out).toContain("--concurrency");
    expect((await done(["dev", "--help"])).out).toContain("MILLRACE_S3_BUCKET");
    expect((await done(["read", "--help"])).out).toContain("snapshot");
    expect((await done(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await done(["completion"])).out).toContain("millrace");
  });
});

test("dev starts the service on this machine", async () => {
  const data = join(folder, "dev");
  const running = start(["dev", "--port", "0", "--data", data, "--token", "secret"]);
  await expect.poll(() => running.said.out, { timeout: 20_000 }).toContain("Millrace is up on");
  const url = /up on (\S+)/.exec(running.said.out)?.[1] as string;
  const env = { MILLRACE_URL: url, MILLRACE_TOKEN: "secret" };
  expect((await runCli(["streams", "create", "s"], env)).code).toBe(0);
  expect((await runCli(["append", "s", "1"], env)).out).toBe("0.0  appended\n");
  const second = await runCli(["dev", "--port", "0", "--data", data]);
  expect(second).toMatchObject({ code: 1, err: expect.stringContaining("another service has its data in") });
  running.child.kill("SIGINT");
  expect((await running.ended).code).toBe(0);
});
