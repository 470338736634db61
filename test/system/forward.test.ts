/** The forwarder over rotations, a service that is away, and its own death: no line lost, none twice. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type Stream } from "../../src/client/index.ts";
import { FrameWriter, kinds } from "../../src/log/record.ts";
import { times } from "../cases/long.ts";
import { type Process, start } from "../http/cli.ts";
import { token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-forward-"));
let running: Running;
let port: number;
const forwarders = new Set<Process>();

beforeAll(async () => {
  running = await run({ data, token });
  port = Number(new URL(running.url).port);
});
afterAll(async () => {
  for (const { child } of forwarders) child.kill("SIGKILL");
  await running.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

let folder: string;
let stream: Stream;
let count = 0;
beforeEach(async () => {
  folder = mkdtempSync(join(data, "case-"));
  stream = new Millrace({ url: running.url, token }).stream(`forward-${count++}`);
  await stream.put({ partitions: 2 });
});

/** Forwards files of the case's folder; without any, `input`. */
function forward(files: readonly string[], options: readonly string[] = [], input?: string): Process {
  const env = { MILLRACE_URL: running.url, MILLRACE_TOKEN: token };
  const paths = files.map((file) => join(folder, file));
  const args = ["forward", stream.name, ...paths, "--state", join(folder, "state"), ...options];
  const started = start(args, env, input);
  forwarders.add(started);
  void started.ended.then(() => forwarders.delete(started));
  return started;
}

async function kill(forwarder: Process, signal: NodeJS.Signals = "SIGKILL") {
  forwarder.child.kill(signal);
  return forwarder.ended;
}

const write = (file: string, lines: readonly unknown[]) =>
  appendFileSync(join(folder, file), lines.map((line) => `${line}\n`).join(""));
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);

async function appended(): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { data } of stream.read({ pageSize: 10_000 })) found.push(data);
  return found;
}
const until = async (lines: readonly unknown[], timeout = 30_000) => {
  await expect
    .poll(async () => (await appended()).length, { timeout, interval: 100 })
    .toBeGreaterThanOrEqual(lines.length);
  expect(await appended()).toEqual(lines);
};

test("follows a file as it grows, and one that is not there yet", async () => {
  write("a.log", numbers(100));
  const forwarder = forward(["a.log"]);
  await until(numbers(100));
  write("a.log", numbers(50, 100));
  appendFileSync(join(folder, "a.log"), "not a whole ");
  await until(numbers(150));
  await pause(400);
  appendFileSync(join(folder, "a.log"), "line\n");
  await until([...numbers(150), "not a whole line"]);
  const { code } = await kill(forwarder, "SIGTERM");
  expect(code).toBe(0);
  // The next one goes on where this one ended.
  write("a.log", ['{"a": 1}', "caf\u00e9"]);
  const next = forward(["a.log", "later.log"]);
  await until([...numbers(150), "not a whole line", { a: 1 }, "caf\u00e9"]);
  write("later.log", ["here"]);
  await until([...numbers(150), "not a whole line", { a: 1 }, "caf\u00e9", "here"]);
  await kill(next);
});

test("over rotation by renaming, while it runs and while it does not", async () => {
  write("a.log", numbers(10));
  const forwarder = forward(["a.log"]);
  await until(numbers(10));
  renameSync(join(folder, "a.log"), join(folder, "a.log.1"));
  // The writer has the old file open still, and writes on.
  write("a.log.1", numbers(5, 10));
  write("a.log", numbers(10, 15));
  await until(numbers(25));
  await kill(forwarder);
  write("a.log", numbers(5, 25));
  renameSync(join(folder, "a.log"), join(folder, "a.log.2"));
  write("a.log", numbers(5, 30));
  const next = forward(["a.log"]);
  await until(numbers(35));
  await kill(next);
});

test("over rotation by copying and truncating", async () => {
  write("a.log", numbers(10));
  const forwarder = forward(["a.log"]);
  await until(numbers(10));
  copyFileSync(join(folder, "a.log"), join(folder, "a.log.1"));
  truncateSync(join(folder, "a.log"));
  await pause(500);
  write("a.log", numbers(3, 10));
  await until(numbers(13));
  await kill(forwarder);
  truncateSync(join(folder, "a.log"));
  write("a.log", numbers(100, 13));
  const next = forward(["a.log"]);
  await until(numbers(113));
  await kill(next);
});

