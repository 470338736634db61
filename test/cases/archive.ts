/**
 * A log whose past is archived, rewritten and dropped, against a list: whatever happened, and wherever a crash came in, a
 * reader at any place sees what the list says.
 */
import fc from "fast-check";
import { expect } from "vitest";
import type { Sql } from "../../src/lib/sql.ts";
import type { Filter } from "../../src/log/filter.ts";
import { matches } from "../../src/log/filter.ts";
import { erasedType } from "../../src/log/forgetting.ts";
import { eachItem } from "../../src/log/items.ts";
import { Log } from "../../src/log/log.ts";
import type { Position } from "../../src/log/read.ts";
import { decodeRecord, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Retention, Spec } from "../../src/log/spec.ts";
import { Alarms } from "../../src/objects/alarms.ts";
import { readThrough } from "../../src/objects/cold.ts";
import { History } from "../../src/objects/history.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { record, share } from "./arbitrary.ts";
import { chained } from "./chain.ts";
import { batch, type Stored, spec } from "./log.ts";

type Fault = "fails" | "fails after" | "crash" | "crash after" | "meanwhile";

/** A bucket over another, in which operations fail, or after which everything stops. */
export class Faulty implements Pick<Blobs, "get" | "create" | "delete" | "list"> {
  /** Operations until the fault. */
  left = Number.POSITIVE_INFINITY;
  fault: Fault = "fails";
  /** What happens while an operation is under way. */
  meanwhile: (() => void) | undefined;
  dead = false;

  constructor(
    readonly inner: Blobs,
    /** Names of objects that are there, and are neither found nor named. */
    readonly hidden: ReadonlySet<string> = new Set(),
  ) {}

  /** Names of objects that were read. */
  readonly read = new Set<string>();

  get(key: string, from: number, length: number) {
    this.read.add(key);
    return this.#through(async () => (this.hidden.has(key) ? undefined : this.inner.get(key, from, length)));
  }

  create(key: string, body: Uint8Array, cutOff?: () => void) {
    return this.#through(() => this.inner.create(key, body, cutOff));
  }

  delete(keys: readonly string[]) {
    return this.#through(() => this.inner.delete(keys));
  }

  list(prefix: string, after?: string) {
    return this.#through(async () => {
      const page = await this.inner.list(prefix, after);
      return { ...page, blobs: page.blobs.filter(({ key }) => !this.hidden.has(key)) };
    });
  }

  async #through<T>(work: () => Promise<T>): Promise<T> {
    // A process that has died waits for ever; the test goes on without it.
    if (this.dead) return new Promise(() => {});
    const now = --this.left === 0;
    if (now && this.fault === "fails") throw new Error("the bucket does not answer");
    if (now && this.fault === "crash") return this.#die();
    if (now && this.fault === "meanwhile") this.meanwhile?.();
    const done = await work();
    if (now && this.fault === "fails after") throw new Error("the answer was lost");
    if (now && this.fault === "crash after") return this.#die();
    return done;
  }

  #die<T>(): Promise<T> {
    this.dead = true;
    this.died?.();
    return new Promise(() => {});
  }

  died: (() => void) | undefined;
}

/** A log and its past, as a partition holds them, over one database and one bucket; may be killed and opened again. */
export class Machine {
  log: Log;
  bucket: Faulty;
  /** Objects that the bucket does not find. */
  readonly hidden = new Set<string>();
  history: History;
  /** The groups have finished what is below. */
  floor = Number.MAX_SAFE_INTEGER;
  now = 0;

  constructor(
    readonly sql: Sql,
    readonly blobs: Blobs,
    readonly spec: Spec,
  ) {
    this.log = Log.open(sql, 0) ?? Log.create(sql, spec, 0);
    this.bucket = new Faulty(blobs, this.hidden);
    this.history = this.#history();
  }

  reopen(): void {
    this.bucket.dead = true;
    this.log = Log.open(this.sql, this.now) as Log;
    this.bucket = new Faulty(this.blobs, this.hidden);
    this.history = this.#history();
  }

