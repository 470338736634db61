/** Records through the command line, in and out, and into child processes: bytes stay bytes, and nothing is lost unsaid. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli, start } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-records-"));
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const begin = (...args: string[]) => start(args, environment());
const run = (args: readonly string[], input = "") => runCli(args, environment(), input);
async function done(args: readonly string[], input?: string) {
  const ran = await run(args, input);
  expect(ran).toMatchObject({ code: 0, err: "" });
  return ran;
}

let count = 0;
async function fresh(...args: string[]) {
  const name = `records-${count++}`;
  await done(["streams", "create", name, ...args]);
  return name;
}
/** What lies there, as its bytes. */
const stored = async (name: string) => {
  const accept = { accept: "application/x-ndjson" };
  const { text } = await millrace.call("GET", `/v1/default/streams/${name}/records`, undefined, accept);
  return text.split("\n").slice(0, -1);
};
const dataOf = (line: string) => line.slice(line.indexOf('"data":') + 7, -1);

function script(name: string, text: string) {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

const odd = [
  "9007199254740993",
  "1e400",
  "-0",
  "1.0",
  '{"2":1,"1":1.10,"2":[9007199254740993]}',
  '"\\ud800 and \\u0041"',
  "null",
  `${"[".repeat(100_000)}1.0${"]".repeat(100_000)}`,
];

describe("bytes stay bytes", () => {
  test("from a file, through read --json and import, and append --records, to the copies", async () => {
    const [name, copy, again] = [await fresh(), await fresh(), await fresh()];
    expect((await done(["append", name], odd.join("\n"))).out).toBe(`${odd.length} appended\n`);
    expect((await stored(name)).map(dataOf)).toEqual(odd);
    const { out } = await done(["read", name, "--json"]);
    expect(out.trimEnd().split("\n")).toEqual(await stored(name));
    await done(["import", copy, "--records", "--producer", "copy"], out);
    expect((await stored(copy)).map(dataOf)).toEqual(odd);
    await done(["append", again, "--records"], out);
    expect((await stored(again)).map(dataOf)).toEqual(odd);
  });

  test("from the arguments, to read, tail, tail -f and members", async () => {
    const name = await fresh();
    const values = odd.slice(0, -1);
    await done(["append", name, "--key", "k", "--", ...values]);
    expect((await stored(name)).map(dataOf)).toEqual(values);
    const data = (text: string) => text.trimEnd().split("\n").map(dataOf);
    expect(data((await done(["tail", name, "--json"])).out)).toEqual(values);
    expect((await done(["read", name, "-f", "%k %j\\n"])).lines).toEqual(values.map((one) => `k ${one}`));
    const following = begin("tail", name, "-f", "--json", "--from", "earliest");
    await expect.poll(() => data(following.said.out), { timeout: 10_000 }).toEqual(values);
    following.child.kill("SIGKILL");
    await done(["groups", "create", name, "g"]);
    const all = String(values.length);
    expect(data((await done(["groups", "consume", name, "g", "--max", all, "--json"])).out)).toEqual(values);
    await done(["groups", "create", name, "h"]);
    expect((await done(["groups", "consume", name, "h", "--max", all, "--", "cat"])).lines).toEqual(values);
  });

  test("white space around JSON too, in everything that prints it, and in the copies", async () => {
    const [name, copy, again] = [await fresh(), await fresh(), await fresh()];
    const wide = [" 5 ", "\t[1]\t", ' "a"  ', '  {"a": 1 }'];
    await done(["import", name, "--producer", name, "--format", "ndjson"], wide.join("\n"));
    expect((await stored(name)).map(dataOf)).toEqual(wide);
    const { out } = await done(["read", name, "--json"]);
    expect(out.trimEnd().split("\n")).toEqual(await stored(name));
    expect((await done(["read", name, "--format", "%j\n"])).out).toBe(`${wide.join("\n")}\n`);
    for (const form of [["--data"], ["--format", "%v\n"]])
      expect((await done(["read", name, ...form])).out).toBe(' 5 \n\t[1]\t\na\n  {"a": 1 }\n');
    await done(["import", copy, "--records", "--producer", "copy"], out);
    await done(["append", again, "--records"], out);
    for (const one of [copy, again]) expect((await stored(one)).map(dataOf)).toEqual(wide);
    await done(["groups", "create", name, "g"]);
    const given = await done(["groups", "consume", name, "g", "--max", "4", "--json"]);
    expect(given.out.trimEnd().split("\n").map(dataOf)).toEqual(wide);
  });

  test("and --to ends before an offset or a time, --id makes a repeat a duplicate", async () => {
    const name = await fresh();
    expect((await done(["append", name, "0", "--id", "a"])).out).toBe("0.0  appended\n");
    expect((await done(["append", name, "0", "--id", "a"])).out).toBe("0.0  duplicate\n");
    expect(await run(["append", name, "1", "2", "--id", "a"])).toMatchObject({ code: 2 });
    await done(["append", name, "1", "2", "3"]);
    expect((await done(["read", name, "--data", "--from", "1", "--to", "3"])).lines).toEqual(["1", "2"]);
    expect((await done(["read", name, "--data", "--to", "1h"])).lines).toEqual([]);
    expect((await done(["read", name, "--data", "--from", "1h"])).lines).toEqual(["0", "1", "2", "3"]);
    expect(await run(["read", name, "--to", "tomorrow"])).toMatchObject({ code: 2, out: "" });
    const wide = await fresh("--partitions", "2");
    expect(await run(["read", wide, "--to", "1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("--partition"),
    });
  });
});

describe("append of lines", () => {
  test("with a bad one appends what is before it, says so, and ends with 1", async () => {
    const name = await fresh();
    const lines = Array.from({ length: 20_000 }, (_, a) => JSON.stringify({ a, p: "x".repeat(60) }));
    const ran = await run(["append", name, "--key-field", "a"], [...lines, "bad", "{}"].join("\n"));
    expect(ran).toMatchObject({ code: 1, out: "20000 appended\n" });
    expect(ran.err).toBe("millrace: line 20001: there is no field 'a'; nothing from line 20001 on was appended\n");
    const status = await millrace.call("GET", `/v1/default/streams/${name}/partitions/0`);
    expect(status.json.tail).toBe(20_000);
    expect(await run(["append", name, "--key-field", "a"], '\n{"b":1}\n{"a":1}\n')).toMatchObject({
      code: 2,
      out: "",
      err: "millrace: line 2: there is no field 'a'; nothing was appended\n",
    });
  });

  test("that are not UTF-8, or have no end, are refused by their number", async () => {
    const name = await fresh();
    const path = join(folder, "latin1");
    writeFileSync(path, Buffer.from("one\ncaf\u00e9\n", "latin1"));
    expect(await run(["append", name, "--file", path])).toMatchObject({
      code: 1,
      out: "1 appended\n",
      err: expect.stringMatching(/line 2: is not UTF-8.*nothing from line 2 on/),
    });
    writeFileSync(path, `two\n${"x".repeat(9_000_000)}`);
    expect(await run(["append", name, "--file", path])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/line 2: has more than 8388608 bytes/),
    });
    expect((await stored(name)).map(dataOf)).toEqual(['"one"', '"two"']);
  });

  test("keeps to the batches that a stream takes", async () => {
    const name = await fresh("--batch-bytes-max", "65536", "--record-bytes-max", "10000");
    const lines = Array.from({ length: 2_000 }, (_, n) => String(n).padStart(100, "x")).join("\n");
    expect((await done(["append", name], lines)).out).toBe("2000 appended\n");
  });

  test("says where it stopped when the stream goes away", async () => {
    const name = await fresh();
    const appending = start(["append", name], environment(), null);
    appending.child.stdin?.write("1\n");
    await expect.poll(() => stored(name), { timeout: 10_000 }).toHaveLength(1);
    await done(["streams", "delete", name, "--yes"]);
    appending.child.stdin?.end("2\n3\n");
    expect(await appending.ended).toMatchObject({
      code: 1,
      out: "1 appended\n",
      err: expect.stringMatching(/^nothing from line 2 on was appended\nmillrace: .*does not exist/),
    });
  });
});

