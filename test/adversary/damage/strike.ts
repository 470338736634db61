/** Damages what lies on the disks, and says what can be concerned by it. Runs while the service is down. */
import type { Bucket } from "../frame/bucket.ts";
import { PartitionDatabase as Database, type PartitionDatabase, type Row } from "./database.ts";
import type { Blow } from "./plan.ts";
import { byteOf, placeInKey, type Range, segmentForm } from "./segment-form.ts";
import type { Stored, Truth } from "./stored.ts";

export interface Struck {
  readonly words: string;
  readonly partition: number;
  /** What may be told as damaged because of it, and nothing else. Of a snapshot, nothing. */
  readonly offsets: Range;
  /** The objects that are not as they were. */
  readonly objects: readonly string[];
  /** Every byte there is covered: it is named, whatever it is. */
  readonly covered: boolean;
  readonly snapshot: boolean;
}

const nowhere: Range = { from: 0, to: 0 };

export function strikeAll(bucket: Bucket, data: string, streams: readonly Stored[]): Map<Stored, Struck[]> {
  const before = new Map(streams.map((stream) => [stream, bucketOf(bucket, stream, 0)]));
  const found = new Map<Stored, Struck[]>();
  for (const [i, stream] of streams.entries()) {
    const other = streams[(i + 1) % streams.length] as Stored;
    const foreign = (before.get(other) as readonly string[]).map((key) => bucket.body(key) as Buffer);
    const objects = new Map(
      stream.truths.map(({ partition }) => [
        partition,
        bucketOf(bucket, stream, partition).map((key) => [key, bucket.body(key) as Buffer] as const),
      ]),
    );
    const struck = stream.truths.flatMap((truth) => new Strike(bucket, data, stream, truth, foreign).all());
    for (const { words } of struck) stream.note(() => words);
    stream.copies = stream.truths.flatMap(({ partition }) =>
      (objects.get(partition) as (readonly [string, Buffer])[]).flatMap(([key, was]) =>
        left(was, bucket.body(key)).map(({ from, to }) => ({ partition, from, to })),
      ),
    );
    found.set(stream, struck);
  }
  return found;
}

/** The chunks that an object has still: its index leads to them, and they are as they were. */
function left(was: Buffer, is: Buffer | undefined): readonly Range[] {
  const { chunks, indexAt } = segmentForm(was);
  const same = (from: number, to: number) => is?.subarray(from, to).equals(was.subarray(from, to)) === true;
  return same(indexAt, was.length) ? chunks.filter(({ at, bytes }) => same(at, at + bytes)) : [];
}

/** The objects of a partition that count: of those that overlap, the one with the highest number. */
function bucketOf(bucket: Bucket, { logId }: Stored, partition: number): string[] {
  const keys = bucket.keys(`logs/${logId}/${partition}/`);
  const ranges = keys.map((key) => ({ key, n: placeInKey(key).n, ...segmentForm(bucket.body(key) as Buffer) }));
  return ranges
    .filter(({ from, to, n }) => !ranges.some((one) => one.n > n && one.from < to && one.to > from))
    .map(({ key }) => key);
}

class Strike {
  readonly #objects: string[];
  readonly #database: PartitionDatabase | undefined;
  readonly #rows: Row[];
  readonly #segments: Row[];
  readonly #struck: Struck[] = [];
  /** Before anything is struck. */
  readonly #archived: readonly Range[];

  constructor(
    readonly bucket: Bucket,
    data: string,
    readonly stream: Stored,
    readonly truth: Truth,
    readonly foreign: readonly Buffer[],
  ) {
    this.#objects = bucketOf(bucket, stream, truth.partition);
    this.#archived = this.#objects.map((key) => segmentForm(bucket.body(key) as Buffer));
    const blows = stream.plan.blows[truth.partition] ?? [];
    if (blows.some(({ on }) => on === "row" || on === "segment"))
      this.#database = Database.open(data, stream.logId, truth.partition);
    this.#rows = this.#database?.rows() ?? [];
    this.#segments = this.#database?.segments() ?? [];
  }

  all(): Struck[] {
    try {
      for (const blow of this.stream.plan.blows[this.truth.partition] ?? []) this.#one(blow);
      return this.#struck;
    } finally {
      this.#database?.close();
    }
  }

