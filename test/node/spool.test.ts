/** A producer with a spool, against a service that knows numbers, is away, refuses and forgets as it is told. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import type { MillraceError, NewRecord, Placed, ProducerOptions } from "../../src/client/index.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { type SpooledOptions, type SpoolOptions, spool } from "../../src/node/index.ts";
import { begunAt } from "../../src/node/processes.ts";
import { type Asked, clientOf, problem, unpacked } from "../cases/answering.ts";

let folder: string;
let over: AbortController;
beforeEach(() => {
  over = new AbortController();
  folder = mkdtempSync(join(tmpdir(), "millrace-spool-"));
});
afterEach(() => {
  over.abort();
  rmSync(folder, { recursive: true, force: true });
});

/** One partition that knows the numbers of its producers, as the service does. */
class Log {
  data: unknown[] = [];
  sealed = false;
  batches: number[] = [];
  readonly #known = new Map<string, { epoch: number; next: number; last: string }>();

  take(asked: Asked): Response {
    const { "producer-id": id, "producer-epoch": epoch, "producer-seq": sequence } = asked.headers;
    const { data } = unpacked(asked);
    const known = this.#known.get(id);
    const before = known?.epoch === Number(epoch) ? known : { next: 0, last: "" };
    if (known !== undefined && known.epoch > Number(epoch)) return problem(409, "fenced", { epoch: known.epoch });
    const run = { verdict: "appended", partition: 0, offset: this.data.length, count: data.length };
    const isAgain = Number(sequence) === before.next - 1;
    if (isAgain && before.last !== JSON.stringify(data)) return problem(409, "sequence-conflict");
    if (isAgain) return Response.json({ runs: [{ ...run, verdict: "duplicate" }] });
    if (this.sealed) return problem(409, "sealed");
    if (Number(sequence) !== before.next)
      return problem(409, Number(sequence) < before.next ? "sequence-stale" : "sequence-gap");
    this.#known.set(id, { epoch: Number(epoch), next: before.next + 1, last: JSON.stringify(data) });
    this.data.push(...data);
    this.batches.push(data.length);
    return Response.json({ runs: [run] });
  }
}

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);
const away = () => new Error("connect ECONNREFUSED");

function open(
  answer: (asked: Asked) => Response | Error | Promise<Response>,
  options: SpoolOptions & SpooledOptions = {},
) {
  const { bytesMax, recordsMax, onTrouble, ...rest } = options;
  const { stream, asked } = clientOf(answer, { retry: { initialMs: 1, maxMs: 5 } });
  const producer = stream.producer({
    signal: over.signal,
    ...rest,
    spool: spool(folder, { bytesMax, recordsMax, onTrouble }),
  });
  return { producer, asked };
}

interface Slot {
  readonly [name: string]: unknown;
  readonly count: number;
}

/** What `place` says, after it was made to say something else. */
function placed(change: (place: Slot) => Slot): Slot {
  const path = join(folder, "place");
  const told = [0, 2_048].flatMap((at) => {
    const [, json] = /^[0-9a-f]{8} (.*)\n/.exec(readFileSync(path).toString("utf8", at, at + 2_048)) ?? [];
    return json === undefined ? [] : [JSON.parse(json) as Slot];
  });
  const before = told.reduce((a, b) => (b.count > a.count ? b : a));
  const after = change(before);
  const json = Buffer.from(JSON.stringify(after));
  const slots = Buffer.alloc(4_096);
  slots.write(`${crc32c(json).toString(16).padStart(8, "0")} ${json}\n`);
  if (after !== before) writeFileSync(path, Buffer.concat([slots, readFileSync(path).subarray(4_096)]));
  return after;
}

const segments = () => readdirSync(folder).filter((name) => name.startsWith("segment-"));