describe("consume -- command", () => {
  const grouped = async (...values: string[]) => {
    const name = await fresh();
    await done(["append", name, "--key", "k", "--", ...values]);
    await done(["groups", "create", name, "g", "--max-deliveries", "2", "--on-failure", "skip", "--backoff", "50ms"]);
    return name;
  };
  const status = async (name: string) =>
    (await millrace.call("GET", `/v1/default/streams/${name}/groups/g/status`)).json;

  test("ends with 2 where the command cannot be started, and takes nothing", async () => {
    const name = await grouped("1", "2");
    for (const command of [script("bad", "#!/no/such/shell\n"), script("crlf", "#!/bin/sh\r\n"), "./no-such", folder]) {
      const ran = await run(["groups", "consume", name, "g", "--", command]);
      expect(ran, command).toMatchObject({ code: 2, out: "", err: expect.stringMatching(/there|folder/) });
    }
    expect(await status(name)).toMatchObject({ lag: 2, deadLetters: 0, redeliveries: 0 });
    // One that is gone when its first record has come.
    const gone = script("gone", `#!/bin/sh\nrm "$0"\n`);
    const ran = await run(["groups", "consume", name, "g", "--", gone]);
    expect(ran).toMatchObject({
      code: 2,
      err: expect.stringMatching(/^given back: 0\.1, and no attempt counted: .*could not be started/),
    });
    expect(await status(name)).toMatchObject({ lag: 1, deadLetters: 0 });
    const again = await done(["groups", "consume", name, "g", "--max", "1", "--json"]);
    expect(JSON.parse(again.out)).toMatchObject({ offset: 1, attempt: 1 });
  });

  test("tells each failure, and gives a record whole to who asks for it", async () => {
    const name = await grouped("1", '{"n":1.0}');
    const out = join(folder, "whole");
    const whole = script("whole.sh", `#!/bin/sh\ncat >> ${out}\n[ "$MILLRACE_OFFSET" = 1 ] || exit 3\n`);
    const ran = await run(["groups", "consume", name, "g", "--stdin", "record", "--max", "3", "--", whole]);
    expect(ran).toMatchObject({ code: 0, out: "" });
    const failed = (attempt: number) => `failed: 0.0  key "k"  attempt ${attempt}: ${whole} ended with exit code 3\n`;
    expect(ran.err).toBe(failed(1) + failed(2));
    const lines = readFileSync(out, "utf8").trimEnd().split("\n");
    expect(lines.map(dataOf)).toEqual(["1", "1", '{"n":1.0}']);
    expect(JSON.parse(lines[1])).toMatchObject({ key: "k", offset: 0, attempt: 2, receipt: expect.any(String) });
    const { out: letter } = await done(["groups", "dead-letters", name, "g", "0.0"]);
    expect(letter).toMatch(
      /^0\.0 {2}died .*2 attempts: .*exit code 3\n[\s\S]* {2}data {2}1\n {2}attempt 1 .*\n {2}attempt 2 /,
    );
    expect(await run(["groups", "dead-letters", name, "g", "0.1"])).toMatchObject({ code: 1 });
    const redriven = await done(["groups", "redrive", name, "g", "0.0", "--data", '{"total":9007199254740993}']);
    expect(redriven.out).toBe("1 dead letter delivered again\n");
    const cat = await done(["groups", "consume", name, "g", "--max", "1", "--", "cat"]);
    expect(cat.out).toBe('{"total":9007199254740993}\n');
  });

  test("a key that no environment can hold is that record's failure, and of none with --stdin record", async () => {
    const name = await fresh();
    await done(["append", name, "--records"], '{"key":"a\\u0000b","data":1}\n{"key":"c","data":2}\n');
    await done(["groups", "create", name, "g", "--max-deliveries", "1", "--on-failure", "skip"]);
    const ran = await run(["groups", "consume", name, "g", "--max", "2", "--", "cat"]);
    expect(ran).toMatchObject({ code: 0, out: "2\n", err: expect.stringContaining("MILLRACE_KEY cannot have a NUL") });
    await done(["groups", "redrive", name, "g", "--all"]);
    const whole = await done(["groups", "consume", name, "g", "--max", "1", "--stdin", "record", "--", "cat"]);
    expect(JSON.parse(whole.out)).toMatchObject({ key: "a\0b", data: 1 });
  });

  test("a signal waits for what is at work, and says so; a second one ends that too", async () => {
    const name = await grouped("1", "2");
    const out = join(folder, "slow");
    const slow = script("slow.sh", `#!/bin/sh\necho begun >> ${out}\nsleep "$1"\necho done >> ${out}\n`);
    const said = () => {
      try {
        return readFileSync(out, "utf8");
      } catch {
        return "";
      }
    };
    const first = start(["groups", "consume", name, "g", "--", slow, "1"], environment(), "", true);
    await expect.poll(said, { timeout: 10_000 }).toBe("begun\n");
    // As a terminal does it: to all that it has started.
    process.kill(-(first.child.pid as number), "SIGINT");
    expect(await first.ended).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^stopping: waits for 1 record at work \(0\.0\)/),
    });
    expect(said()).toBe("begun\ndone\n");
    await expect.poll(async () => (await status(name)).lag).toBe(1);
    const second = begin("groups", "consume", name, "g", "--", slow, "30");
    await expect.poll(said, { timeout: 10_000 }).toBe("begun\ndone\nbegun\n");
    second.child.kill("SIGINT");
    await expect.poll(() => second.said.err).toContain("stopping");
    second.child.kill("SIGINT");
    expect((await second.ended).code).toBe(130);
    // With nothing at work it ends soon, whatever is asked of the service.
    await done(["groups", "seek", name, "g", "latest", "--yes"]);
    const idle = begin("groups", "consume", name, "g", "--", "cat");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const before = Date.now();
    idle.child.kill("SIGINT");
    expect(await idle.ended).toMatchObject({ code: 0, err: "" });
    expect(Date.now() - before).toBeLessThan(4_000);
  });

  test.each([
    [
      "while a command is at work",
      600,
      "4",
      /^lease lost: 0\.0 {2}key "a" {2}attempt 1: the work goes on, and counts if/m,
    ],
    ["and a command is done too late", 30_000, "2", /^lease lost: 0\.0 {2}key "a" {2}attempt 1: done, but too late/m],
  ])("says so where a lease was lost %s", async (_, ackTimeoutMs, seconds, line) => {
    const name = await fresh();
    await millrace.call("PUT", `/v1/default/streams/${name}/groups/g`, { ackTimeoutMs });
    await done(["append", name, "1", "--key", "a"]);
    const at = join(folder, `${name}-begun`);
    const slow = script("lost.sh", `#!/bin/sh\necho begun >> "$1"\nsleep "$2"\n`);
    const consuming = begin("groups", "consume", name, "g", "--concurrency", "2", "--", slow, at, seconds);
    const begun = () => {
      try {
        return readFileSync(at, "utf8");
      } catch {
        return "";
      }
    };
    await expect.poll(begun, { timeout: 20_000 }).toBe("begun\n");
    // Somebody moves the group: another gets the record, which is us again.
    await millrace.call("POST", `/v1/default/streams/${name}/groups/g/seek`, { to: "earliest" });
    await expect.poll(() => consuming.said.err, { timeout: 20_000 }).toMatch(line);
    consuming.child.kill("SIGKILL");
    await consuming.ended;
  });
});

