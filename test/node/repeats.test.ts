/** What is sent again is there once, and answered as it was: by a producer's number, or by its id, over any growth. */
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { murmur3 } from "../../src/lib/hash.ts";
import { Log } from "../../src/log/log.ts";
import { FrameWriter, type Rec } from "../../src/log/record.ts";
import type { Terms } from "../../src/log/sequence.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { type Answered, Partitions, type Verdict } from "./partitions.ts";
import { nodeSql } from "./sqlite.ts";

interface Sent {
  readonly key?: string;
  readonly id?: string;
  readonly source?: string;
  readonly data: number;
}

/** Few names, so that they come again. */
const sent: fc.Arbitrary<Sent> = fc.record(
  {
    key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
    id: fc.constantFrom("1", "2", "3"),
    source: fc.constantFrom("s", "/t"),
    data: fc.nat(9),
  },
  { requiredKeys: ["data"] },
);
const batchOf = fc.array(sent, { minLength: 1, maxLength: 12 });
const formOf = fc.record({ frames: fc.boolean(), verdicts: fc.constantFrom("each", "runs") });

function framesOf(records: readonly Sent[]): Uint8Array {
  const writer = new FrameWriter();
  for (const { data, ...record } of records) writer.add({ ...record, kind: 1, data: encodeText(String(data)) });
  return concat(writer.finish(0));
}

type Form = { readonly frames: boolean; readonly verdicts: string };

function send(stream: Partitions, records: readonly Sent[], form: Form, sequence?: number): Promise<Answered> {
  const body = form.frames ? framesOf(records) : JSON.stringify({ records });
  const type = form.frames ? "application/vnd.millrace.frames" : "application/json";
  const producer = { "producer-id": "p", "producer-epoch": "0", "producer-seq": String(sequence) };
  const headers = { "content-type": type, ...(sequence === undefined ? {} : producer) };
  return stream.send(body, headers, { verdicts: form.verdicts });
}

const plain = { frames: false, verdicts: "each" };
const asDuplicates = (verdicts: readonly Verdict[]) =>
  verdicts.map((one) => ({ ...one, verdict: one.verdict === "appended" ? "duplicate" : one.verdict }));
const identityOf = ({ key, id, source = "" }: Sent) => JSON.stringify([source, id, key]);

type Step =
  | {
      readonly do: "send";
      readonly records: readonly Sent[];
      readonly form: Form;
      /** Before the part of the request with this number: the stream grows, or the way to the partition fails. */
      readonly growsAt: number;
      readonly failsAt: number;
      /** A part that fails has been appended. */
      readonly after: boolean;
      /** By how much the stream grows before what failed is sent again. */
      readonly by: number;
    }
  | { readonly do: "again"; readonly back: number; readonly form: Form }
  | { readonly do: "grow"; readonly by: number }
  | { readonly do: "reopen" };

const sending = fc.record({
  do: fc.constant("send" as const),
  records: batchOf,
  form: formOf,
  growsAt: fc.nat(8),
  failsAt: fc.nat(6),
  after: fc.boolean(),
  by: fc.nat(2),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: sending },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("again" as const), back: fc.nat(4), form: formOf }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("grow" as const), by: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);
const steps = fc.array(step, { minLength: 2, maxLength: 14 });
const active = (stream: Partitions) => stream.map.filter(({ sealed }) => !sealed).length;
const growOf = (stream: Partitions, by: number) => stream.grow(Math.min(active(stream) + by, 9));

/** Sends a batch as a producer does: again, under its number, until no part of it has failed. */
async function deliver(stream: Partitions, one: Extract<Step, { do: "send" }>, sequence: number): Promise<Verdict[]> {
  let parts = 0;
  stream.around = (append) => {
    if (++parts === one.growsAt) growOf(stream, 1);
    if (parts !== one.failsAt) return append();
    if (one.after) append();
    throw Object.assign(new Error("no answer"), { retryable: true });
  };
  const first = await send(stream, one.records, one.form, sequence);
  stream.around = (append) => append();
  const failed = (verdict?: Verdict) => verdict === undefined || verdict.verdict === "rejected";
  if (first.code === undefined && !first.verdicts.some(failed)) return [...first.verdicts];
  if (one.by > 0) growOf(stream, one.by);
  const second = await send(stream, one.records, one.form, sequence);
  const known = asDuplicates(first.verdicts);
  second.verdicts.forEach((verdict, index) => {
    if (!failed(known[index])) expect(verdict).toEqual(known[index]);
  });
  return [...second.verdicts];
}

