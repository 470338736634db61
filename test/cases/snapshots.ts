/**
 * Snapshots on their way into a bucket that fails, from Workers that die, into a partition that dies: whatever came in
 * between, the list is what was answered, and in the end the bucket has the objects of the list and nothing else.
 */
import fc from "fast-check";
import { expect } from "vitest";
import { Snapshots, uploadMs } from "../../src/archive/snapshots.ts";
import { store } from "../../src/http/snapshots/body.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { Log } from "../../src/log/log.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Spec } from "../../src/log/spec.ts";
import { Alarms } from "../../src/objects/alarms.ts";
import { History } from "../../src/objects/history.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { batch, spec } from "./log.ts";

type Fault = "fails" | "fails after" | "dies" | "dies after";

/** A bucket in memory with uploads in parts, of which one operation may fail, or be the last that a Worker does. */
export class Shop implements Omit<Blobs, "get" | "create" | "open"> {
  readonly objects = new Map<string, number>();
  readonly uploads = new Map<string, { key: string; parts: Map<number, number> }>();
  left = Number.POSITIVE_INFINITY;
  fault: Fault = "fails";
  #next = 0;
  readonly #dead: ((why: Error) => void)[] = [];

  async put(key: string, body: ReadableStream<Uint8Array>): Promise<void> {
    const bytes = (await new Response(body).arrayBuffer()).byteLength;
    await this.#through(() => this.objects.set(key, bytes));
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#through(() => {
      for (const key of keys) this.objects.delete(key);
    });
  }

  async list(prefix: string, after = "") {
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    return { blobs: keys.map((key) => ({ key, size: this.objects.get(key) as number })) };
  }

  begin(key: string): Promise<string> {
    return this.#through(() => {
      const name = `upload-${this.#next++}`;
      this.uploads.set(name, { key, parts: new Map() });
      return name;
    });
  }

  async part(_key: string, upload: string, number: number, body: ReadableStream<Uint8Array>): Promise<string> {
    const bytes = (await new Response(body).arrayBuffer()).byteLength;
    return this.#through(() => {
      this.#open(upload).parts.set(number, bytes);
      return `etag-${number}`;
    });
  }

  async complete(key: string, upload: string): Promise<void> {
    await this.#through(() => {
      const bytes = [...this.#open(upload).parts.values()].reduce((sum, part) => sum + part, 0);
      this.uploads.delete(upload);
      this.objects.set(key, bytes);
    });
  }

  async abort(_key: string, upload: string): Promise<void> {
    await this.#through(() => this.uploads.delete(upload));
  }

  #open(upload: string) {
    const open = this.uploads.get(upload);
    if (open === undefined) throw new Error("no such upload");
    return open;
  }

  async #through<T>(work: () => T): Promise<T> {
    const now = --this.left === 0;
    if (now && this.fault === "fails") throw new Error("the bucket does not answer");
    if (now && this.fault === "dies") return this.#die();
    const done = work();
    if (now && this.fault === "fails after") throw new Error("the answer was lost");
    if (now && this.fault === "dies after") return this.#die();
    return done;
  }

  #die(): Promise<never> {
    this.died();
    return new Promise((_, reject) => this.#dead.push(reject));
  }

  /** What dead Workers held in memory goes with them: that counts, and others would wait for it. */
  bury(): void {
    for (const reject of this.#dead.splice(0)) reject(new Error("the Worker has died"));
  }

  died: () => void = () => {};

  /** True where the work came to its end, and did not die on the way. */
  async lives(work: () => Promise<unknown>): Promise<boolean> {
    const died = new Promise<boolean>((resolve) => {
      this.died = () => resolve(false);
    });
    const lived = work().then(() => true);
    // One that has died may hear of it when nobody listens any more.
    lived.catch(() => {});
    return Promise.race([lived, died]);
  }
}

/** A partition over one database and one bucket, which may be opened again. */
export class Keeper {
  log: Log;
  history: History;
  now = 1_000;
  ids = 0;

  constructor(
    readonly sql: Sql,
    readonly shop: Shop,
    readonly spec: Spec,
  ) {
    this.log = Log.create(sql, spec, 0);
    this.history = this.#history();
  }

  get snapshots(): Snapshots {
    return new Snapshots(this.log);
  }

  append(count: number): void {
    const data = new TextEncoder().encode("1");
    this.log.append([batch(Array.from({ length: count }, () => ({ kind: 1, data })))], this.now);
  }

  reopen(): void {
    this.log = Log.open(this.sql, this.now) as Log;
    this.history = this.#history();
  }