describe("groups", () => {
  test("are made once, shown, changed with what changed, and lost only when that is meant", async () => {
    const name = await fresh();
    const create = ["groups", "create", name, "g", "--ack-timeout", "90s", "--backoff", "1s,1m"];
    expect((await done(create)).out).toMatch(/\ng +key +block +any +1s, 1m +- *\n/);
    expect(await run(create)).toMatchObject({ code: 1, err: expect.stringContaining("exists") });
    await done([...create, "--if-not-exists"]);
    expect(await run(["groups", "update", name, "other", "--max-in-flight", "1"])).toMatchObject({ code: 1 });
    expect((await done(["groups", "update", name, "g", "--max-in-flight", "1"])).out).toBe(
      "g\n  maxInFlight  1000 -> 1\n",
    );
    expect((await done(["groups", "show", name, "g"])).out).toMatch(
      /ackTimeoutMs {2}1m30s\n[\s\S]*backoff {2}1s, 1m\n/,
    );
    for (const command of [
      ["seek", name, "g", "earliest"],
      ["rm", name, "g"],
      ["discard", name, "g", "--all"],
    ])
      expect(await run(["groups", ...command]), command[0]).toMatchObject({
        code: 2,
        out: "",
        err: expect.stringContaining("add --yes"),
      });
    await done(["append", name, "1", "2"]);
    expect((await done(["groups", "seek", name, "g", "1", "--yes"])).out).toMatch(/PARTITION.*NOW\n +0 +0 +1\n/);
    expect((await done(["groups", "only", name, "g", "a", "b"])).out).toContain("2 keys alone");
    expect((await done(["groups", "only", name, "g", "--off"])).out).toBe("all keys go on\n");
    expect(await run(["groups", "only", name, "g"])).toMatchObject({ code: 2 });
    expect((await done(["groups", "rm", name, "g", "--yes"])).out).toBe("deleted g\n");
  });

  test("have lanes that are resumed and skipped, and pushes whose secrets are made and answers seen", async () => {
    const name = await fresh();
    await done(["append", name, "1", "2", "--key", "k"]);
    await done(["groups", "create", name, "g", "--max-deliveries", "1", "--on-failure", "park"]);
    await run(["groups", "consume", name, "g", "--max", "1", "--", "false"]);
    const lanes = async () => (await done(["groups", "lanes", name, "g"])).lines;
    expect((await lanes())[1]).toMatch(/^0\.\d+ +k +0 +parked +1 +false ended with exit code 1$/);
    const [lane] = (await lanes())[1].split(" ");
    expect((await done(["groups", "lanes", "skip", name, "g", lane])).out).toContain("goes on");
    expect((await done(["groups", "consume", name, "g", "--max", "1", "--data"])).lines).toEqual(["2"]);
    const push = ["--push", "http://127.0.0.1:1/hook", "--generate-secret"];
    const made = await done(["groups", "create", name, "p", "--backoff", "1ms", ...push]);
    expect(made.out).toMatch(/\nsecret {2}whsec_[A-Za-z0-9+/]{43}= /);
    const updated = await done(["groups", "update", name, "p", "--generate-secret", "--json"]);
    expect(JSON.parse(updated.out)).toMatchObject({
      secret: expect.stringMatching(/^whsec_/),
      config: { push: { secrets: [expect.stringContaining("…"), expect.stringContaining("…")] } },
    });
    expect((await done(["groups", "roll-secret", name, "p"])).out).toMatch(
      /^secret {2}whsec_.*\nwhsec_.{4}… signs too/,
    );
    expect((await done(["groups", "roll-secret", name, "p", "--finish"])).out).toMatch(
      /^only whsec_.{4}… signs now\n$/,
    );
    expect(JSON.parse((await done(["groups", "show", name, "p", "--json"])).out).config.push.secrets).toHaveLength(1);
    expect(await run(["groups", "test", name, "p"])).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^http:\/\/127\.0\.0\.1:1\/hook {2}no answer {2}\d+ ms: /),
    });
    const attempts = () => run(["groups", "attempts", name, "p"]);
    await expect.poll(async () => (await attempts()).lines.length, { timeout: 20_000 }).toBeGreaterThan(2);
    const times = (await attempts()).lines.slice(1).map((line) => line.split(" ")[0]);
    expect(times).toEqual(times.toSorted());
  });
});