describe("a producer's batch that is sent again", () => {
  test("is answered with each record's first verdict, whatever it holds and however the stream has grown", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), steps, async (partitions, steps) => {
        const stream = new Partitions(partitions);
        const before: { records: readonly Sent[]; verdicts: readonly Verdict[] }[] = [];
        for (const one of steps) {
          if (one.do === "grow") growOf(stream, one.by);
          else if (one.do === "reopen") stream.reopen();
          else if (one.do === "send") {
            const verdicts = await deliver(stream, one, before.length);
            expect(verdicts).toHaveLength(one.records.length);
            expect(verdicts.map(({ verdict }) => verdict)).not.toContain("rejected");
            before.push({ records: one.records, verdicts });
          } else if (before.length > 0) {
            const sequence = Math.max(0, before.length - 1 - one.back);
            const { records, verdicts } = before[sequence];
            const answer = await send(stream, records, one.form, sequence);
            expect(answer).toMatchObject({ status: 200, verdicts: asDuplicates(verdicts) });
          }
        }
        const told = before.flatMap(({ records, verdicts }) =>
          verdicts.map(({ partition, offset }, index) => ({ place: `${partition}.${offset}`, sent: records[index] })),
        );
        const stored = stream.stored();
        // Everything that is stored was told, and records without an id have a place each.
        expect(new Set(told.map(({ place }) => place))).toEqual(
          new Set(stored.map(({ partition, offset }) => `${partition}.${offset}`)),
        );
        const places = told.filter(({ sent }) => sent.id === undefined).map(({ place }) => place);
        expect(new Set(places).size).toBe(places.length);
        stream.check();
      }),
      { numRuns: times(120, 600) },
    );
  });

  test.each([
    ["no key", [{ data: 1 }], undefined, false],
    ["no key, among others", [{ key: "a", data: 1 }, { data: 2 }], undefined, false],
    ["no key but an id", [{ id: "1", data: 1 }], undefined, true],
    ["a key", [{ key: "a", data: 1 }], undefined, true],
    ["no key, of a producer", [{ data: 1 }], 0, true],
  ] as const)(
    "an expected offset of a batch with %s is of a partition that is certain",
    async (_what, some, sequence, fine) => {
      const producer = { "producer-id": "p", "producer-epoch": "0", "producer-seq": String(sequence) };
      const headers = { "content-type": "application/json", ...(sequence === undefined ? {} : producer) };
      const body = JSON.stringify({ records: some });
      for (let times = 0; times < 8; times++) {
        const { status, code } = await new Partitions(4).send(body, headers, { expectedOffset: "0" });
        expect([status, code]).toEqual(fine ? [201, undefined] : [400, "invalid"]);
      }
      const queries: Record<string, string>[] = [{ expectedOffset: "0", partition: "2" }, {}];
      for (const query of queries) {
        const keyless = JSON.stringify({ records: [{ data: 1 }] });
        expect((await new Partitions(4).send(keyless, headers, query)).status).toBe(201);
      }
      expect((await new Partitions(1).send(body, headers, { expectedOffset: "0" })).status).toBe(201);
    },
  );

  test.each([
    ["atomic", { atomic: "true" }],
    ["at an expected offset", { expectedOffset: "0" }],
    ["to a partition that it named", { partition: "0" }],
  ])("is answered where it was sent %s, though it could not be appended so any more", async (_how, query) => {
    const stream = new Partitions(1);
    const records = ["a", "b", "c", "d", "e", "f"].map((key, data) => ({ key, data }));
    const sending = (some: readonly Sent[], sequence: number) => {
      const producer = { "producer-id": "p", "producer-epoch": "0", "producer-seq": String(sequence) };
      return stream.send(JSON.stringify({ records: some }), { "content-type": "application/json", ...producer }, query);
    };
    const first = await sending(records, 0);
    expect(first).toMatchObject({ status: 201 });
    for (const partitions of [2, 4]) {
      stream.grow(partitions);
      // The Worker learns of the growth by the first, and knows it the second time.
      for (let round = 0; round < 2; round++) {
        // Where it cannot be asked nobody is told that the batch has no place any more, and sends it otherwise.
        stream.asking = () => Promise.reject(Object.assign(new Error("away"), { retryable: true }));
        expect(await sending(records, 0)).toMatchObject({ status: 503, code: "unavailable" });
        stream.asking = (ask) => ask();
        expect(await sending(records, 0)).toMatchObject({ status: 200, verdicts: asDuplicates(first.verdicts) });
      }
    }
    // Another batch of the number was not, and neither was another number.
    for (const [some, sequence] of [
      [records.slice(1), 0],
      [records, 1],
    ] as const) {
      expect((await sending(some, sequence)).status).toBeGreaterThanOrEqual(400);
    }
    expect(stream.stored()).toHaveLength(records.length);
  });

  test("is the same one though the service stamps it at another time", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const stream = new Partitions(1, { timestamps: "client" });
    for (const form of [plain, { frames: false, verdicts: "runs" }]) {
      const first = await send(stream, [{ data: 1 }, { key: "a", data: 2 }], form, 0);
      vi.advanceTimersByTime(60_000);
      stream.grow(active(stream) + 1);
      const again = await send(stream, [{ data: 1 }, { key: "a", data: 2 }], form, 0);
      expect(again).toMatchObject({ status: 200, verdicts: asDuplicates(first.verdicts) });
      expect(await send(stream, [{ data: 1 }, { key: "b", data: 2 }], form, 0)).toMatchObject({
        code: "sequence-conflict",
      });
    }
    vi.useRealTimers();
  });

  test("is a conflict where it is another batch, and never has another batch's verdicts", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        batchOf,
        batchOf,
        fc.integer({ min: 0, max: 3 }),
        formOf,
        async (partitions, first, other, by, form) => {
          fc.pre(JSON.stringify(first) !== JSON.stringify(other));
          const stream = new Partitions(partitions, { deduplicationWindowMs: 0 });
          const { verdicts } = await send(stream, first, plain, 0);
          if (by > 0) growOf(stream, by);
          const there = stream.stored().length;
          const answer = await send(stream, other, form, 0);
          // A partition that had no part of the first batch does not know the number.
          const fresh = answer.verdicts.filter(({ verdict }) => verdict === "appended").length;
          expect(stream.stored()).toHaveLength(there + fresh);
          for (const one of answer.verdicts)
            expect(one.reason ?? one.verdict).toMatch(/^(sequence-conflict|appended)$/);
          if (partitions === 1) expect(answer).toMatchObject({ status: 409, code: "sequence-conflict" });
          // The first one is still answered.
          expect((await send(stream, first, form, 0)).verdicts).toEqual(asDuplicates(verdicts));
        },
      ),
      { numRuns: times(120, 600) },
    );
  });
});

