/**
 * Records in a folder until they are stored elsewhere: taken when they are on the disk, given in order, and forgotten when the
 * batch that they went in is done. What is on its way is written down before: the same batch is given again whatever happens.
 */
import { closeSync, openSync, rmSync, truncate } from "node:fs";
import { promisify } from "node:util";
import { frameLimits } from "../../schemas/frame-limits.ts";
import { known } from "../client/error.ts";
import { newEpoch } from "../client/producer.ts";
import type { Settled } from "../client/producing.ts";
import { concat } from "../lib/bytes.ts";
import { eachRecord } from "../log/frame.ts";
import { FrameWriter, type Rec, recordBytes } from "../log/record.ts";
import { readAt, sync, syncFolder, writeAt } from "./disk.ts";
import type { Opened } from "./open.ts";
import type { Mark, Place } from "./place.ts";
import { entryAt, pathOf, type Segment } from "./segments.ts";

/** A frame has a header, and each record its length before it. */
const overheadBytes = 64;

export interface SpoolBounds {
  readonly bytesMax: number;
  readonly recordsMax: number;
}

/** Records that are written together, as one entry. */
interface Gathering {
  readonly writer: FrameWriter;
  readonly settled: (Settled | undefined)[];
  /** Settles when they are on the disk, or are not. */
  readonly kept: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What is sent at a time. */
export interface SpoolBatch {
  readonly body: Uint8Array;
  /** Each record in the body, packed. */
  readonly records: readonly Uint8Array[];
  /** It may have been sent before: since when, in ms. */
  readonly since: number | undefined;
}

export class Spool {
  /** Records that were ever kept here, and those of them that are done, counted from the first that was there when it was opened. */
  kept: number;
  done = 0;
  readonly #segmentBytesMax: number;
  readonly #segments: Segment[];
  #place: Place;
  readonly #gathered: Gathering[] = [];
  readonly #gathering = { records: 0, bytes: 0 };
  #writing: Promise<void> | undefined;
  #file: number | undefined;
  /** Who is told of records of this process, by their place among those that were kept. */
  readonly #settled = new Map<number, Settled>();

  constructor(
    readonly opened: Opened,
    readonly bounds: SpoolBounds,
    /** Called when records are on the disk. */
    readonly onKept: () => void,
  ) {
    this.kept = opened.records;
    this.#place = opened.place;
    this.#segments = opened.segments;
    this.#segmentBytesMax = Math.min(16_777_216, Math.max(65_536, bounds.bytesMax / 8));
  }

  get place(): Place {
    return this.#place;
  }

  get pending(): { readonly records: number; readonly bytes: number } {
    const { records, bytes } = this.#gathering;
    const onDisk = this.#segments.reduce((sum, segment) => sum + segment.bytes, -this.#place.from.byte);
    return { records: this.kept - this.done + records, bytes: onDisk + bytes };
  }

  /** Takes a record; resolves when it is on the disk. Throws where there is no room. */
  keep(record: Rec, settled: Settled | undefined): Promise<void> {
    const bytes = recordBytes(record);
    if (bytes > frameLimits.recordBytesMax) throw known("record-too-large", `the record has ${bytes} bytes`);
    const { bytesMax, recordsMax } = this.bounds;
    const { pending } = this;
    if (bytes + overheadBytes > bytesMax) {
      const never = `the record has ${bytes} bytes, for which a spool with a bytesMax of ${bytesMax} never has room`;
      throw known("record-too-large", never, { bytesMax });
    }
    if (pending.records >= recordsMax || pending.bytes + bytes + overheadBytes > bytesMax) {
      const full = `the spool ${this.opened.folder} is full: ${pending.records} records, ${pending.bytes} bytes`;
      throw known("spool-full", full, { ...pending, ...this.bounds, retryable: true });
    }
    let open = this.#gathered.at(-1);
    if (open === undefined || open.writer.length + bytes + overheadBytes > frameLimits.frameBytesMax) {
      open = gathering();
      this.#gathered.push(open);
    }
    const before = open.writer.length;
    open.writer.add(record);
    open.settled.push(settled);
    this.#gathering.records++;
    this.#gathering.bytes += open.writer.length - before;
    this.#writing ??= this.#write();
    return open.kept;
  }