test("over its own death, again and again, while a file grows and is rotated", async () => {
  let forwarder = forward(["a.log"]);
  const total = 6_000;
  for (let from = 0; from < total; from += 500) {
    write("a.log", numbers(500, from));
    await pause(60 + (from % 7) * 20);
    if (from % 1_500 === 1_000) {
      // Of a file that it never saw under its first name it cannot know where it came from.
      await expect.poll(async () => (await appended()).length, { timeout: 30_000 }).toBeGreaterThan(from / 2);
      await kill(forwarder);
      if (from % 3_000 === 1_000) renameSync(join(folder, "a.log"), join(folder, `a.log.${from}`));
      forwarder = forward(["a.log"]);
    }
  }
  await until(numbers(total), 60_000);
  await kill(forwarder);
});

/** A line to the service that breaks at a moment of our choice: appends arrive, or do not, and are never answered. */
async function brokenLine(arrives: boolean): Promise<{ url: string; broken: Promise<void>; close(): void }> {
  let broke = () => {};
  const broken = new Promise<void>((resolve) => {
    broke = resolve;
  });
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const append = request.method === "POST";
    if (append && !arrives) return broke();
    const answer = await fetch(running.url + request.url, {
      method: request.method as string,
      headers: Object.fromEntries(
        Object.entries(request.headers).filter(([name]) => /^(authorization|content-|producer-)/.test(name)),
      ) as Record<string, string>,
      ...(append ? { body: Buffer.concat(parts) } : {}),
    });
    const text = await answer.text();
    if (append) return broke();
    response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, broken, close };
}

test.each([
  ["after an append that nobody answered", true],
  ["before an append arrived", false],
])("over its own death %s", async (_, arrives) => {
  write("a.log", numbers(100));
  const line = await brokenLine(arrives);
  const forwarder = forward(["a.log"], ["--url", line.url]);
  await line.broken;
  await kill(forwarder);
  line.close();
  expect(await appended()).toHaveLength(arrives ? 100 : 0);
  // What is there by now does not change the batch that was on its way.
  write("a.log", numbers(20, 100));
  const next = forward(["a.log"]);
  await until(numbers(120));
  await pause(500);
  expect(await appended()).toEqual(numbers(120));
  await kill(next);
});

test("over a service that is away, and comes back after some seconds", async () => {
  write("a.log", numbers(1_000));
  const forwarder = forward(["a.log"]);
  await until(numbers(1_000));
  for (let round = 0; round < 3; round++) {
    const writing = (async () => {
      for (let index = 0; index < 20; index++) {
        write("a.log", numbers(50, 1_000 + round * 1_000 + index * 50));
        await pause(20);
      }
    })();
    await pause(100);
    await running.stop("SIGKILL");
    await writing;
    await pause(1_500);
    running = await run({ data, token, port });
  }
  await until(numbers(4_000), 60_000);
  expect(forwarder.said.err).toContain("trying again");
  await kill(forwarder);
});

test("over rotations while the service is away, of files that are gone when it comes back", async () => {
  write("a.log", numbers(10));
  const forwarder = forward(["a.log"]);
  await until(numbers(10));
  await running.stop("SIGKILL");
  for (let generation = 1; generation < 4; generation++) {
    write("a.log", numbers(10, generation * 10));
    await pause(1_000);
    renameSync(join(folder, "a.log"), join(folder, "a.log.1"));
    write("a.log", []);
    await pause(1_000);
    rmSync(join(folder, "a.log.1"));
  }
  write("a.log", numbers(10, 40));
  running = await run({ data, token, port });
  await until(numbers(50));
  await kill(forwarder);
});

test("a file of so many MB, with a death in the middle, in order", async () => {
  const pad = "x".repeat(85);
  const total = times(250_000, 1_000_000);
  for (let from = 0; from < total; from += 50_000) {
    write(
      "big.log",
      numbers(50_000, from).map((n) => `{"n":${n},"pad":"${pad}"}`),
    );
  }
  const first = forward(["big.log"], ["--once"]);
  await pause(1_500);
  await kill(first);
  const ran = await forward(["big.log"], ["--once"]).ended;
  expect(ran).toMatchObject({ code: 0 });
  let next = 0;
  // One partition at a time: a merged read of a million records would take its time.
  for (const partition of [0, 1]) {
    for await (const batch of stream.read({ partition, pageSize: 10_000 }).batches()) {
      for (const { data } of batch) {
        if ((data as { n: number }).n !== next) throw new Error(`expected ${next}, got ${(data as { n: number }).n}`);
        next++;
      }
    }
  }
  expect(next).toBe(total);
});