describe("a record with an id", () => {
  test("is there once, with or without a key, from whomever it comes and however the stream has grown", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), steps, async (partitions, steps) => {
        const stream = new Partitions(partitions);
        const known = new Map<string, Verdict>();
        let sequence = 0;
        for (const one of steps) {
          if (one.do === "grow") growOf(stream, one.by);
          else if (one.do === "reopen") stream.reopen();
          else if (one.do === "send") {
            // Some by a producer, whose number has nothing against them.
            const answer = await send(stream, one.records, one.form, one.growsAt < 3 ? sequence++ : undefined);
            one.records.forEach((record, index) => {
              const verdict = answer.verdicts[index];
              if (record.id === undefined) {
                expect(verdict.verdict).toBe("appended");
                return;
              }
              const first = known.get(identityOf(record));
              if (first === undefined) expect(verdict.verdict).toBe("appended");
              else expect(verdict).toEqual({ ...first, verdict: "duplicate" });
              known.set(identityOf(record), first ?? verdict);
            });
          }
        }
        const stored = stream.stored().filter(({ record }) => record.id !== undefined);
        expect(stored).toHaveLength(known.size);
        stream.check();
      }),
      { numRuns: times(100, 500) },
    );
  });

  test("and no key lies where the hash of its source and id says", async () => {
    const stream = new Partitions(4);
    const records = Array.from({ length: 64 }, (_, data) => ({
      id: `i${data}`,
      source: data % 2 === 0 ? "/s" : undefined,
      data,
    }));
    const { verdicts } = await send(stream, records, plain);
    records.forEach(({ id, source = "" }, index) => {
      const hash = murmur3(encodeText(`${source}\0${id}`));
      const { partition } = stream.map.find(({ from, to }) => hash >= from && hash < to)!;
      expect(verdicts[index].partition).toBe(partition);
    });
    expect(new Set(verdicts.map(({ partition }) => partition)).size).toBe(4);
  });

  test("costs as much to know again as to store, in a batch of the most records", () => {
    const log = Log.create(nodeSql(), spec, 1_000);
    const records = Array.from({ length: limits.batchRecordsMax }, (_, index) => ({
      id: `${index}`,
      kind: 0 as const,
      data: new Uint8Array(0),
    }));
    for (const verdict of ["appended", "duplicate", "duplicate"]) {
      const [answer] = log.append([batch(records)], 1_000);
      expect(answer).toMatchObject({ ok: true, value: [{ verdict, offset: 0, count: records.length }] });
    }
  });
});