  /** Resolves when what was taken is on the disk, or its caller knows that it is not. */
  async written(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #write(): Promise<void> {
    // What is taken in the same breath is one entry.
    await undefined;
    for (let one = this.#gathered.shift(); one !== undefined; one = this.#gathered.shift()) {
      const { writer, settled, resolve, reject } = one;
      const bytes = concat(writer.finish(0));
      try {
        await this.#append(bytes);
        for (const [index, told] of settled.entries()) if (told) this.#settled.set(this.kept + index, told);
        this.kept += settled.length;
        resolve();
        this.onKept();
      } catch (error) {
        // Whether it will be found there after a crash nobody knows.
        const { message } = error as Error;
        reject(known("spool-failed", `cannot write to the spool: ${message}`, { clean: false }));
      }
      this.#gathering.records -= settled.length;
      this.#gathering.bytes -= bytes.length;
    }
    this.#writing = undefined;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    let segment = this.#segments.at(-1);
    const { folder } = this.opened;
    if (segment === undefined || segment.bytes >= this.#segmentBytesMax) {
      this.#closeFile();
      segment = { number: segment === undefined ? this.#place.from.segment : segment.number + 1, bytes: 0 };
      this.#file = openSync(pathOf(folder, segment.number), "w", 0o600);
      this.#segments.push(segment);
      await syncFolder(folder);
    }
    this.#file ??= openSync(pathOf(folder, segment.number), "r+");
    try {
      await writeAt(this.#file, bytes, segment.bytes);
      await sync(this.#file);
    } catch (error) {
      // The next entry stands where this one should have.
      await promisify(truncate)(pathOf(folder, segment.number), segment.bytes).catch(() => {});
      throw error;
    }
    segment.bytes += bytes.length;
    await this.opened.placeFile.note({ segment: segment.number, byte: segment.bytes });
  }

  /** The batch that is on its way; else the next one, of so many bytes and records, written down as on its way. */
  async next(bytesMax: number, recordsMax: number): Promise<SpoolBatch> {
    const { to, at } = this.#place;
    if (to !== undefined) return { ...(await this.#read(to)), since: at };
    const { from, ...found } = await this.#read(undefined, bytesMax, recordsMax);
    await this.#save({ ...this.#place, from, to: found.to, at: Date.now() });
    return { ...found, since: undefined };
  }

  /** The batch on its way was refused as it was, and its number was not used: the first half of it is on its way. */
  async halve(batch: SpoolBatch): Promise<void> {
    const { to } = await this.#read(this.#place.to, Number.POSITIVE_INFINITY, batch.records.length >> 1);
    await this.#save({ ...this.#place, to });
  }

  /** The batch on its way is certainly not there, and its number means nothing any more: it is sent under new ones. */
  async renew(epoch = Math.max(newEpoch(), this.#place.epoch + 1)): Promise<void> {
    await this.#save({ ...this.#place, epoch, sequence: 0, at: Date.now() });
  }

  /** The partition takes nothing any more: what is on its way is certainly not there. */
  async seal(): Promise<void> {
    if (this.#place.sealed !== true) await this.#save({ ...this.#place, sealed: true });
  }

  /** All of it goes to another partition, or where its keys belong. */
  async turn(partition: number | undefined): Promise<void> {
    const { sealed: _, ...place } = this.#place;
    await this.#save({
      ...place,
      partition,
      epoch: Math.max(newEpoch(), place.epoch + 1),
      sequence: 0,
      at: Date.now(),
    });
  }

  /** The batch on its way is certainly not there, and does not go: whoever opens the folder next need not wonder. */
  async takeBack(): Promise<void> {
    const { to: _, at: __, ...place } = this.#place;
    await this.#save(place);
  }

  /** The batch on its way is done, and used its number or not. Is written down with the next one: until then it would be given again. */
  finish({ records }: SpoolBatch, isNumbered: boolean): (Settled | undefined)[] {
    const { to, at: _, ...place } = this.#place;
    const told = records.map((_, index) => this.#settled.get(this.done + index));
    for (const index of records.keys()) this.#settled.delete(this.done + index);
    this.done += records.length;
    this.#place = { ...place, from: to as Mark, sequence: place.sequence + Number(isNumbered) };
    return told;
  }

  /** Those who wait for what was not done. */
  untold(): Settled[] {
    return [...this.#settled.values()];
  }

  /** Writes down what is done, and leaves the folder to others. */
  async close(): Promise<void> {
    await this.written();
    this.#closeFile();
    try {
      if (this.#place.to === undefined) await this.#save(this.#place);
      if (this.done === this.kept) for (const { number } of this.#segments) rmSync(pathOf(this.opened.folder, number));
    } finally {
      this.opened.placeFile.close();
      this.opened.release();
    }
  }

  async #save(place: Place): Promise<void> {
    await this.opened.placeFile.save(place);
    this.#place = place;
    // Nothing leads there any more.
    while (this.#segments.length > 0 && this.#segments[0].number < place.from.segment) {
      rmSync(pathOf(this.opened.folder, this.#segments[0].number), { force: true });
      this.#segments.shift();
    }
  }

  /** Records from where sending is, of one segment, up to a mark or as many as fit; and where they end. */
  async #read(end: Mark | undefined, bytesMax = Number.POSITIVE_INFINITY, recordsMax = Number.POSITIVE_INFINITY) {
    const { from, segment } = this.#start();
    const writer = new FrameWriter();
    const records: Uint8Array[] = [];
    const most = end === undefined ? bytesMax : end.byte - from.byte;
    const length = Math.min(segment.bytes - from.byte, most + 2 * frameLimits.frameBytesMax);
    const file = openSync(pathOf(this.opened.folder, segment.number), "r");
    const bytes = await readAt(file, from.byte, length).finally(() => closeSync(file));
    let to = from;
    let isFull = false;
    for (let at = 0; at < bytes.length && !isFull; ) {
      const entry = entryAt(bytes, at);
      // The last one may be cut off by the length that was read.
      if (entry === undefined) break;
      const byte = from.byte + at;
      const first = at === 0 ? from.record : 0;
      const past = end?.byte === byte ? end.record : entry.count;
      if (end !== undefined && byte > end.byte) break;
      eachRecord(entry, (start, stop, index) => {
        isFull ||= records.length === recordsMax || (records.length > 0 && writer.length + stop - start > bytesMax);
        if (index < first || index >= past || isFull) return;
        writer.copy(bytes, start, stop);
        records.push(bytes.subarray(start, stop));
        to = { ...from, byte, record: index + 1 };
      });
      if (to.byte === byte && to.record === entry.count) to = { ...to, byte: from.byte + entry.to, record: 0 };
      at = entry.to;
    }
    const isWhole = end === undefined || isFull || (to.byte === end.byte && to.record === end.record);
    if (records.length === 0 || !isWhole)
      throw known("spool-damaged", `${pathOf(this.opened.folder, segment.number)} is damaged at byte ${to.byte}`);
    return { body: concat(writer.finish(0)), records, from, to };
  }

  /** Where sending is, and the segment that this is in: behind the end of one begins the next. */
  #start(): { from: Mark; segment: Segment } {
    const { from } = this.#place;
    const index = this.#segments.findIndex(({ number }) => number >= from.segment);
    const segment = this.#segments[index];
    if (segment.number === from.segment && from.byte < segment.bytes) return { from, segment };
    const next = segment.number === from.segment ? this.#segments[index + 1] : segment;
    return { from: { segment: next.number, byte: 0, record: 0 }, segment: next };
  }

  #closeFile(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function gathering(): Gathering {
  const one = { writer: new FrameWriter(), settled: [] };
  let [resolve, reject]: [() => void, (error: unknown) => void] = [() => {}, () => {}];
  const kept = new Promise<void>((done, failed) => {
    [resolve, reject] = [done, failed];
  });
  return { ...one, kept, resolve, reject };
}
