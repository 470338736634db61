/** A producer with a spool, and the service, are killed again and again: what was kept is stored, once, in order, and nothing else is. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type MillraceError } from "../../src/client/index.ts";
import { spool } from "../../src/node/index.ts";
import { times } from "../cases/long.ts";
import { token } from "../http/service.ts";

interface Data {
  readonly run: number;
  readonly n: number;
}

const dist = resolve(import.meta.dirname, "../../dist");
const [rounds, keys] = [times(6, 30), 5];
let [folder, service]: [string, Running] = ["", undefined as never];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "millrace-spool-"));
  service = await run({ data: join(folder, "data"), token });
});
afterEach(async () => {
  await service.stop("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Says each number when it is kept, until it is killed; or, of run 0, sends what is there. */
const writer = `
import { Millrace } from ${JSON.stringify(join(dist, "client.js"))};
import { spool } from ${JSON.stringify(join(dist, "node.js"))};
const [url, token, folder, run] = process.argv.slice(2);
const millrace = new Millrace({ url, token, retry: { initialMs: 20, maxMs: 200 } });
let producer;
try {
  producer = millrace.stream("spooled").producer({ spool: spool(folder) });
} catch (error) {
  console.log(error.code);
  process.exit(9);
}
if (run === "0") {
  const { unsent } = await producer.close();
  console.log("unsent " + unsent);
} else {
  for (let n = 0; ; ) {
    // One alone, then several at once, which share a write.
    const many = n % 3 === 0 ? 1 : 7;
    await Promise.all(Array.from({ length: many }, async () => {
      const own = n++;
      await producer.push({ key: "k" + (own % ${keys}), data: { run: Number(run), n: own } });
      console.log("kept " + own);
    }));
    if (n % 40 < 7) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
`;

function start(number: number): { child: ChildProcess; said: () => string[]; ended: Promise<unknown> } {
  const path = join(folder, "writer.mjs");
  writeFileSync(path, writer);
  const child = spawn(process.execPath, [path, service.url, token, join(folder, "spool"), String(number)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (part) => {
    text += part;
  });
  return { child, said: () => text.split("\n").slice(0, -1), ended: once(child, "close") };
}

test.each([1, 3])("by kills of both, on %i partitions", async (partitions) => {
  const port = Number(new URL(service.url).port);
  const millrace = new Millrace({ url: service.url, token });
  await millrace.stream("spooled").put({ partitions });
  const kept: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const { child, said, ended } = start(round);
    await expect.poll(() => said().length, { timeout: 30_000 }).toBeGreaterThan(5);
    if (round === 1) {
      const other = start(99);
      expect(await other.ended).toEqual([9, null]);
      expect(other.said()).toEqual(["spool-busy"]);
    }
    await pause(50 + Math.random() * 300);
    // The service dies under it, or stays away until the next one is at work, or lives on.
    if (round % 3 !== 0) await service.stop("SIGKILL");
    if (round % 3 === 1) service = await run({ data: join(folder, "data"), token, port });
    await pause(Math.random() * 300);
    child.kill("SIGKILL");
    await ended;
    if (round % 3 === 2) service = await run({ data: join(folder, "data"), token, port });
    kept[round] = Math.max(...said().map((line) => Number(line.slice("kept ".length))));
  }
  const last = start(0);
  expect(await last.ended).toEqual([0, null]);
  expect(last.said()).toEqual(["unsent 0"]);
  expect(readdirSync(join(folder, "spool"))).toEqual(["place"]);

  const stored: { run: number; n: number; key?: string | undefined }[] = [];
  for await (const { key, data } of millrace.stream<Data>("spooled").read()) stored.push({ ...data, key });
  for (let round = 1; round <= rounds; round++) {
    const numbers = stored.filter((one) => one.run === round).map(({ n }) => n);
    const count = numbers.length;
    // All that it was told of, and beyond that only what came next.
    expect(count).toBeGreaterThan(kept[round]);
    expect(count).toBeLessThanOrEqual(kept[round] + 8);
    expect(numbers.reduce((sum, n) => sum + n, 0)).toBe((count * (count - 1)) / 2);
    expect(new Set(numbers).size).toBe(count);
  }
  for (let key = 0; key < keys; key++) {
    const line = stored.filter((one) => one.key === `k${key}`);
    const sorted = [...line].sort((a, b) => a.run - b.run || a.n - b.n);
    expect(line).toEqual(sorted);
  }
});

test("of a stream that is deleted, and made anew", async () => {
  const told: (string | undefined)[] = [];
  const onTrouble = (error?: MillraceError) => told.push(error?.code);
  const millrace = new Millrace({ url: service.url, token, retry: { initialMs: 10, maxMs: 50 } });
  const stream = millrace.stream<number>("spooled");
  await stream.put();
  const producer = stream.producer({ spool: spool(join(folder, "spool"), { onTrouble }) });
  for (let n = 0; n < 20; n++) await producer.append({ data: n });
  await stream.delete();
  await producer.push({ data: 20 });
  await expect(producer.flush()).rejects.toMatchObject({ code: "stream-not-found" });
  await producer.push({ data: 21 });
  expect(producer.pending.records).toBe(2);
  await stream.put();
  expect(await producer.close()).toEqual({ sent: 22, unsent: 0 });
  const found: number[] = [];
  for await (const { data } of stream.read()) found.push(data);
  expect(found).toEqual([20, 21]);
  expect(told).toEqual(["stream-not-found", "sequence-gap", undefined]);
});

test("of a partition that is split, and of a name that a producer without one had before", async () => {
  const millrace = new Millrace({ url: service.url, token, retry: { initialMs: 10, maxMs: 50 } });
  const stream = millrace.stream<number>("spooled");
  await stream.put();
  const plain = stream.producer({ id: "shop" });
  await plain.append({ data: 0 });
  await plain.close();
  const open = (partition?: number) =>
    stream.producer({
      id: "shop",
      spool: spool(join(folder, "spool")),
      ...(partition === undefined ? {} : { partition }),
    });
  const first = open(0);
  await first.append({ key: "a", data: 1 });
  const other = stream.producer({ id: "shop" });
  await other.append({ data: 2 });
  await first.push({ key: "a", data: 3 });
  await expect(first.flush()).rejects.toMatchObject({ code: "fenced" });
  await first.close({ timeoutMs: 0 });
  const second = open(0);
  await second.flush();
  await stream.put({ partitions: 2 });
  for (const data of [4, 5]) await second.push({ key: "a", data });
  await expect(second.flush()).rejects.toMatchObject({ code: "sealed" });
  await second.close({ timeoutMs: 0 });
  const third = open();
  await third.push({ key: "a", data: 6 });
  expect(await third.close()).toEqual({ sent: 3, unsent: 0 });
  const found: number[] = [];
  for await (const { data } of stream.read()) found.push(data);
  expect(found).toEqual([0, 1, 2, 3, 4, 5, 6]);
});
