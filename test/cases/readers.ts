/**
 * Logs of which parts are archived and trimmed, and the list of what was appended to them; pages of them are read as the
 * service reads them, over any number of partitions.
 */
import fc from "fast-check";
import { placesOf } from "../../src/http/read/ends.ts";
import { Merge } from "../../src/http/read/merge.ts";
import type { Reading } from "../../src/http/read/reading.ts";
import { Source } from "../../src/http/read/source.ts";
import { refused } from "../../src/http/read/trimmed.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { readCursor } from "../../src/log/cursor.ts";
import { type Filter, matches } from "../../src/log/filter.ts";
import type { Position, Range } from "../../src/log/read.ts";
import { decodeRecord, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Answer, PageAnswer, ReadCall } from "../../src/objects/answer.ts";
import { readThrough } from "../../src/objects/cold.ts";
import { ReadWaits } from "../../src/objects/read-waits.ts";
import { readWaiting } from "../../src/objects/reading.ts";
import type { Blobs } from "../../src/platform/blobs.ts";
import { record } from "./arbitrary.ts";
import { Machine } from "./archive.ts";
import { spec } from "./log.ts";

/** A record, and where it lies. */
export interface Lying {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly record: Rec;
}

/** Offsets that could not be read, and how many records were shown before that was. */
export interface Damaged extends Range {
  readonly partition: number;
  readonly behind: number;
}

/** What happens to a log: `run` archives what is sealed, and drops it from the database. */
export type Event =
  | { readonly do: "append"; readonly partition: number; readonly records: Rec[]; readonly later: number }
  | { readonly do: "seal"; readonly partition: number }
  | { readonly do: "run"; readonly partition: number }
  | { readonly do: "trim"; readonly partition: number; readonly share: number };

const partition = fc.nat(2);

export const events: fc.Arbitrary<Event[]> = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant("append" as const),
        partition,
        records: fc.array(record, { minLength: 1, maxLength: 4 }),
        // Now and then at the same moment as the one before: the partition decides then.
        later: fc.nat(2),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("seal" as const), partition }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("run" as const), partition }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("trim" as const),
        partition,
        share: fc.nat(700).map((thousandths) => thousandths / 1_000),
      }),
    },
  ),
  { minLength: 5, maxLength: 40, size: "max" },
);

export const filters: fc.Arbitrary<Filter | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom("a", "b", "nobody").map((key) => ({ key })),
  fc.constantFrom("t1", "t2").map((type) => ({ types: [type] })),
);

const logId = spec.logId;
const small = { ...keepAll, archive: true, retentionRecords: 4 };

/** A stream of several partitions, and the list of what it holds. */
export class Model {
  readonly logs: readonly Machine[];
  readonly list: Lying[] = [];
  #now = 1_000;

  constructor(partitions: number, open: () => Sql, bucket: () => Blobs, archive: boolean) {
    this.logs = Array.from({ length: partitions }, (_, partition) => {
      const retention = archive ? small : keepAll;
      return new Machine(open(), bucket(), { ...spec, partition, deduplicationWindowMs: 0, retention });
    });
  }

  async take(event: Event): Promise<void> {
    const number = event.partition % this.logs.length;
    const machine = this.logs[number];
    machine.now = this.#now;
    if (event.do === "append") {
      this.#now += event.later;
      machine.now = this.#now;
      const { tail } = machine.log.span;
      machine.append(...event.records);
      const placed = event.records.map((record, index) => ({ partition: number, offset: tail + index, record }));
      this.list.push(...placed.map((one) => ({ ...one, timestamp: this.#now })));
    } else if (event.do === "seal") machine.seal();
    else if (event.do === "run") await machine.run();
    else this.trim(number, Math.floor(event.share * machine.log.span.tail));
  }

  trim(partition: number, before: number): void {
    this.logs[partition].log.trim(before, this.#now);
  }

  head(partition: number): number {
    return this.logs[partition].log.span.head;
  }

  tail(partition: number): number {
    return this.logs[partition].log.span.tail;
  }

  /** What can be read, in the merged order. */
  readable(filter?: Filter): Lying[] {
    return this.list
      .filter(({ partition, offset }) => offset >= this.head(partition))
      .filter(({ record }) => filter === undefined || matches(filter, record))
      .sort((a, b) => a.timestamp - b.timestamp || a.partition - b.partition || a.offset - b.offset);
  }

  async read(partition: number, call: ReadCall): Promise<Answer<PageAnswer>> {
    const { log, blobs } = this.logs[partition];
    return readThrough({ logId, partition, blobs }, call, async (call) => {
      const page = await readWaiting(() => log, call, new ReadWaits());
      return page ?? { ok: false, moved: 0 };
    });
  }

  /** A page from a position in each partition, as the service makes it. */
  async page(
    positions: ReadonlyMap<number, Position>,
    { backward = false, limit = 5, bytesMax = 1_000, filter, bounds }: PageTerms = {},
  ): Promise<PageRead> {
    const terms = { backward, limit, bytesMax, toTail: false, ...(filter === undefined ? {} : { filter }) };
    const sources = [...positions].map(([partition, position]) => {
      const read = async (call: ReadCall) => {
        const page = await this.read(partition, call);
        if (page.ok || "refusal" in page) return page;
        throw new Error("the log is gone");
      };
      const source = new Source(partition, position, terms, { read, end: () => {} });
      source.bound = bounds?.[partition];
      return source;
    });
    const merge = new Merge(sources, backward);
    const records: Lying[] = [];
    const damaged: Damaged[] = [];
    const fetched = await merge.fetch(0);
    const shown = fetched.ok
      ? await merge.run((entry, partition) => {
          if (records.length === limit) return false;
          if ("damaged" in entry) {
            const { from, to } = entry.damaged;
            damaged.push({ partition, from, to, behind: records.length });
            return true;
          }
          const { offset, timestamp, bytes, from, to } = entry;
          const { offset: _o, timestamp: _t, ...rest } = decodeRecord(bytes, from, to);
          records.push({ partition, offset, timestamp, record: { ...rest, data: Uint8Array.from(rest.data) } });
          return true;
        })
      : fetched;
    if (!shown.ok && records.length === 0) {
      const reading = { sources, backward, route: { stream: { logId } } } as unknown as Reading;
      const problem = await refused(reading, shown.refusal).json();
      return { refused: problem as Problem };
    }
    return { records, damaged, upToDate: merge.upToDate, sources, ...placesOf(sources, backward, logId) };
  }
}

export interface PageTerms {
  readonly backward?: boolean;
  readonly limit?: number;
  readonly bytesMax?: number;
  readonly filter?: Filter | undefined;
  /** Where it ends, on each partition. */
  readonly bounds?: readonly number[];
}

export interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly cursor: string;
  readonly lost: readonly (Range & { readonly partition: number; readonly why: string })[];
}

export type PageRead =
  | { readonly refused: Problem }
  | ({
      readonly refused?: undefined;
      readonly records: readonly Lying[];
      readonly damaged: readonly Damaged[];
      readonly upToDate: boolean;
      readonly sources: readonly Source[];
    } & ReturnType<typeof placesOf>);

/** The places that a cursor names. */
export function placesIn(cursor: string, backward = false): Map<number, Position> {
  const found = readCursor(cursor);
  if (found === undefined) throw new Error(`${cursor} is no cursor`);
  return new Map(
    [...found.offsets].map(([partition, offset]) => [partition, { at: backward ? "before" : "offset", offset }]),
  );
}