  #history(): History {
    const alarms = new Alarms({ setAlarm: () => {}, getAlarm: async () => null } as unknown as DurableObjectStorage);
    const blobs = this.shop as unknown as Blobs;
    return new History(
      () => this.log,
      blobs,
      alarms,
      { floor: async () => Number.MAX_SAFE_INTEGER, forget: async () => {}, tell: async () => {} },
      () => this.now,
    );
  }

  /** What the Worker does for a PUT, as far as it comes. `stop`: it dies before it says that it is done. */
  async put(offset: number, bytes: number, announced: boolean, stop: boolean): Promise<boolean> {
    const begun = this.snapshots.begin({ offset, contentType: "a/b", name: "" }, `id${this.ids++}`, this.now);
    if (!begun.ok) return false;
    const { id } = begun.value;
    const key = this.snapshots.keyOf(begun.value);
    const body = bytesOf(bytes);
    const stored = await store({ body } as Request, announced ? bytes : undefined, key, {
      blobs: this.shop as unknown as Blobs,
      named: async (name) => this.snapshots.named(id, name),
    });
    if (stop) return false;
    if (!stored.ok) {
      this.snapshots.giveUp(id, this.now);
      return false;
    }
    return this.snapshots.done(begun.value, stored.value, this.now).ok;
  }
}

function bytesOf(count: number): ReadableStream<Uint8Array> {
  let left = count;
  return new ReadableStream({
    pull(controller) {
      const chunk = Math.min(left, 1_048_573);
      left -= chunk;
      if (chunk > 0) controller.enqueue(new Uint8Array(chunk));
      else controller.close();
    },
  });
}

const fault = fc.option(
  fc.record({
    at: fc.integer({ min: 1, max: 5 }),
    kind: fc.constantFrom<Fault>("fails", "fails after", "dies", "dies after"),
  }),
  { nil: undefined },
);

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("put" as const),
      back: fc.integer({ min: 0, max: 3 }),
      // On both sides of a part.
      bytes: fc.constantFrom(0, 10, 8_388_608, 8_388_609),
      announced: fc.boolean(),
      stop: fc.boolean(),
      fault,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), back: fc.integer({ min: 0, max: 3 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("run" as const), ms: fc.constantFrom(1, 700_000, uploadMs), fault }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

export async function snapshotsLeaveNothing(open: () => Sql, runs: number): Promise<void> {
  const seen = { parts: 0, left: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
      const retention = { ...keepAll, snapshotsKept: 2 };
      const keeper = new Keeper(open(), new Shop(), { ...spec, retention });
      const { shop } = keeper;
      let model: { offset: number; bytes: number }[] = [];
      for (const one of steps) {
        keeper.now += 10;
        shop.left = "fault" in one && one.fault !== undefined ? one.fault.at : Number.POSITIVE_INFINITY;
        if ("fault" in one && one.fault !== undefined) shop.fault = one.fault.kind;
        if (one.do === "put") {
          keeper.append(1);
          const offset = Math.max(0, keeper.log.span.tail - one.back);
          let done = false;
          await shop.lives(async () => {
            done = await keeper.put(offset, one.bytes, one.announced, one.stop);
          });
          if (done) {
            const others = model.filter((known) => known.offset !== offset);
            model = [...others, { offset, bytes: one.bytes }].sort((a, b) => b.offset - a.offset).slice(0, 2);
          }
          if (shop.uploads.size > 0) seen.parts++;
        } else if (one.do === "drop") {
          const offset = Math.max(0, keeper.log.span.tail - one.back);
          keeper.snapshots.drop(offset, keeper.now);
          model = model.filter((known) => known.offset !== offset);
        } else if (one.do === "run") {
          keeper.now += one.ms;
          if (!(await shop.lives(() => keeper.history.run()))) keeper.reopen();
        } else keeper.reopen();
        expect(keeper.snapshots.list()).toMatchObject(model);
        const now = keeper.snapshots.list().map((snapshot) => keeper.snapshots.keyOf(snapshot));
        for (const key of now) expect(shop.objects.has(key)).toBe(true);
        if (shop.objects.size > now.length) seen.left++;
      }
      shop.left = Number.POSITIVE_INFINITY;
      keeper.reopen();
      // What was put off, because the bucket failed, is due by then too.
      keeper.now += 2 * uploadMs;
      await keeper.history.run();
      const keys = keeper.snapshots.list().map((snapshot) => keeper.snapshots.keyOf(snapshot));
      expect([...shop.objects.keys()].sort()).toEqual(keys.sort());
      expect(keeper.log.segments.snapshots.uploads()).toEqual([]);
      expect(keeper.log.segments.store.nextGarbage()).toBeUndefined();
      // What was begun and never named is the bucket's to give up: nobody here knows of it.
      expect([...shop.uploads.values()].filter(({ parts }) => parts.size > 0)).toEqual([]);
      keeper.log.check();
      shop.bury();
    }),
    { numRuns: runs },
  );
  // The property says something only where something was left to be deleted, in parts too.
  expect(seen.left).toBeGreaterThan(runs / 4);
  expect(seen.parts).toBeGreaterThan(runs / 20);
}