test("the standard input, lines that are too long, and bytes that are no text", async () => {
  const long = "y".repeat(2_100_000);
  const ran = await forward([], ["--text"], `1\n\n${long}\nlast without an end`).ended;
  expect(ran).toMatchObject({ code: 0, out: "5 lines appended\n" });
  const found = (await appended()) as string[];
  expect(found[0]).toBe("1");
  expect(found.slice(1, 4).join("")).toBe(long);
  expect(found[4]).toBe("last without an end");
  writeFileSync(join(folder, "bytes.log"), Buffer.from([0xff, 0xfe, 0x41, 0x0a]));
  await forward(["bytes.log"], ["--once"]).ended;
  const records = [];
  for await (const record of stream.read({ filter: { key: join(folder, "bytes.log") } })) records.push(record);
  expect(records).toMatchObject([{ data_base64: Buffer.from([0xff, 0xfe, 0x41]).toString("base64") }]);
});

test("one state is for one forwarder and one stream; what is new may begin at its end", async () => {
  write("a.log", ["old"]);
  const forwarder = forward(["a.log"], ["--from-end"]);
  await expect.poll(() => existsSync(join(folder, "state/lock")), { timeout: 10_000 }).toBe(true);
  await pause(500);
  write("a.log", ["new"]);
  await until(["new"]);
  expect(await forward(["a.log"]).ended).toMatchObject({ code: 2, err: expect.stringContaining("--state") });
  await kill(forwarder);
  const elsewhere = new Millrace({ url: running.url, token, namespace: "elsewhere" });
  await elsewhere.http.json("PUT", "", { namespace: "" });
  await elsewhere.stream(stream.name).put();
  expect(await forward(["a.log"], ["--namespace", "elsewhere", "--once"]).ended).toMatchObject({
    code: 2,
    err: expect.stringContaining("of the namespace 'default'"),
  });
  await stream.delete();
  await stream.put();
  const { err } = await forward(["a.log"], ["--once", "--quiet"]).ended;
  expect(err).toContain("it was made anew, or it is another service's");
  const other = new Millrace({ url: running.url, token }).stream(`forward-${count++}`);
  await other.put();
  stream = other;
  expect(await forward(["a.log"]).ended).toMatchObject({
    code: 2,
    err: expect.stringContaining("belongs to the stream"),
  });
});

async function another(): Promise<Stream> {
  const other = new Millrace({ url: running.url, token }).stream(`forward-${count++}`);
  await other.put();
  return other;
}