describe("a producer with a spool", () => {
  test("sends in order what it keeps, and forgets it", async () => {
    const log = new Log();
    const { producer } = open((one) => log.take(one));
    await Promise.all(numbers(1_000).map((data) => producer.push({ key: `k${data % 3}`, data })));
    await producer.flush();
    expect(log.data).toEqual(numbers(1_000));
    expect(producer.pending).toEqual({ records: 0, bytes: 0 });
    expect(await producer.append({ data: 1_000 })).toEqual({ verdict: "appended", partition: 0, offset: 1_000 });
    expect(await producer.close()).toEqual({ sent: 1_001, unsent: 0 });
    expect(readdirSync(folder)).toEqual(["place"]);
    await expect(producer.push({ data: 1 })).rejects.toMatchObject({ code: "closed" });
    // What lies there is counted from nothing again.
    const next = open(away).producer;
    expect(next.pending).toEqual({ records: 0, bytes: 0 });
    await next.push({ data: 1_001 });
    const [segment] = segments();
    expect(next.pending).toEqual({ records: 1, bytes: statSync(join(folder, segment)).size });
    await next.close({ timeoutMs: 0 });
    const last = open((one) => log.take(one)).producer;
    expect(last.pending).toEqual({ records: 1, bytes: statSync(join(folder, segment)).size });
    await last.close();
    expect(log.data).toEqual(numbers(1_002));
  });

  test("keeps what cannot be sent, says how much, and the next one sends it", async () => {
    const log = new Log();
    const first = open(away);
    for (const data of numbers(20)) await first.producer.push({ data });
    expect(first.producer.pending).toEqual({ records: 20, bytes: expect.any(Number) });
    const { bytes } = first.producer.pending;
    expect(first.producer.trouble).toMatchObject({ code: "network" });
    expect(await first.producer.close({ timeoutMs: 20 })).toEqual({ sent: 0, unsent: 20 });
    const second = open(away);
    expect(second.producer.pending).toEqual({ records: 20, bytes });
    await second.producer.push({ data: 20 });
    expect(await second.producer.close({ timeoutMs: 0 })).toEqual({ sent: 0, unsent: 21 });
    const third = open((one) => log.take(one));
    await third.producer.push({ data: 21 });
    expect(await third.producer.close()).toEqual({ sent: 22, unsent: 0 });
    expect(log.data).toEqual(numbers(22));
    expect(third.producer.id).toBe(first.producer.id);
  });

  test("gives a batch whose answer was lost again as it was, with another measure too", async () => {
    const log = new Log();
    const first = open((one) => {
      log.take(one);
      return away();
    });
    await Promise.all(numbers(50).map((data) => first.producer.push({ data })));
    await expect.poll(() => log.data.length).toBe(50);
    await first.producer.push({ data: 50 });
    expect(await first.producer.close({ timeoutMs: 10 })).toEqual({ sent: 0, unsent: 51 });
    const second = open((one) => log.take(one), { batchRecords: 7, batchBytes: 100 });
    expect(await second.producer.close()).toEqual({ sent: 51, unsent: 0 });
    expect(log.data).toEqual(numbers(51));
    expect(log.batches).toEqual([50, 1]);
  });

  test("is full by records and by bytes, and has room again when something was sent", async () => {
    const log = new Log();
    let isAway = true;
    const answer = (one: Asked) => (isAway ? away() : log.take(one));
    const { producer } = open(answer, { recordsMax: 3 });
    for (const data of numbers(3)) await producer.push({ data });
    const full = { code: "spool-full", clean: true, retryable: true, facts: { records: 3, recordsMax: 3 } };
    await expect(producer.push({ data: 3 })).rejects.toMatchObject(full);
    await expect(producer.append({ data: 3 })).rejects.toMatchObject(full);
    isAway = false;
    await producer.flush();
    await producer.push({ data: 3 });
    await producer.close();
    isAway = true;
    const bytes = open(answer, { bytesMax: 400_000 });
    const push = async () => {
      for (;;) await bytes.producer.push({ data: "x".repeat(10_000) });
    };
    await expect(push()).rejects.toMatchObject({ code: "spool-full", facts: { bytesMax: 400_000 } });
    expect(bytes.producer.pending.bytes).toBeGreaterThan(380_000);
    expect(bytes.producer.pending.bytes).toBeLessThanOrEqual(400_000);
    isAway = false;
    await bytes.producer.flush();
    await bytes.producer.push({ data: "x".repeat(350_000) });
    await bytes.producer.close();
  });

  test("says of a record that it never has room for what it is, and not that it is full", async () => {
    const { producer } = open(away, { bytesMax: 200 });
    const never = { code: "record-too-large", retryable: false, clean: true, facts: { bytesMax: 200 } };
    await expect(producer.push({ data: "x".repeat(150) })).rejects.toMatchObject(never);
    await producer.push({ data: "x".repeat(100) });
    await expect(producer.push({ data: "x".repeat(100) })).rejects.toMatchObject({ code: "spool-full" });
    await producer.close({ timeoutMs: 0 });
  });

  test("bounds what lies on the disk, too, however long it goes on", async () => {
    const log = new Log();
    const { producer } = open((one) => log.take(one), { bytesMax: 1_000_000 });
    let most = 0;
    for (const data of numbers(60)) {
      await producer.push({ data: `${data}${"x".repeat(50_000)}` });
      await producer.flush();
      most = Math.max(most, ...[segments().reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)]);
    }
    await producer.close();
    expect(log.data.length).toBe(60);
    expect(most).toBeLessThan(400_000);
  });

  test("goes in halves where a batch is too large, and keeps the record that has no room alone", async () => {
    const log = new Log();
    const answer = (one: Asked) => {
      const { data, bytes } = unpacked(one);
      return data.length > 3 || bytes > 2_000 ? problem(413, "body-too-large") : log.take(one);
    };
    const settled: [unknown, string | undefined][] = [];
    const onSettled = (record: NewRecord, _?: Placed, error?: MillraceError) =>
      settled.push([record.data, error?.code]);
    const { producer } = open(answer, { onSettled });
    const large = { text: `{"n": 1.0,\n"x":"${"y".repeat(3_000)}"}`, key: "large" };
    const all: NewRecord[] = [
      ...numbers(20).map((data) => ({ data })),
      large,
      ...numbers(5, 20).map((data) => ({ data })),
    ];
    await Promise.all(all.map((record) => producer.push(record)));
    const { epoch } = producer;
    expect(await producer.close()).toEqual({ sent: 25, unsent: 0 });
    expect(log.data).toEqual(numbers(25));
    // Under one name: numbers of batches that were refused are used again.
    expect(producer.epoch).toBe(epoch);
    expect(settled.filter(([, error]) => error === undefined).map(([data]) => data)).toEqual(numbers(25));
    expect(settled.filter(([, error]) => error !== undefined)).toEqual([[JSON.parse(large.text), "body-too-large"]]);
    const line = readFileSync(join(folder, "rejected.ndjson"), "utf8");
    expect(line).toBe(
      `{"reason":"body-too-large","detail":"body-too-large","record":{"key":"large","data":${large.text.replace("\n", " ")}}}\n`,
    );
  });

  test("glues no rejection to half of one that a full disk, or a crash, has left", async () => {
    const run = { verdict: "rejected", reason: "record-too-large", detail: "no", count: 1 };
    const { producer } = open(() => Response.json({ runs: [run] }));
    const path = join(folder, "rejected.ndjson");
    writeFileSync(path, '{"reason":"a"}\n{"reason":"record-too-la');
    await producer.append({ data: 1 }).catch(() => {});
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line).reason)).toEqual(["a", "record-too-large"]);
    await producer.close();
  });

  test("tells a rejection that nobody heard of at the next flush", async () => {
    const run = { verdict: "rejected", reason: "record-too-large", detail: "no", count: 1 };
    const { producer } = open(() => Response.json({ runs: [run] }));
    await producer.push({ data: 1 });
    await expect(producer.flush()).rejects.toMatchObject({ code: "record-too-large" });
    await producer.flush();
    await producer.close();
  });

  test("says what holds it up, goes on when somebody has seen to it, and fails no push meanwhile", async () => {
    const log = new Log();
    let answer: (one: Asked) => Response = () => problem(404, "stream-not-found");
    const told: (string | undefined)[] = [];
    const { producer } = open((one) => answer(one), { onTrouble: (error) => told.push(error?.code) });
    await producer.push({ data: 0 });
    await expect(producer.flush()).rejects.toMatchObject({ code: "stream-not-found" });
    await producer.push({ data: 1 });
    expect(producer.pending.records).toBe(2);
    expect(producer.trouble?.code).toBe("stream-not-found");
    answer = () => problem(403, "forbidden");
    await expect.poll(() => producer.trouble?.code).toBe("forbidden");
    answer = (one) => log.take(one);
    await expect.poll(() => producer.pending.records).toBe(0);
    expect(told).toEqual(["stream-not-found", "forbidden", undefined]);
    expect(producer.trouble).toBeUndefined();
    await producer.close();
    expect(log.data).toEqual([0, 1]);
  });

  test("goes on in a stream that was made anew, and says so", async () => {
    let log = new Log();
    const told: (string | undefined)[] = [];
    const { producer } = open((one) => log.take(one), { onTrouble: (error) => told.push(error?.code) });
    for (const data of numbers(3)) await producer.append({ data });
    log = new Log();
    for (const data of numbers(3, 3)) await producer.append({ data });
    await producer.close();
    expect(log.data).toEqual([3, 4, 5]);
    expect(told).toEqual(["sequence-gap"]);
  });

  test.each(["fenced", "sequence-conflict", "sequence-stale"])("ends where its name is another's: %s", async (code) => {
    const { producer } = open(() => problem(409, code));
    await producer.push({ data: 0 });
    await expect(producer.flush()).rejects.toMatchObject({ code });
    await expect(producer.push({ data: 1 })).rejects.toMatchObject({ code });
    await expect(producer.close()).rejects.toMatchObject({ code });
    // The folder is free again, and has what it had.
    const next = open(away);
    expect(next.producer.pending.records).toBe(1);
    await next.producer.close({ timeoutMs: 0 });
  });

  describe("of a name that a producer without one has, too,", () => {
    /** Another that starts now, and sends one. */
    async function plain(log: Log, data: unknown) {
      const producer = clientOf((one) => log.take(one)).stream.producer({ id: "shop" });
      await producer.append({ data });
    }

    const openAs = (log: Log) => open((one) => log.take(one), { id: "shop" }).producer;

    test("takes it over, whoever had it before, and loses it to whoever starts later", async () => {
      const log = new Log();
      await plain(log, 0);
      const first = openAs(log);
      await first.append({ data: 1 });
      await plain(log, 2);
      await first.push({ data: 3 });
      await expect(first.flush()).rejects.toMatchObject({ code: "fenced" });
      await expect(first.close()).rejects.toMatchObject({ code: "fenced" });
      expect(log.data).toEqual([0, 1, 2]);
      // Opened anew it has started later: with what lies there, and where nothing does.
      const second = openAs(log);
      expect(second.pending.records).toBe(1);
      expect(await second.close()).toEqual({ sent: 1, unsent: 0 });
      await plain(log, 4);
      const third = openAs(log);
      expect(await third.append({ data: 5 })).toMatchObject({ verdict: "appended", offset: 5 });
      await third.close();
      expect(log.data).toEqual([0, 1, 2, 3, 4, 5]);
    });

    test("goes on in a folder that a release left which counted its epoch in ms", async () => {
      const log = new Log();
      await plain(log, 0);
      const first = open(away, { id: "shop" }).producer;
      await first.push({ data: 1 });
      await expect.poll(() => placed((place) => place).to).toBeDefined();
      await first.close({ timeoutMs: 0 });
      placed((place) => ({ ...place, epoch: Date.now(), sequence: 0 }));
      const second = openAs(log);
      await second.push({ data: 2 });
      expect(await second.close()).toEqual({ sent: 2, unsent: 0 });
      expect(log.data).toEqual([0, 1, 2]);
    });

    test("sends nothing twice: what may have been stored before another took over stays where it is", async () => {
      const log = new Log();
      const first = open((one) => {
        log.take(one);
        return away();
      });
      const { id } = first.producer;
      await first.producer.push({ data: 0 });
      await expect.poll(() => log.data).toEqual([0]);
      await first.producer.close({ timeoutMs: 0 });
      await clientOf((one) => log.take(one))
        .stream.producer({ id })
        .append({ data: 1 });
      for (const _ of [1, 2]) {
        const { producer } = open((one) => log.take(one));
        await expect(producer.close()).rejects.toMatchObject({ code: "fenced" });
        expect(producer.pending.records).toBe(1);
      }
      expect(log.data).toEqual([0, 1]);
    });
  });

  describe("of a partition that is split", () => {
    /** The partition 0, its heirs, and what of it gets an answer. */
    function split(answers: (one: Asked, answer: Response) => Response | Error = (_, answer) => answer) {
      const [old, heirs] = [new Log(), new Log()];
      const answer = (one: Asked) => answers(one, (one.url.endsWith("?partition=0") ? old : heirs).take(one));
      return { old, heirs, answer };
    }

    test.each([undefined, 1])("goes on, once, where it is opened for %s", async (partition) => {
      const { old, heirs, answer } = split();
      const first = open(answer, { partition: 0 }).producer;
      await first.append({ data: 0 });
      expect(() => open(answer, { partition })).toThrow(expect.objectContaining({ code: "spool-busy" }));
      old.sealed = true;
      for (const data of [1, 2]) await first.push({ data });
      await expect(first.flush()).rejects.toMatchObject({ code: "sealed" });
      expect(await first.close({ timeoutMs: 0 })).toEqual({ sent: 1, unsent: 2 });
      const second = open(answer, partition === undefined ? {} : { partition }).producer;
      await second.push({ data: 3 });
      expect(await second.close()).toEqual({ sent: 3, unsent: 0 });
      expect([old.data, heirs.data]).toEqual([[0], [1, 2, 3]]);
      // It is another's from then on.
      expect(() => open(answer, { partition: 0 })).toThrow(`is for partition ${partition ?? "of each key"}`);
    });

    test("sends nothing twice that was stored there, and whose answer was lost", async () => {
      let isLost = true;
      const { old, heirs, answer } = split((_, answer) => (isLost ? away() : answer));
      const first = open(answer, { partition: 0 }).producer;
      await first.push({ data: 0 });
      await expect.poll(() => old.data).toEqual([0]);
      await first.push({ data: 1 });
      await first.close({ timeoutMs: 0 });
      expect(() => open(answer)).toThrow("is for partition 0");
      [old.sealed, isLost] = [true, false];
      const second = open(answer, { partition: 0 }).producer;
      await expect(second.flush()).rejects.toMatchObject({ code: "sealed" });
      await second.close({ timeoutMs: 0 });
      // What it says is on its way is what was stored.
      const third = open(answer).producer;
      expect(await third.close()).toEqual({ sent: 1, unsent: 0 });
      expect([old.data, heirs.data]).toEqual([[0], [1]]);
    });

    test("asks it first for what was on its way when it was sealed", async () => {
      let isLost = false;
      const { old, heirs, answer } = split((_, answer) => (isLost ? away() : answer));
      const first = open(answer, { partition: 0 }).producer;
      await first.append({ data: 0 });
      isLost = true;
      await first.push({ data: 1 });
      await expect.poll(() => old.data).toEqual([0, 1]);
      await first.close({ timeoutMs: 0 });
      // As if it had been told before it was killed.
      placed((place) => ({ ...place, sealed: true }));
      [old.sealed, isLost] = [true, false];
      const second = open(answer).producer;
      await second.push({ data: 2 });
      expect(await second.close()).toEqual({ sent: 2, unsent: 0 });
      expect([old.data, heirs.data]).toEqual([[0, 1], [2]]);
    });
  });

  test("waits where whoever gives its token is away", async () => {
    const log = new Log();
    let isAway = true;
    const { client } = clientOf((one) => log.take(one), {
      retry: { initialMs: 1, maxMs: 5 },
      token: () => (isAway ? Promise.reject(new Error("no token today")) : "t"),
    });
    const producer = client.stream("s").producer({ spool: spool(folder) });
    await producer.push({ data: 0 });
    await expect.poll(() => producer.trouble?.message).toContain("no token today");
    isAway = false;
    expect(await producer.close()).toEqual({ sent: 1, unsent: 0 });
  });

  test("refuses a value that is none, by its name, and writes nothing", async () => {
    const { stream } = clientOf(away);
    rmSync(folder, { recursive: true });
    const numbers = [0, -1, 1.5, Number.NaN, "7", null];
    const others = [1, "x", null, {}];
    const odd: readonly (readonly [string, readonly unknown[], (value: object) => unknown])[] = [
      ...["bytesMax", "recordsMax"].map(
        (name) => [name, numbers, (given: object) => stream.producer({ spool: spool(folder, given) })] as const,
      ),
      ["onTrouble", others, (given: object) => stream.producer({ spool: spool(folder, given) })],
      ...["batchBytes", "batchRecords"].map(
        (name) => [name, numbers, (given: object) => stream.producer({ ...given, spool: spool(folder) })] as const,
      ),
      ["partition", numbers.slice(1), (given: object) => stream.producer({ ...given, spool: spool(folder) })],
      ...["onSettled", "signal"].map(
        (name) => [name, others, (given: object) => stream.producer({ ...given, spool: spool(folder) })] as const,
      ),
    ];
    for (const [name, values, take] of odd)
      for (const value of values) {
        expect(() => take({ [name]: value }), `${name}: ${value}`).toThrow(TypeError);
        expect(() => take({ [name]: value })).toThrow(`${name}: must be`);
      }
    for (const path of ["", undefined, 7]) expect(() => spool(path as string)).toThrow("folder: must be a path");
    expect(existsSync(folder)).toBe(false);
    const endless = Number.POSITIVE_INFINITY;
    const { producer } = open(away, { batchBytes: endless, batchRecords: 1, bytesMax: endless, recordsMax: endless });
    for (const timeoutMs of ["5", Number.NaN, null])
      await expect(producer.close({ timeoutMs } as object)).rejects.toThrow("timeoutMs: must be a number");
    await producer.push({ data: 0 });
    await producer.close({ timeoutMs: -1 });
  });

  test("ends in the shortest time that anybody gives it, whoever closes it first", async () => {
    for (const first of [undefined, 600_000]) {
      const { producer } = open(away);
      await producer.push({ data: 0 });
      const { records } = producer.pending;
      const before = producer.close(first === undefined ? {} : { timeoutMs: first });
      const ended = first === undefined ? expect(before).rejects.toMatchObject({ code: "closed" }) : before;
      expect(await producer.close({ timeoutMs: 20 })).toEqual({ sent: 0, unsent: records });
      await ended;
      expect(await producer.close({ timeoutMs: 20 })).toEqual({ sent: 0, unsent: records });
    }
    // Nobody else has to hear of it.
    const controller = new AbortController();
    const { producer } = open(away, { signal: controller.signal });
    const waits = expect(producer.close()).rejects.toMatchObject({ code: "closed" });
    controller.abort();
    await waits;
  });

  test("tells those who wait for what it leaves behind", async () => {
    const { producer } = open(away);
    const appended = producer.append({ data: 0 });
    const failed = expect(appended).rejects.toMatchObject({ code: "closed", clean: false });
    expect(await producer.close({ timeoutMs: 5 })).toEqual({ sent: 0, unsent: 1 });
    await failed;
  });

  test("ends at once with its signal, and keeps what it has", async () => {
    const controller = new AbortController();
    const { producer } = open(away, { signal: controller.signal });
    await producer.push({ data: 0 });
    controller.abort();
    expect(await producer.close()).toEqual({ sent: 0, unsent: 1 });
    expect(open(away).producer.pending.records).toBe(1);
  });

  test("refuses what has no meaning, and what is no record", async () => {
    const { stream } = clientOf(away);
    for (const name of [
      "epoch",
      "lingerMs",
      "bufferBytes",
      "bufferRecords",
      "attempts",
    ] satisfies (keyof ProducerOptions)[])
      expect(() => stream.producer({ [name]: 1, spool: spool(folder) })).toThrow(`${name}: has no meaning`);
    const { producer } = open(away);
    await expect(producer.push({ data: Number.NaN })).rejects.toThrow("data is NaN");
    const tooLarge = { code: "record-too-large", retryable: false };
    await expect(producer.push({ data: "x".repeat(1_000_000) })).rejects.toMatchObject(tooLarge);
    expect(producer.pending).toEqual({ records: 0, bytes: 0 });
    await producer.close();
  });
});

