/** Records through the command line, in and out: bytes stay bytes, and nothing is lost unsaid. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { start } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-records-"));
beforeAll(async () => {
  millrace = await service();
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const begin = (...args: string[]) => start(args, environment());
const run = (args: readonly string[], input = "") => start(args, environment(), input).ended;
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
