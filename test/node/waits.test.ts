/** Reads that wait: what they cost while nothing happens, and what ends them. */
import { scheduler } from "node:timers/promises";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { ok, refuse } from "../../schemas/errors.ts";
import { streamAnswer } from "../../src/http/read/answer.ts";
import { endlessBody, type Made } from "../../src/http/read/endless.ts";
import { Merge } from "../../src/http/read/merge.ts";
import type { Growth, Reading } from "../../src/http/read/reading.ts";
import { Source } from "../../src/http/read/source.ts";
import { firstFetch } from "../../src/http/read/wait.ts";
import { Untaken } from "../../src/http/untaken.ts";
import { decodeText } from "../../src/lib/bytes.ts";
import { Log } from "../../src/log/log.ts";
import type { ReadCall } from "../../src/objects/answer.ts";
import { ReadWaits } from "../../src/objects/read-waits.ts";
import { readWaiting } from "../../src/objects/reading.ts";
import { batch, spec } from "../cases/log.ts";
import "./machine.ts";
import { nodeSql } from "./sqlite.ts";

const later = (ms = 5) => scheduler.wait(ms);
const records = (count: number, key = "k") =>
  batch(Array.from({ length: count }, () => ({ key, kind: 0, data: new Uint8Array(0) })));

/** A partition, as the Worker asks it; it counts what it is asked. */
class Partition {
  readonly log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0 }, 0);
  readonly waits = new ReadWaits();
  reads = 0;
  ends = 0;
  /** It was made before there was a word for the end of a wait. */
  deaf = false;

  async read(call: ReadCall) {
    this.reads++;
    const page = await readWaiting(() => this.log, call, this.waits);
    return page ?? refuse("stream-not-found", "it is gone");
  }

  end(wait: string): void {
    this.ends++;
    if (!this.deaf) this.waits.end(wait);
  }

  append(key?: string): void {
    this.log.append([records(1, key)], Date.now());
    this.waits.wake();
  }

  seal(): void {
    this.log.seal();
    this.waits.wake();
  }
}

let partitions: Partition[];
let abort: AbortController;
beforeEach(() => {
  partitions = [];
  abort = new AbortController();
});

interface Terms {
  readonly count: number;
  readonly wait: number;
  readonly filter?: { key: string };
  /** Partitions that were sealed before. */
  readonly sealed?: readonly number[];
  readonly grow?: (add: () => void) => Growth;
}

/** A read of the whole of a stream, from its tail. */
function waiting({ count, wait, filter, sealed = [], grow = () => "settled" }: Terms) {
  const sources: Source[] = [];
  const add = () => {
    const partition = new Partition();
    const terms = { backward: false, limit: 100, bytesMax: 1e6, toTail: false, ...(filter && { filter }) };
    const asks = { read: (call: ReadCall) => partition.read(call), end: (wait: string) => partition.end(wait) };
    sources.push(new Source(partitions.length, { at: "offset", offset: 0 }, terms, asks));
    partitions.push(partition);
  };
  for (let left = count; left > 0; left--) add();
  for (const partition of sealed) partitions[partition].seal();
  const merge = new Merge(sources, false);
  const until = Date.now() + wait * 1_000;
  const reading = { sources, until, signal: abort.signal, grow: async () => ok(grow(add)) };
  const fetched = firstFetch(reading as unknown as Reading, merge);
  const shown = async () => {
    const found: number[] = [];
    await merge.run((_, partition) => found.push(partition) > 0);
    return found;
  };
  return { sources, merge, fetched, shown, add };
}

const asked = () => partitions.reduce((sum, { reads }) => sum + reads, 0);
const left = () => partitions.reduce((sum, { waits }) => sum + waits.size, 0);