describe("a folder", () => {
  test("is one producer's at a time", async () => {
    const { producer } = open(away);
    const busy = expect.objectContaining({
      code: "spool-busy",
      message: expect.stringContaining(`process ${process.pid}`),
    });
    expect(() => open(away)).toThrow(busy);
    const [lock] = readdirSync(folder).filter((name) => name.startsWith("lock-"));
    await producer.close({ timeoutMs: 0 });
    expect(readdirSync(folder)).toEqual(["place"]);
    // Another thread of this process; the process above this one, which lives, and one of its number that began at another time.
    for (const [name, isTaken] of [
      [lock, true],
      [`lock-${process.ppid}-${begunAt(process.ppid)}`, true],
      [`lock-${process.ppid}-7`, false],
      ["lock-0-", false],
    ] as const) {
      writeFileSync(join(folder, name), "");
      if (isTaken) expect(() => open(away), name).toThrow(expect.objectContaining({ code: "spool-busy" }));
      else await open(away).producer.close({ timeoutMs: 0 });
      rmSync(join(folder, name), { force: true });
    }
    await open(away).producer.close({ timeoutMs: 0 });
  });

  test("is one stream's, one partition's and one producer's", async () => {
    await open(away, { id: "a" }).producer.close({ timeoutMs: 0 });
    await open(away).producer.close({ timeoutMs: 0 });
    expect(() => open(away, { id: "b" })).toThrow("is for producer 'a'");
    expect(() => open(away, { partition: 1 })).toThrow("is for partition of each key");
    const { client } = clientOf(away);
    expect(() => client.stream("t").producer({ spool: spool(folder) })).toThrow("is for stream 's'");
  });

  test.each([
    ["not", ""],
    ["by no header", "café"],
    ["by no header, either", "a\nb"],
    ["as another", " shop"],
    ["not by the service", "x".repeat(limits.producerIdBytesMax + 1)],
  ])("is for no name that is carried %s", async (_, id) => {
    const refused = expect.objectContaining({ code: "invalid", message: "id: must be 1-128 visible ASCII" });
    rmSync(folder, { recursive: true });
    expect(() => open(away, { id })).toThrow(refused);
    expect(existsSync(folder)).toBe(false);
    expect(() => clientOf(away).stream.producer({ id })).toThrow(refused);
    // A release before took it, and could send nothing.
    const { producer } = open(away, { id: "shop" });
    await producer.push({ data: 0 });
    await producer.close({ timeoutMs: 0 });
    placed((place) => ({ ...place, id }));
    const log = new Log();
    const longest = "x".repeat(limits.producerIdBytesMax);
    const { producer: next, asked } = open((one) => log.take(one), { id: longest });
    await next.push({ data: 1 });
    expect(await next.close()).toEqual({ sent: 2, unsent: 0 });
    expect(asked[0].headers["producer-id"]).toBe(longest);
    expect(log.data).toEqual([0, 1]);
  });

  test("is one namespace's, and of before that was written down, whoever's has it next", async () => {
    const of = (namespace?: string) => clientOf(away, namespace === undefined ? {} : { namespace }).stream;
    const first = of("tenant-a").producer({ spool: spool(folder) });
    await first.push({ data: "of a" });
    await first.close({ timeoutMs: 0 });
    for (const other of ["tenant-b", "default", undefined])
      expect(() => of(other).producer({ spool: spool(folder) })).toThrow("is for namespace 'tenant-a'; give another");
    placed(({ namespace: _, ...older }) => older);
    const next = of("tenant-b").producer({ spool: spool(folder) });
    expect(next.pending.records).toBe(1);
    await next.close({ timeoutMs: 0 });
    expect(() => of("tenant-a").producer({ spool: spool(folder) })).toThrow("is for namespace 'tenant-b'");
  });

  test("of a newer release is refused", async () => {
    await open(away).producer.close({ timeoutMs: 0 });
    placed((place) => ({ ...place, version: 2 }));
    expect(() => open(away)).toThrow("newer release");
  });

  /** A folder with three entries, and what its last file and `place` have. */
  async function left() {
    const { producer } = open(away);
    for (const data of numbers(3)) await producer.push({ data });
    await producer.close({ timeoutMs: 0 });
    const path = join(folder, segments()[0]);
    return { path, bytes: readFileSync(path), place: readFileSync(join(folder, "place")) };
  }

  test("whose last entry is torn anywhere has what came before it, and takes more", async () => {
    const { path, bytes, place } = await left();
    const entry = bytes.length / 3;
    const torn = Array.from({ length: entry }, (_, length) => bytes.subarray(0, 2 * entry + length));
    // A file system may have given it room, and nothing to have there.
    const tails = [Buffer.alloc(7), Buffer.alloc(entry), Buffer.from("MRMR\x01")];
    for (const file of [...torn, ...tails.map((tail) => Buffer.concat([torn[0], tail]))]) {
      writeFileSync(path, file);
      // Nobody was told of the last one.
      writeFileSync(join(folder, "place"), place.subarray(0, 4_096));
      const log = new Log();
      const { producer } = open((one) => log.take(one));
      expect(producer.pending.records).toBe(2);
      expect(statSync(path).size).toBe(2 * entry);
      await producer.push({ data: "new" });
      await producer.close();
      expect(log.data).toEqual([0, 1, "new"]);
    }
  });

  test("that has less than was kept is refused, wherever it was cut off, and stays as it is", async () => {
    const { path, bytes } = await left();
    for (let length = 0; length < bytes.length; length++) {
      for (const file of [bytes.subarray(0, length), Buffer.concat([bytes.subarray(0, length), Buffer.alloc(9)])]) {
        writeFileSync(path, file);
        expect(() => open(away), `${length}`).toThrow(expect.objectContaining({ code: "spool-damaged" }));
        expect(readFileSync(path)).toEqual(file);
      }
    }
    const entry = bytes.length / 3;
    truncateSync(path, entry);
    expect(() => open(away)).toThrow(`${path} ends at byte ${entry}, and was kept up to byte ${3 * entry}`);
    rmSync(path);
    expect(() => open(away)).toThrow(expect.objectContaining({ code: "spool-damaged" }));
  });

  test("that lacks a file is refused, whichever it is, with and without a batch on its way", async () => {
    const { producer } = open(away, { bytesMax: 500_000 });
    for (const n of numbers(4)) await producer.push({ data: `${n}${"x".repeat(70_000)}` });
    await producer.close({ timeoutMs: 0 });
    expect(segments().length).toBe(4);
    const place = placed((slot) => slot);
    for (const isOnItsWay of [true, false]) {
      if (!isOnItsWay) placed(({ to: _, at: __, ...rest }) => rest);
      for (const name of segments()) {
        const bytes = readFileSync(join(folder, name));
        rmSync(join(folder, name));
        const kept = readFileSync(join(folder, "place"));
        expect(() => open(away), name).toThrow(expect.objectContaining({ code: "spool-damaged" }));
        expect(readFileSync(join(folder, "place"))).toEqual(kept);
        writeFileSync(join(folder, name), bytes);
      }
    }
    expect(place.to).toBeDefined();
    expect(open(away).producer.pending.records).toBe(4);
  });

  test("has what was kept first after all was stored, whoever dies then", async () => {
    const log = new Log();
    const first = open((one) => log.take(one)).producer;
    for (const data of numbers(3)) await first.append({ data: `${data}${"x".repeat(100)}` });
    await first.close();
    expect(segments()).toEqual([]);
    const second = open(away).producer;
    const place = readFileSync(join(folder, "place"));
    await second.push({ data: 3 });
    await second.close({ timeoutMs: 0 });
    // As it was before what is to be sent was written down.
    writeFileSync(join(folder, "place"), place);
    const third = open((one) => log.take(one)).producer;
    expect(third.pending.records).toBe(1);
    await third.close();
    expect(log.data.at(-1)).toBe(3);
  });

  test("that is damaged before its end is refused, whatever byte it is", async () => {
    const { path, bytes } = await left();
    for (let at = 0; at < (bytes.length / 3) * 2; at++) {
      // Flags, base and timestamp are made anew when it is sent.
      const inEntry = at % (bytes.length / 3);
      if (inEntry === 3 || (inEntry >= 16 && inEntry < 32)) continue;
      const changed = Buffer.from(bytes);
      changed[at] ^= 0x10;
      writeFileSync(path, changed);
      expect(() => open(away), `byte ${at}`).toThrow(expect.objectContaining({ code: "spool-damaged" }));
    }
    writeFileSync(path, bytes);
    expect(open(away).producer.pending.records).toBe(3);
  });

  test.each([4, 5])("knows where it was when the next place is torn: %i batches", async (batches) => {
    const log = new Log();
    const { producer } = open((one) => log.take(one));
    for (const data of numbers(batches)) await producer.append({ data });
    const files = [...segments(), "place"].map((name) => [name, readFileSync(join(folder, name))] as const);
    await producer.close();
    for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
    const place = readFileSync(join(folder, "place"));
    const counts = [0, 2_048].map((at) => Number(/"count":(\d+)/.exec(place.toString("utf8", at, at + 2_048))?.[1]));
    expect(counts.sort()).toEqual([batches - 1, batches]);
    // Every second one is written over the older.
    const older = ((batches + 1) % 2) * 2_048;
    writeFileSync(join(folder, "place"), place.fill(0, older + 20, older + 60));
    const next = open((one) => log.take(one));
    expect(next.producer.pending.records).toBe(1);
    await next.producer.append({ data: batches });
    await next.producer.close();
    expect(log.data).toEqual(numbers(batches + 1));
  });

  test("without its place, or without what was on its way, is refused", async () => {
    const { path, place } = await left();
    rmSync(join(folder, "place"));
    expect(() => open(away)).toThrow(expect.objectContaining({ code: "spool-damaged" }));
    writeFileSync(join(folder, "place"), place);
    truncateSync(path, 0);
    expect(() => open(away)).toThrow(expect.objectContaining({ code: "spool-damaged" }));
  });

  test("that cannot be written fails the push, and takes more when it can", async () => {
    const log = new Log();
    const { producer } = open((one) => log.take(one));
    rmSync(folder, { recursive: true });
    await expect(producer.push({ data: 0 })).rejects.toMatchObject({ code: "spool-failed", clean: false });
    expect(producer.pending).toEqual({ records: 0, bytes: 0 });
    mkdirSync(folder);
    expect(await producer.append({ data: 1 })).toMatchObject({ offset: 0 });
    await producer.close();
  });
});