  /** Appends a batch. */
  append(...records: Rec[]): void {
    this.log.append([batch(records)], this.now);
  }

  /** Seals what is open. */
  seal(): void {
    this.log.change(this.now, () => this.log.segments.cut(this.log.span.tail, this.now));
  }

  /** Gives the stream another retention. */
  retain(retention: Partial<Retention>): void {
    const { spec } = this.log;
    this.log.configure({ ...spec, version: spec.version + 1, retention: { ...keepAll, ...retention } }, this.now);
  }

  /** Runs the background work until it has nothing to do, or a crash comes. */
  async run(fault?: { at: number; kind: Fault }): Promise<void> {
    const { bucket, history } = this;
    if (fault !== undefined) [bucket.left, bucket.fault] = [fault.at, fault.kind];
    const died = new Promise<void>((resolve) => {
      bucket.died = resolve;
    });
    await Promise.race([history.run(), died]);
    bucket.left = Number.POSITIVE_INFINITY;
    if (bucket.dead) this.reopen();
  }

  /** Everything that a reader gets from a place on, or back from it. */
  async read(
    from: Position,
    options: { backward?: boolean; filter?: Filter; bytesMax?: number } = {},
  ): Promise<Stored[]> {
    const { backward = false, filter, bytesMax = 1_000 } = options;
    const found: Stored[] = [];
    const { logId, partition } = this.log.spec;
    const where = { logId, partition, blobs: this.bucket as unknown as Blobs };
    for (let position = from; ; ) {
      const call = {
        from: position,
        backward,
        limit: 7,
        bytesMax,
        waitMs: 0,
        ...(filter === undefined ? {} : { filter }),
      };
      const page = await readThrough(where, call, async (call) => {
        const read = this.log.read(call);
        if (!read.ok) return read;
        const { head, tail } = this.log.span;
        return { ok: true, value: { ...read.value, head, tail, sealed: false, promise: 0 } };
      });
      if (!page.ok) throw new Error(JSON.stringify(page));
      const { pieces, from: low, to, upToDate } = page.value;
      for (const piece of pieces) {
        if (!("body" in piece)) throw new Error(`damaged: ${piece.damaged.reason}`);
        const items: Stored[] = [];
        eachItem(piece.body, { from: low, to, filter }, ({ bytes, from, to, offset, timestamp }) => {
          const { offset: _o, timestamp: _t, ...rec } = decodeRecord(bytes, from, to);
          items.push({ offset, timestamp, record: { ...rec, data: Uint8Array.from(rec.data) } });
        });
        found.push(...(backward ? items.reverse() : items));
      }
      if (upToDate) return found;
      const next: Position = backward ? { at: "before", offset: low } : { at: "offset", offset: to };
      expect("offset" in position && position.offset === next.offset && pieces.length === 0).toBe(false);
      position = next;
    }
  }

  #history(): History {
    const storage = { setAlarm: () => {}, getAlarm: async () => null } as unknown as DurableObjectStorage;
    const blobs = this.bucket as unknown as Blobs;
    const outside = { floor: async () => this.floor, forget: async () => {}, tell: async () => {} };
    return new History(
      () => this.log,
      blobs,
      new Alarms(storage),
      outside,
      () => this.now,
    );
  }
}

type Step =
  | { do: "erase"; key: string }
  | { do: "append"; records: Rec[] }
  | { do: "run" }
  | { do: "fault"; at: number; kind: Fault; share: number }
  | { do: "reopen" }
  | { do: "trim"; share: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      records: fc.array(record, { minLength: 1, maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("run" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      at: fc.integer({ min: 1, max: 4 }),
      kind: fc.constantFrom<Fault>("fails", "fails after", "crash", "crash after", "meanwhile"),
      share,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("trim" as const), share }),
  },
);

const erase = fc.record({ do: fc.constant("erase" as const), key: fc.constantFrom("a", "b", "c") });

const small: Retention = { ...keepAll, archive: true, retentionRecords: 8 };
let logs = 0;

