/** What keeps a partition's past in order: it runs the archive's work, one piece at a time, and arms the alarm for the rest. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { Archive, type Job } from "../archive/archive.ts";
import { Prints } from "../archive/prints.ts";
import { type Footer, footerBytes, hashedPart, printBytesMax, readFooter, SegmentBuilder } from "../archive/segment.ts";
import { openChunk } from "../log/chunk.ts";
import type { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Blobs } from "../platform/blobs.ts";
import type { Alarms } from "./alarms.ts";
import { placeIn } from "./cold.ts";
import { Workshop } from "./workshop.ts";

/** Bytes that are packed before others have a turn. */
const turnBytes = 1_048_576;
const retryMs = 30_000;

export class History {
  #archive: Archive | undefined;
  #workshop: Workshop | undefined;
  #running = false;
  #again = false;
  #seen = -1;

  constructor(
    readonly log: () => Log | undefined,
    readonly blobs: Blobs | undefined,
    readonly alarms: Alarms,
    /** The lowest offset that a group has not finished. */
    readonly floor: () => Promise<number>,
    readonly now: () => number = Date.now,
  ) {}

  /** After each commit: cheap, unless a segment was sealed by it. */
  appended(): void {
    const log = this.log();
    if (log === undefined || log.spec.retention === undefined) return;
    const { open } = log.segments;
    if (open.table.n === this.#seen && open.chunks > 1) return;
    const sealed = open.table.n !== this.#seen && this.#seen >= 0;
    this.#seen = open.table.n;
    // In the transaction of the commit: what a crash takes from memory, the alarm brings back.
    this.arm();
    if (sealed) this.kick();
  }

  arm(): void {
    const at = this.#of()?.wakeAt(this.now());
    if (at !== undefined) this.alarms.by(Math.max(at, this.now() + 1));
  }

  /** Looks whether there is something to do. */
  kick(): void {
    this.#again = true;
    if (!this.#running) void this.run();
  }

  async run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      do {
        this.#again = false;
        await this.#work();
      } while (this.#again);
    } catch (error) {
      console.error("history:", (error as Error).message);
      // Whatever it was, it is looked at again.
      this.alarms.by(this.now() + retryMs);
    } finally {
      this.#running = false;
      this.arm();
    }
  }

  /** The offset that a position names, in the database or in the archive. */
  async locate(position: Position): Promise<Result<number>> {
    const log = this.log();
    if (log === undefined) return refuse("stream-not-found", "the stream was deleted");
    const place = log.place(position);
    if (!place.ok) return place;
    if ("offset" in place.value) return ok(place.value.offset);
    const { logId, partition } = log.spec;
    return placeIn({ logId, partition, blobs: this.blobs }, place.value.cold, place.value.at, log.span);
  }

  /** What rewrites the log's past. */
  get workshop(): Workshop | undefined {
    const log = this.log();
    if (log === undefined) this.#workshop = undefined;
    else if (this.#workshop?.log !== log) this.#workshop = new Workshop(log, this.blobs, this.now);
    return this.#workshop;
  }

  #of(): Archive | undefined {
    const log = this.log();
    if (log === undefined) this.#archive = undefined;
    else if (this.#archive?.log !== log) this.#archive = new Archive(log, this.blobs !== undefined);
    return this.#archive;
  }

  async #work(): Promise<void> {
    for (let archive = this.#of(); archive !== undefined; archive = this.#of()) {
      const floor = archive.asksGroups ? await this.floor() : Number.MAX_SAFE_INTEGER;
      archive.step(this.now(), floor);
      const job = archive.due(this.now());
      if (job !== undefined) {
        try {
          await this.#act(archive, job);
        } catch (error) {
          console.error("archive:", (error as Error).message);
          archive.failed(job, this.now());
        }
      } else if (!(await this.workshop?.step())) return;
    }
  }

  async #act(archive: Archive, job: Job): Promise<void> {
    if (job.do === "upload") return this.#upload(archive, job.segment);
    await this.blobs?.delete(job.keys);
    archive.deleted(job.keys, this.now());
  }

  async #upload(archive: Archive, segment: Segment): Promise<void> {
    const blobs = this.blobs as Blobs;
    const facts = archive.factsOf(segment);
    const { segments, span } = archive.log;
    const heads = [...segments.chunksFrom(segment.base)].filter(({ base }) => base < segment.next);
    const prints = new Prints();
    const builder = new SegmentBuilder(facts, heads);
    let bytes = 0;
    for (const head of heads) {
      const row = { ...head, body: segments.body(head.base) };
      const frames = openChunk(row, span.dense);
      // What is damaged is archived as it is: its place is known, and `repair` decides.
      if (frames.ok) for (const frame of frames.value) prints.add(frame);
      builder.add(row);
      bytes += row.bytes;
      if (bytes >= turnBytes) {
        bytes = 0;
        await scheduler.wait(0);
      }
    }
    const print = prints.finish(printBytesMax);
    const { hashed, indexBytes } = builder.finish(print);
    const sha = new Uint8Array(await crypto.subtle.digest("SHA-256", hashed));
    const object = builder.sign(sha);
    const key = archive.keyOf(segment);
    const made = { size: object.length, indexBytes, sha, prev: facts.prev, print };
    if (await blobs.create(key, object)) return archive.uploaded(segment, made, this.now());
    const there = await this.#thatIs(key, object);
    if (there === undefined) archive.taken(segment, this.now());
    else archive.uploaded(segment, { ...made, sha: there.sha, prev: there.prev }, this.now());
  }

  /**
   * The footer of the object that is there, if it is the one that was to be written: a crash came between writing and
   * noting it. The segment before it may have gone meanwhile, so that their footers need not agree.
   */
  async #thatIs(key: string, object: Uint8Array): Promise<Footer | undefined> {
    const there = await this.blobs?.get(key, 0, object.length + 1);
    const footer = there === undefined ? undefined : readFooter(there);
    if (there === undefined || footer?.ok !== true || there.length !== object.length) return undefined;
    const same = equal(there.subarray(0, -footerBytes), object.subarray(0, -footerBytes));
    const sha = new Uint8Array(await crypto.subtle.digest("SHA-256", hashedPart(there) as Uint8Array<ArrayBuffer>));
    return same && equal(sha, footer.value.sha) ? footer.value : undefined;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