describe("what refuses new records refuses none that are there", () => {
  const named = (id: string, more: Partial<Rec> = {}): Rec => ({
    id,
    source: "s",
    key: "k",
    kind: 1,
    data: encodeText("1"),
    ...more,
  });
  const producer = { id: "p", epoch: 0, sequence: 0, contiguous: true, sum: 1 };
  const refused = { code: "record-too-large", detail: "too large" } as const;

  /** What has come between a batch and its repeat. The terms are those of the repeat, too. */
  const changes: readonly { what: string; code: string; terms?: Terms; first?: Terms; change?: (log: Log) => void }[] =
    [
      { what: "a limit was lowered", code: "record-too-large", terms: { refused } },
      { what: "the database is full", code: "log-full", change: (log) => Object.assign(log, { hotBytesMax: 1 }) },
      { what: "another has fenced", code: "fenced", terms: { fence: "mine" }, change: (log) => log.fence("its") },
      { what: "the tail went on", code: "expected-offset", terms: { expectedOffset: 0 }, first: { expectedOffset: 0 } },
      {
        what: "the key went on",
        code: "expected-key-offset",
        terms: { expectedKeyOffset: "none" },
        first: { expectedKeyOffset: "none" },
      },
      { what: "the stream is being deleted", code: "unavailable", change: (log) => closed(log) },
    ];
  function closed(log: Log): void {
    log.trim(log.span.tail, 1_000);
    expect(log.close(0, 1_000)).toBe(true);
  }
  const spanned = { ...spec, keyIndex: true, deduplicationWindowMs: 10_000 };

  test.each(changes)("$what: $code", ({ code, terms = {}, first = {}, change }) => {
    const log = Log.create(nodeSql(), spanned, 0);
    const send = (records: readonly Rec[], terms: Terms) => {
      const [answer] = log.append([batch(records, terms)], 1_000);
      return answer.ok ? answer.value : answer.refusal.code;
    };
    const numbered = [named("1"), named("2")];
    expect(send(numbered, { ...first, producer })).toMatchObject([{ verdict: "appended", count: 2 }]);
    change?.(log);
    expect(send(numbered, { ...terms, producer })).toMatchObject([{ verdict: "duplicate", offset: 0, count: 2 }]);
    expect(send([named("2"), named("1")], terms)).toEqual([
      { verdict: "duplicate", offset: 1, count: 1 },
      { verdict: "duplicate", offset: 0, count: 1 },
    ]);
    // Something new among it is refused, and nothing is taken: under the next number, too.
    for (const records of [[named("3")], [named("1"), named("3")], [{ ...named("1"), id: "4" }]]) {
      expect(send(records, terms)).toBe(code);
      expect(send(records, { ...terms, producer: { ...producer, sequence: 1 } })).toBe(code);
    }
    expect(log.span.tail).toBe(2);
  });

  test("where offsets are the producer's, those that are used are known", () => {
    const log = Log.create(nodeSql(), { ...spec, offsets: "producer", deduplicationWindowMs: 0 }, 0);
    const send = (offsets: readonly number[]) => {
      const records = offsets.map((offset) => ({ offset, kind: 0 as const, data: new Uint8Array(0) }));
      const [answer] = log.append([batch(records)], 1_000);
      return answer.ok ? answer.value : answer.refusal.code;
    };
    send([3, 4, 9]);
    log.hotBytesMax = 1;
    expect(send([3, 9])).toMatchObject([
      { verdict: "duplicate", offset: 3 },
      { verdict: "duplicate", offset: 9 },
    ]);
    for (const offsets of [[3, 5], [9, 10], [10]]) expect(send(offsets)).toBe("log-full");
  });
});