describe("a read that waits", () => {
  test("asks each partition twice, and then nothing, until something happens; the others are ended", async () => {
    const { fetched, shown } = waiting({ count: 50, wait: 20 });
    await later(50);
    expect([asked(), left()]).toEqual([100, 50]);
    partitions[7].append();
    expect((await fetched).ok).toBe(true);
    expect([asked(), left()]).toEqual([100, 0]);
    expect(await shown()).toEqual([7]);
  });

  test("of one partition asks once", async () => {
    const { fetched, shown } = waiting({ count: 1, wait: 20 });
    await later(20);
    expect([asked(), left()]).toEqual([1, 1]);
    partitions[0].append();
    await fetched;
    expect([asked(), left()]).toEqual([1, 0]);
    expect(await shown()).toEqual([0]);
  });

  test("does not wait for what was sealed and read to its end", async () => {
    const { fetched, shown } = waiting({ count: 3, wait: 20, sealed: [0, 1] });
    await later(50);
    expect([asked(), left()]).toEqual([4, 1]);
    partitions[2].append();
    await fetched;
    expect(await shown()).toEqual([2]);
    expect(asked()).toBe(4);
  });

  test("is over at once where everything was sealed and is read", async () => {
    const { fetched, merge } = waiting({ count: 1, wait: 20, sealed: [0] });
    expect(await fetched).toEqual(ok(undefined));
    expect([asked(), left(), merge.idle]).toEqual([1, 0, true]);
  });

  test("goes on over the partitions by which the stream grows, once a map has them", async () => {
    let calls = 0;
    const grow = (add: () => void): Growth => {
      if (!partitions[0].log.sealed || partitions.length > 1) return "settled";
      // The parent is sealed before the new map is out.
      if (++calls < 3) return "behind";
      add();
      return "grown";
    };
    const { fetched, shown, sources } = waiting({ count: 1, wait: 20, grow });
    await later();
    partitions[0].seal();
    await expect.poll(() => partitions[1]?.waits.size).toBe(1);
    partitions[1].append();
    await fetched;
    expect(await shown()).toEqual([1]);
    expect(sources.map(({ partition, next }) => [partition, next])).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test("moves on behind what its filter leaves out, in the partitions that were ended too", async () => {
    const { fetched, sources, shown } = waiting({ count: 2, wait: 20, filter: { key: "wanted" } });
    await later();
    partitions[0].append("other");
    partitions[0].append("other");
    partitions[1].append("other");
    await later();
    expect(left()).toBe(2);
    partitions[1].append("wanted");
    await fetched;
    expect(await shown()).toEqual([1]);
    expect(sources.map(({ next, start }) => [start, next])).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });

  test("ends empty after its time, and nothing is left waiting", async () => {
    const { fetched, merge } = waiting({ count: 4, wait: 0.05 });
    expect(await fetched).toEqual(ok(undefined));
    expect([merge.idle, left()]).toEqual([true, 0]);
  });

  test.each([1, 3])("ends when the client has gone: %i partitions", async (count) => {
    const { fetched } = waiting({ count, wait: 20 });
    await later(20);
    expect(left()).toBe(count);
    abort.abort();
    await expect.poll(left).toBe(0);
    await fetched;
  });

  test("fails where a partition does, and ends the others", async () => {
    const { fetched } = waiting({ count: 3, wait: 20 });
    await later();
    vi.spyOn(partitions[1].log, "read").mockReturnValue(refuse("damaged", "no"));
    partitions[1].append();
    expect(await fetched).toMatchObject({ ok: false, refusal: { code: "damaged" } });
    expect(left()).toBe(0);
  });

  test("goes ahead without a partition that does not hear that its wait is over, and takes nothing of it later", async () => {
    const { fetched, shown, sources } = waiting({ count: 2, wait: 20 });
    partitions[1].deaf = true;
    await later(20);
    partitions[0].append();
    await fetched;
    expect(left()).toBe(1);
    partitions[1].append();
    await later();
    expect(sources[1].entry).toBeUndefined();
    expect(sources[1].next).toBe(0);
    expect(await shown()).toEqual([0, 1]);
  });
});

describe("a partition that is split in the middle of a page", () => {
  /** Partition 1 has a record that partition 0, which is empty, does not promise to come behind: it is asked again. */
  const split = async (growth: (add: () => void) => Growth) => {
    const world = waiting({ count: 2, wait: 0 });
    await world.fetched;
    const time = Date.now() + 400;
    partitions[1].log.append([records(1)], time);
    for (const source of world.sources) source.ended = false;
    // Both are fetched, and then partition 0 alone.
    const read = partitions[0].read.bind(partitions[0]);
    let asked = 0;
    vi.spyOn(partitions[0], "read").mockImplementation((call) => {
      if (asked++ === 1) partitions[0].seal();
      return read(call);
    });
    let taken = false;
    const stream = {
      isSplit: ({ partition, sealed }: Source) => partition === 0 && sealed && !taken,
      grow: async () => {
        const grown = growth(() => {
          world.add();
          partitions[2].log.append([records(1)], time - 100);
        });
        taken = grown === "grown";
        return ok(grown);
      },
    };
    const merge = new Merge(world.sources, false, true, stream);
    const run = async () => {
      const shown: number[] = [];
      expect((await merge.run((_, partition) => shown.push(partition) > 0)).ok).toBe(true);
      return shown;
    };
    return { merge, run };
  };

  test("is continued by others, whose records come in their order", async () => {
    const { merge, run } = await split((add) => {
      add();
      return "grown";
    });
    expect(await run()).toEqual([2, 1]);
    expect(merge.upToDate).toBe(true);
  });

  test("holds back what the others have until a map says by whom", async () => {
    let calls = 0;
    const { merge, run } = await split((add) => {
      if (++calls < 3) return "behind";
      add();
      return "grown";
    });
    for (let round = 0; round < 2; round++) {
      expect(await run()).toEqual([]);
      expect([merge.upToDate, merge.heldMs]).toEqual([false, 50]);
    }
    expect(await run()).toEqual([2, 1]);
  });
});

describe("a record that is stamped ahead of the clock", () => {
  const ahead = async (ms: number) => {
    const one = waiting({ count: 2, wait: 0 });
    await one.fetched;
    partitions[0].log.append([records(1)], Date.now() + 5_000 + ms);
    for (const source of one.sources) source.ended = false;
    const merge = (promises?: boolean) => new Merge(one.sources, false, promises);
    const run = async (merge: Merge) => {
      const shown: number[] = [];
      expect((await merge.run((_, partition) => shown.push(partition) > 0)).ok).toBe(true);
      return shown;
    };
    return { merge, run };
  };

  test("is held back until the others can promise that nothing comes before it, and says for how long", async () => {
    const { merge, run } = await ahead(200);
    const held = merge();
    expect(await run(held)).toEqual([]);
    expect(held.upToDate).toBe(false);
    expect(held.heldMs).toBeGreaterThanOrEqual(50);
    expect(held.heldMs).toBeLessThanOrEqual(200);
    await expect.poll(() => run(held)).toEqual([0]);
    expect([held.upToDate, held.heldMs]).toEqual([true, undefined]);
  });

  test("is not, for a partition of which nothing more is wanted", async () => {
    const [stamped, other] = [new Partition(), new Partition()];
    stamped.log.append([records(1)], Date.now() + 3_600_000);
    const terms = { backward: false, limit: 100, bytesMax: 1e6, toTail: false };
    const sources = [stamped, other].map((partition, number) => {
      const asks = { read: (call: ReadCall) => partition.read(call), end: () => {} };
      return new Source(number, { at: "offset", offset: 0 }, terms, asks);
    });
    sources[1].bound = 0;
    const merge = new Merge(sources, false);
    await merge.fetch(0);
    const shown: number[] = [];
    expect((await merge.run((_, partition) => shown.push(partition) > 0)).ok).toBe(true);
    expect([shown, merge.upToDate, merge.heldMs]).toEqual([[0], true, undefined]);
    expect([stamped.reads, other.reads]).toEqual([1, 1]);
  });

  test("is not, where clients stamp the records: nobody could promise anything", async () => {
    const { merge, run } = await ahead(3_600_000);
    const free = merge(false);
    expect(await run(free)).toEqual([0]);
    expect([free.upToDate, free.heldMs]).toEqual([true, undefined]);
  });
});

describe("an answer with everything up to the tail", () => {
  /** Two partitions: one has records that are stamped so many ms from now, the other nothing. */
  async function whole(format: "json" | "ndjson", stamps: readonly number[]) {
    const stamped = new Partition();
    const now = Date.now();
    for (const ms of stamps) stamped.log.append([records(1)], now + ms);
    const terms = { backward: false, limit: 1e6, bytesMax: 1e6, toTail: true };
    const sources = [stamped, new Partition()].map((partition, number) => {
      const asks = { read: (call: ReadCall) => partition.read(call), end: () => {} };
      return new Source(number, { at: "offset", offset: 0 }, terms, asks);
    });
    const merge = new Merge(sources, false);
    await merge.fetch(0);
    const route = { stream: { logId: spec.logId } };
    const from = { position: { at: "earliest" } };
    const endlessOf = (make: (share: number) => Promise<Made>) => endlessBody(new Untaken(), undefined, make);
    const reading = { sources, terms: { format }, from, backward: false, route, endlessOf, fetchAtMost: () => {} };
    const answer = streamAnswer(reading as unknown as Reading, merge);
    let text = "";
    const read = async () => {
      for await (const bytes of answer.body as unknown as AsyncIterable<Uint8Array>) text += decodeText(bytes);
    };
    const broken = await read().then(
      () => false,
      () => true,
    );
    return { text, shown: text.split('"offset"').length - 1, broken };
  }

  test.each(["json", "ndjson"] as const)("waits for what is held back: %s", async (format) => {
    // One promise of the other partition is asked for each of them, and a run of the merge asks for a few.
    const steps = Array.from({ length: 20 }, (_, n) => 100 * n);
    for (const stamps of [steps, [0, 5_200]]) {
      const { text, shown, broken } = await whole(format, stamps);
      expect([shown, broken]).toEqual([stamps.length, false]);
      if (format === "json") expect(JSON.parse(text)).toMatchObject({ upToDate: true });
    }
  });

  test.each(["json", "ndjson"] as const)("breaks off where that is too long: %s", async (format) => {
    expect(await whole(format, [0, 3_600_000])).toMatchObject({ shown: 1, broken: true });
  });
});

describe("waits of a partition", () => {
  test("end by their name, also where the end comes first, and only the one", async () => {
    const waits = new ReadWaits();
    const ended: string[] = [];
    const begin = (name: string) => waits.wait(20_000, name).then((over) => over && ended.push(name));
    void begin("a");
    void begin("b");
    waits.end("a");
    waits.end("c");
    await begin("c");
    await later(0);
    expect([ended, waits.size]).toEqual([["a", "c"], 1]);
    // Ends of waits that are over are no burden.
    for (let n = 0; n < 30_000; n++) waits.end(`old-${n}`);
    waits.end("b");
    await later(0);
    expect([ended, waits.size]).toEqual([["a", "c", "b"], 0]);
  });

  test("of very many are woken in turns: whoever comes with something else is served in between", async () => {
    const waits = new ReadWaits();
    const order: string[] = [];
    for (let n = 0; n < 1_000; n++) void waits.wait(20_000).then(() => order.push("reader"));
    waits.wake();
    await later(0);
    order.push("other");
    await expect.poll(() => order.length).toBe(1_001);
    expect(order.indexOf("other")).toBeLessThan(500);
    expect(waits.size).toBe(0);
  });

  test("are woken by what happens while others are", async () => {
    const waits = new ReadWaits();
    let woken = 0;
    const wait = () => waits.wait(20_000).then(() => woken++);
    for (let n = 0; n < 500; n++) void wait();
    waits.wake();
    void wait();
    waits.wake();
    await expect.poll(() => woken).toBe(501);
  });
});
