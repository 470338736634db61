/** The forwarder over rotations, a service that is away, and its own death: no line lost, none twice. */
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type Stream } from "../../src/client/index.ts";
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
  const other = new Millrace({ url: running.url, token }).stream(`forward-${count++}`);
  await other.put();
  stream = other;
  expect(await forward(["a.log"]).ended).toMatchObject({
    code: 2,
    err: expect.stringContaining("belongs to the stream"),
  });
});