const rejected = () =>
  readFileSync(join(folder, "state/rejected.ndjson"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("a line longer than any batch is cut between letters, and holds up nobody", async () => {
  const long = `x${"\u00e9".repeat(4_600_000)}`;
  write("big.log", [long, "after"]);
  write("small.log", numbers(5));
  const ran = await forward(["big.log", "small.log"], ["--once"]).ended;
  expect(ran).toMatchObject({ code: 0, err: expect.stringContaining("small.log from its start") });
  const found = await appended();
  expect(found.filter((one) => typeof one === "number")).toEqual(numbers(5));
  const texts = found.filter((one) => typeof one === "string");
  expect(texts.at(-1)).toBe("after");
  expect(texts.slice(0, -1).join("") === long).toBe(true);
  // A place inside the line is a place: what comes again comes once.
  expect(await forward(["big.log"], ["--once"]).ended).toMatchObject({ code: 0, out: "0 lines appended\n" });
});

test("a stream that takes little at a time, and one that takes less than it did", async () => {
  await stream.put({ batchBytesMax: 65_536, recordBytesMax: 10_000 });
  const lines = Array.from({ length: 2_000 }, (_, index) => `line ${String(index).padStart(100, "0")}`);
  write("a.log", [...lines, "y".repeat(25_000)]);
  const ran = await forward(["a.log"], ["--once"]).ended;
  expect(ran).toMatchObject({ code: 0, out: "2003 lines appended\n" });
  expect((await appended()).slice(0, 2_000)).toEqual(lines);
  const forwarder = forward(["a.log"]);
  await expect.poll(() => forwarder.said.err, { timeout: 10_000 }).toContain("follows");
  await stream.put({ batchBytesMax: 2_000, recordBytesMax: 1_500 });
  write("a.log", [...numbers(1_000), "z".repeat(1_800), "end"]);
  await expect.poll(async () => (await appended()).at(-1), { timeout: 30_000 }).toBe("end");
  // The long one was a record by the old limits, and is one that nobody takes now.
  expect((await appended()).slice(2_003)).toEqual([...numbers(1_000), "end"]);
  expect(rejected()).toMatchObject([{ reason: "record-too-large", line: "z".repeat(1_800) }]);
  expect(await kill(forwarder, "SIGTERM")).toMatchObject({
    code: 0,
    out: `1001 lines appended, 1 rejected: see ${join(folder, "state")}/rejected.ndjson\n`,
  });
});

test("a stream whose records are to be smaller: one is rejected, and the lines after it are cut", async () => {
  // Of one partition a number that is left out is a gap.
  stream = await another();
  write("a.log", numbers(3));
  const forwarder = forward(["a.log"]);
  await until(numbers(3));
  await stream.put({ recordBytesMax: 1_000 });
  const long = (letter: string) => letter.repeat(1_500);
  write("a.log", [long("a")]);
  await expect.poll(() => existsSync(join(folder, "state/rejected.ndjson")), { timeout: 10_000 }).toBe(true);
  write("a.log", [long("b"), "end"]);
  await expect.poll(async () => (await appended()).at(-1), { timeout: 10_000 }).toBe("end");
  expect((await appended()).slice(3, -1).join("")).toBe(long("b"));
  expect(rejected()).toMatchObject([{ reason: "record-too-large", line: long("a") }]);
  expect(await kill(forwarder, "SIGTERM")).toMatchObject({ code: 0, out: expect.stringContaining(", 1 rejected") });
});

test.each([1, 7])("a batch of %i that was taken unheard, before the stream took less", async (count) => {
  stream = await another();
  const lines = [...numbers(count - 1), "x".repeat(200)];
  write("a.log", lines);
  const line = await brokenLine(true);
  const forwarder = forward(["a.log"], ["--url", line.url, "--key", "k"]);
  await line.broken;
  await kill(forwarder);
  line.close();
  await stream.put({ recordBytesMax: 100 });
  const next = forward(["a.log"], ["--key", "k"]);
  write("a.log", ["after"]);
  await until([...lines, "after"]);
  expect(await kill(next, "SIGTERM")).toMatchObject({ code: 0 });
  // It is known by its number, whatever the stream would take now.
  expect(existsSync(join(folder, "state/rejected.ndjson"))).toBe(false);
});

test("a batch that an earlier release wrote down, and that no stream takes, is sent in parts", async () => {
  const writer = new FrameWriter();
  const lines = Array.from({ length: 12 }, (_, index) => String(index).repeat(900_000).slice(0, 900_000));
  for (const line of lines) writer.add({ kind: kinds.text, data: Buffer.from(line), key: "k" });
  const { logId } = await stream.info();
  mkdirSync(join(folder, "state"));
  writeFileSync(join(folder, "state/batch"), Buffer.concat(writer.finish(0)));
  write("a.log", ["read already", "new"]);
  const { ino } = statSync(join(folder, "a.log"));
  const head = createHash("sha256").update("read already\n").digest("base64url").slice(0, 16);
  // As it was typed then: from a folder that nobody knows, and by its whole path.
  const pending = { "./a.log": { inode: ino, offset: 13, head }, "x/a.log": { inode: ino, offset: 0, head } };
  const state = { stream: stream.name, logId, producer: "forward-old", sequence: 3, positions: {}, pending };
  writeFileSync(join(folder, "state/state.json"), JSON.stringify(state));
  const ran = await forward(["a.log"], ["--once"]).ended;
  expect(ran).toMatchObject({ code: 0, out: "13 lines appended\n" });
  const found = (await appended()) as string[];
  expect(found.filter((one) => one.length > 100)).toEqual(lines);
  expect(found.filter((one) => one.length < 100)).toEqual(["new"]);
});

test("a state that does not say which log it is of is refused, with what to write into it, and goes on with that", async () => {
  write("a.log", ["one"]);
  expect(await forward(["a.log"], ["--once"]).ended).toMatchObject({ code: 0 });
  const path = join(folder, "state/state.json");
  const written = readFileSync(path, "utf8");
  writeFileSync(path, written.replace(/"logId":"\w+",/, ""));
  const { code, out, err } = await forward(["a.log"], ["--once"]).ended;
  expect([code, out]).toEqual([2, ""]);
  const [, said] = /write ("logId":"\w+") into it/.exec(err) ?? [];
  expect(err.trim().split("\n")).toEqual([expect.stringContaining("does not say which log it is of")]);
  writeFileSync(path, written.replace(/"logId":"\w+"/, said as string));
  write("a.log", ["two"]);
  expect(await forward(["a.log"], ["--once"]).ended).toMatchObject({ code: 0 });
  expect(await appended()).toEqual(["one", "two"]);
});

test("lines that the stream rejects are kept, those of a batch that is repeated too", async () => {
  const lines = ["a", "b", "c"].map((letter) => letter.repeat(100));
  write("a.log", lines);
  const bytes = Buffer.alloc(100, 0xff);
  writeFileSync(join(folder, "bytes.log"), Buffer.concat([bytes, Buffer.from("\n")]));
  const line = await brokenLine(false);
  const forwarder = forward(["a.log", "bytes.log"], ["--url", line.url, "--key", "k"]);
  await line.broken;
  await kill(forwarder);
  line.close();
  await stream.put({ recordBytesMax: 80 });
  const next = forward(["a.log", "bytes.log"], ["--key", "k"]);
  await expect
    .poll(() => existsSync(join(folder, "state/rejected.ndjson")) && rejected().length, { timeout: 10_000 })
    .toBe(4);
  const of = { reason: "record-too-large", key: "k" };
  const base64 = bytes.toString("base64");
  expect(rejected()).toMatchObject([...lines.map((line) => ({ ...of, line })), { ...of, line_base64: base64 }]);
  await kill(next);
});

test("what cannot be read is told, does not hold up the rest, and is read when it can be", async () => {
  write("good.log", numbers(3));
  mkdirSync(join(folder, "dir.log"));
  const ran = await forward(["dir.log", "good.log", "none.log"], ["--once"]).ended;
  expect(ran).toMatchObject({ code: 1, out: "3 lines appended\n" });
  expect(ran.err).toContain("dir.log is a folder; name the files in it");
  expect(ran.err).toContain("none.log is not there");
  expect(ran.err).toContain("2 of 3 files could not be read");
  const forwarder = forward(["dir.log", "good.log"]);
  write("good.log", ["3"]);
  await until(numbers(4));
  rmSync(join(folder, "dir.log"), { recursive: true });
  write("dir.log", ["4"]);
  await until(numbers(5));
  expect(forwarder.said.err.match(/is a folder/g)).toHaveLength(1);
  await kill(forwarder);
});

test("what became of a file since its last line is said once, though nothing more comes of it", async () => {
  write("one.log", [1]);
  symlinkSync("one.log", join(folder, "now.log"));
  expect((await forward(["now.log"], ["--once"]).ended).code).toBe(0);
  writeFileSync(join(folder, "two.log"), "");
  symlinkSync("two.log", join(folder, "next"));
  renameSync(join(folder, "next"), join(folder, "now.log"));
  const told = (await forward(["now.log"], ["--once"]).ended).err;
  expect(told).toContain("files that it led to between are not read");
  expect(await forward(["now.log"], ["--once", "--quiet"]).ended).toMatchObject({ code: 0, err: "" });
});

test("a file is one, however its name is typed", async () => {
  write("a.log", numbers(3));
  symlinkSync(folder, join(folder, "link"));
  expect(await forward(["a.log", "./a.log"], ["--once", "--quiet"]).ended).toMatchObject({
    code: 0,
    out: "3 lines appended\n",
    err: expect.stringMatching(/^millrace: .* it is followed once\n$/),
  });
  expect(await forward(["link/a.log"], ["--once"]).ended).toMatchObject({ code: 0, out: "0 lines appended\n" });
});

test("bytes of a pipe, half a letter at a time, and a stream that is made anew meanwhile", async () => {
  const args = [
    join(import.meta.dirname, "../../dist/cli.js"),
    "forward",
    stream.name,
    "--state",
    join(folder, "state"),
  ];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", MILLRACE_URL: running.url, MILLRACE_TOKEN: token },
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (part) => {
    said.out += part;
  });
  child.stderr.on("data", (part) => {
    said.err += part;
  });
  const ended = once(child, "close");
  onTestFinished(() => void child.kill("SIGKILL"));
  const { stdin } = child;
  const letter = Buffer.from("\u20ac\r\n");
  for (const byte of letter) {
    stdin.write(Buffer.from([byte]));
    await pause(30);
  }
  stdin.write(Buffer.from([0xe2, 0x82, 0x0a]));
  await expect.poll(async () => (await appended()).length, { timeout: 10_000 }).toBe(2);
  const records = [];
  for await (const record of stream.read()) records.push(record);
  expect(records).toMatchObject([{ data: "\u20ac" }, { data_base64: Buffer.from([0xe2, 0x82]).toString("base64") }]);
  await stream.delete();
  stdin.write("meanwhile\n");
  await expect.poll(() => said.err, { timeout: 10_000 }).toContain("trying again");
  await stream.put();
  stdin.end("the end");
  expect(await ended).toEqual([0, null]);
  expect(said.out).toBe("4 lines appended\n");
  expect(await appended()).toEqual(["meanwhile", "the end"]);
});