  #one(blow: Blow): void {
    if (blow.on === "object") this.#object(blow);
    else if (blow.on === "row") this.#row(blow);
    else if (blow.on === "segment") this.#segment(blow);
    else this.#snapshot(blow);
  }

  #note(words: string, offsets: Range, objects: readonly string[], covered: boolean, snapshot = false): void {
    const { partition } = this.truth;
    const where = snapshot ? "" : `, offsets ${offsets.from} to ${offsets.to}`;
    this.#struck.push({
      words: `partition ${partition}: ${words}${where}`,
      partition,
      offsets,
      objects,
      covered,
      snapshot,
    });
  }

  #object(blow: Extract<Blow, { on: "object" }>): void {
    const key = taken(this.#objects, blow.which);
    const bytes = key === undefined ? undefined : this.bucket.body(key);
    if (key === undefined || bytes === undefined) return;
    const form = segmentForm(bytes);
    if ("part" in blow) {
      const place = byteOf(bytes, blow.part, blow.at);
      if (place === undefined) return;
      this.bucket.become(key, flipped(bytes, place.at, blow.bit));
      this.#note(`bit ${blow.bit} of byte ${place.at} of ${key} (${blow.part})`, place.offsets, [key], true);
      return;
    }
    if (blow.how === "swapped") {
      this.#swapObjects(key, bytes);
      return;
    }
    const at = Math.floor(blow.at * bytes.length);
    const bodies = {
      cut: bytes.subarray(0, at),
      grown: Buffer.concat([bytes, bytes.subarray(0, at + 1)]),
      empty: Buffer.alloc(0),
      missing: undefined,
      foreign: this.foreign[Math.floor(blow.at * this.foreign.length)],
    };
    if (blow.how === "foreign" && bodies.foreign?.equals(bytes)) return;
    this.bucket.become(key, bodies[blow.how]);
    this.#note(`${key} of ${bytes.length} bytes is ${blow.how} (${at})`, form, [key], true);
  }

  #swapObjects(key: string, bytes: Buffer): void {
    const other = taken(this.#objects, 0);
    const others = other === undefined ? undefined : this.bucket.body(other);
    if (other === undefined || others === undefined) return;
    this.bucket.become(key, others);
    this.bucket.become(other, bytes);
    this.#note(`${key} has the bytes of ${other}`, segmentForm(bytes), [key], true);
    this.#note(`${other} has the bytes of ${key}`, segmentForm(others), [other], true);
  }

  #row(blow: Extract<Blow, { on: "row" }>): void {
    const row = taken(this.#rows, blow.which);
    const database = this.#database;
    if (row === undefined || database === undefined) return;
    const name = `the chunk ${row.from} of ${row.table}`;
    if ("column" in blow) {
      this.#column(database, row, blow);
      return;
    }
    const covered = !this.#isArchived(row);
    if (blow.how === "missing") {
      // The log ends where the last of its rows does: nothing tells that there was another.
      if (row.to >= this.truth.tail) return;
      database.remove(row);
      this.#note(`${name} is missing`, row, [], covered);
      return;
    }
    const body = database.get(row, "body") as Buffer;
    if (blow.how === "swapped") {
      const other = taken(this.#rows, 0);
      if (other === undefined) return;
      database.set(row, "body", database.get(other, "body"));
      database.set(other, "body", body);
      this.#note(`${name} has the body of the chunk ${other.from}`, row, [], covered);
      this.#note(`the chunk ${other.from} has the body of that at ${row.from}`, other, [], !this.#isArchived(other));
      return;
    }
    const at = blow.how === "empty" ? 0 : Math.floor(blow.at * body.length);
    database.set(row, "body", body.subarray(0, at));
    this.#note(`${name} has ${at} of ${body.length} bytes`, row, [], covered);
  }

  /** What the bucket has, too, may leave the database before anybody looks: one that was rewritten stays there for a while only. */
  #isArchived({ from, to }: Range): boolean {
    return this.#archived.some((form) => form.from <= from && form.to >= to);
  }

  #column(database: PartitionDatabase, row: Row, blow: Extract<Blow, { on: "row"; column: unknown }>): void {
    const before = database.get(row, blow.column);
    const { at, after } = changed(before, blow.at, blow.bit);
    if (after === undefined || !database.set(row, blow.column, after)) return;
    const values = typeof before === "bigint" ? `, from ${before} to ${after}` : `, byte ${at} of ${before.length}`;
    const covered = blow.column === "body" && !this.#isArchived(row);
    this.#note(`bit ${blow.bit} of ${blow.column} of the chunk ${row.from} of ${row.table}${values}`, row, [], covered);
  }

  #segment({ which, column, at: share, bit }: Extract<Blow, { on: "segment" }>): void {
    const segment = taken(this.#segments, which);
    const database = this.#database;
    if (segment === undefined || database === undefined) return;
    const print = column === "print" ? database.segments(true).find(({ from }) => from === segment.from) : undefined;
    const before = database.find(print ?? segment, column);
    if (before === undefined) return;
    const { at, after } = changed(before, share, bit);
    if (after === undefined || !database.set(print ?? segment, column, after)) return;
    const values = typeof before === "bigint" ? `, from ${before} to ${after}` : `, byte ${at} of ${before.length}`;
    this.#note(`bit ${bit} of ${column} of the segment ${segment.from}${values}`, segment, [], print !== undefined);
  }

  #snapshot(blow: Extract<Blow, { on: "snapshot" }>): void {
    const [key] = this.bucket.keys(`snapshots/${this.stream.logId}/${this.truth.partition}/`);
    const bytes = key === undefined ? undefined : this.bucket.body(key);
    if (key === undefined || bytes === undefined) return;
    const at = Math.floor(blow.at * bytes.length);
    const bodies = {
      flipped: flipped(bytes, at, blow.bit),
      cut: bytes.subarray(0, at),
      empty: Buffer.alloc(0),
      missing: undefined,
    };
    this.bucket.become(key, bodies[blow.how]);
    const summed = this.stream.snapshots.get(this.truth.partition)?.summed === true;
    this.#note(`the snapshot ${key} of ${bytes.length} bytes is ${blow.how} at ${at}`, nowhere, [key], summed, true);
  }
}

/** Each is struck once. */
function taken<T>(list: T[], share: number): T | undefined {
  return list.splice(Math.floor(share * list.length), 1)[0];
}

export function flipped(bytes: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ (1 << bit);
  return copy;
}

function changed(before: bigint | Buffer, share: number, bit: number): { at: number; after?: bigint | Buffer } {
  if (typeof before === "bigint") return { at: 0, after: BigInt.asIntN(64, before ^ (1n << BigInt(bit))) };
  const at = Math.floor(share * before.length);
  return before.length === 0 ? { at } : { at, after: flipped(before, at, bit) };
}