export async function archiveAgainstModel(open: () => Sql, bucket: () => Blobs, runs: number): Promise<void> {
  const seen = { cold: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 40, size: "max" }),
      fc.nat(),
      fc.integer({ min: 1, max: 3_000 }),
      async (steps, place, bytesMax) => {
        const logId = (++logs).toString(16).padStart(20, "0");
        const machine = new Machine(open(), bucket(), { ...spec, logId, deduplicationWindowMs: 0, retention: small });
        const model: Stored[] = [];
        let head = 0;
        let now = 1_000;
        for (const one of steps) {
          now += 10;
          machine.now = now;
          if (one.do === "erase") continue;
          if (one.do === "append") {
            const offset = model.length;
            machine.log.append([batch(one.records)], now);
            one.records.forEach((rec, index) => {
              model.push({ offset: offset + index, timestamp: now, record: rec });
            });
          } else if (one.do === "run") await machine.run();
          else if (one.do === "reopen") machine.reopen();
          else {
            const trim = () => {
              head = Math.max(head, Math.floor(one.share * model.length));
              machine.log.trim(head, now);
            };
            machine.bucket.meanwhile = trim;
            if (one.do === "fault") await machine.run(one);
            else trim();
          }
          machine.log.check();
        }
        const check = async () => {
          await chained(machine);
          const left = model.slice(head);
          expect(machine.log.span).toMatchObject({ head, tail: model.length });
          expect(await machine.read({ at: "earliest" }, { bytesMax })).toEqual(left);
          const from = head + (place % (left.length + 1));
          expect(await machine.read({ at: "offset", offset: from }, { bytesMax })).toEqual(model.slice(from));
          expect(await machine.read({ at: "before", offset: from }, { bytesMax, backward: true })).toEqual(
            model.slice(head, from).reverse(),
          );
          const count = 1 + (place % (left.length + 1));
          expect(await machine.read({ at: "last", count }, { bytesMax })).toEqual(left.slice(-count));
          const time = 1_000 + (place % (steps.length * 10 + 10));
          expect(await machine.read({ at: "time", time }, { bytesMax })).toEqual(
            left.filter(({ timestamp }) => timestamp >= time),
          );
          const key = left[place % Math.max(1, left.length)]?.record.key ?? "none";
          expect(await machine.read({ at: "earliest" }, { bytesMax, filter: { key } })).toEqual(
            left.filter(({ record }) => matches({ key }, record)),
          );
        };
        await check();
        // What is left to do is done, whatever went wrong before; then nothing is in the bucket that nobody knows.
        machine.now += 3_600_000;
        machine.reopen();
        await machine.run();
        await check();
        const known = [...machine.log.segments.store.from(0)].filter(({ size }) => size > 0).map(({ base }) => base);
        const { blobs } = await machine.blobs.list(`logs/${logId}/`);
        expect(blobs.map(({ key }) => Number(key.split("/")[3].split("-")[0]))).toEqual(known);
        expect(machine.log.segments.store.unarchived()).toBeUndefined();
        seen.cold += machine.log.segments.hotFrom > machine.log.span.head ? 1 : 0;
      },
    ),
    { numRuns: runs },
  );
  // The property says something only where it met an archive.
  expect(seen.cold).toBeGreaterThan(runs / 4);
}

/** What is in a bucket, as text: whoever looks for a word finds it. */
export async function textOf(blobs: Blobs, prefix: string): Promise<string> {
  let text = "";
  for (const { key, size } of (await blobs.list(prefix)).blobs) {
    const bytes = (await blobs.get(key, 0, size)) ?? new Uint8Array(0);
    text += Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  }
  return text;
}

/**
 * Compaction and forgetting, between appends, uploads, faults and crashes. A reader always sees records as they were
 * written or, where they were to be forgotten, tombstones; of each key at least the latest record; and in the end nothing
 * of a key that was to be forgotten is anywhere in the bucket.
 */
export async function rewrittenAgainstModel(open: () => Sql, bucket: () => Blobs, runs: number): Promise<void> {
  const seen = { thinned: 0, erased: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 8, arbitrary: step }, { weight: 1, arbitrary: erase }), {
        minLength: 3,
        maxLength: 40,
        size: "max",
      }),
      fc.boolean(),
      fc.boolean(),
      async (steps, compact, archive) => {
        const logId = (++logs).toString(16).padStart(20, "0");
        const retention = { ...small, compact, archive, retentionRecords: archive ? 8 : null };
        const machine = new Machine(open(), bucket(), { ...spec, logId, deduplicationWindowMs: 0, retention });
        const model: Stored[] = [];
        const forgotten: { key: string; to: number }[] = [];
        let head = 0;
        machine.now = 1_000;
        for (const one of steps) {
          machine.now += 10;
          // Keys that are found in the bucket, if they are there.
          const named = (key: string) => `key-of-${key}-${logId}`;
          if (one.do === "append") {
            const records = one.records.map((rec) => ({
              ...rec,
              ...(rec.key === undefined ? {} : { key: named(rec.key) }),
            }));
            const offset = model.length;
            machine.log.append([batch(records)], machine.now);
            records.forEach((rec, index) => {
              model.push({ offset: offset + index, timestamp: machine.now, record: rec });
            });
          } else if (one.do === "erase") {
            const id = `e${forgotten.length}`;
            machine.history.workshop?.erasures.request(id, { key: named(one.key) }, machine.now);
            forgotten.push({ key: named(one.key), to: model.length });
          } else if (one.do === "run") await machine.run();
          else if (one.do === "reopen") machine.reopen();
          else {
            const trim = () => {
              head = Math.max(head, Math.floor(one.share * model.length));
              machine.log.trim(head, machine.now);
            };
            machine.bucket.meanwhile = trim;
            if (one.do === "fault") await machine.run(one);
            else trim();
          }
          machine.log.check();
        }
        const isForgotten = ({ offset, record }: Stored) =>
          forgotten.some(({ key, to }) => record.key === key && offset < to);
        const check = async (done: boolean) => {
          await chained(machine);
          const found = await machine.read({ at: "earliest" });
          const offsets = new Set(found.map(({ offset }) => offset));
          for (const one of found) {
            const original = model[one.offset];
            expect(one.timestamp).toBe(original.timestamp);
            if (isForgotten(original) && one.record.type === erasedType) {
              expect(one.record).toEqual({ type: erasedType, kind: 0, data: new Uint8Array(0) });
              seen.erased++;
            } else expect(one.record).toEqual(original.record);
            if (done) expect(one.record.type === erasedType).toBe(isForgotten(original));
          }
          const latest = new Map(model.map(({ record, offset }) => [record.key, offset]));
          for (const { offset, record } of model.slice(head)) {
            const newer = compact && record.key !== undefined && (latest.get(record.key) as number) > offset;
            if (!newer) expect(offsets).toContain(offset);
          }
          expect(offsets.size).toBe(found.length);
          if (offsets.size < model.length - head) seen.thinned++;
          const back = await machine.read({ at: "latest" }, { backward: true });
          expect(back).toEqual([...found].reverse());
          expect(await machine.read({ at: "last", count: 3 })).toEqual(found.slice(-3));
        };
        await check(false);
        // What a crash has cut off may come late, and is waited for.
        for (let hours = 0; hours < 2; hours++) {
          machine.now += 3_600_000;
          machine.reopen();
          await machine.run();
        }
        await check(true);
        const text = await textOf(machine.blobs, `logs/${logId}/`);
        for (const { key, to } of forgotten) {
          const again = model.some(({ offset, record }) => record.key === key && offset >= to);
          if (!again) expect(text).not.toContain(key);
        }
        for (const erasure of machine.history.workshop?.erasures.list() ?? []) {
          expect(erasure).toMatchObject({ state: "done", unread: [] });
          expect(erasure).not.toHaveProperty("target");
        }
      },
    ),
    { numRuns: runs },
  );
  expect(seen.thinned).toBeGreaterThan(runs / 10);
  expect(seen.erased).toBeGreaterThan(runs / 10);
}
