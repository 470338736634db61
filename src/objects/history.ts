/** What keeps a partition's past in order: it runs the archive's work, one piece at a time, and arms the alarm for the rest. */

import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { Archive, type Job } from "../archive/archive.ts";
import type { Log } from "../log/log.ts";
import type { Position } from "../log/read.ts";
import type { Spec } from "../log/spec.ts";
import type { Blobs } from "../platform/blobs.ts";
import type { Alarms } from "./alarms.ts";
import { placeIn } from "./cold.ts";
import { emptied, type Remains } from "./emptying.ts";
import { keepLeft } from "./left-behind.ts";
import { upload } from "./upload.ts";
import { Workshop } from "./workshop.ts";

const retryMs = 30_000;
/** An alarm may run for 15 minutes: what is left then is for the next one. */
const runMs = 300_000;
/** How often it is looked whether the work in hand is done. */
const restMs = 20;

/** Whom the past concerns besides the log and the bucket. */
export interface Outside {
  /** The lowest offset that a group has not finished. */
  floor(): Promise<number>;
  /** Groups are to forget what they keep of a key, or of a subject, below an offset. `last`: the log has nothing of it any more. */
  forget(target: Target, to: number, last: boolean): Promise<void>;
  /** Tells a stream, and the deployment's queue, of a segment; once, however often it is asked. */
  tell(stream: string, n: number, body: string, spec: Spec): Promise<void>;
}

export class History {
  #archive: Archive | undefined;
  #workshop: Workshop | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  /** The open segment that was seen last, and whether it had something. */
  #seen = -1;
  #filled = false;
  /** After a failure nothing is done before this, in ms since 1970. */
  #notBefore = 0;
  /** Until then it is left to whoever repairs the log, in ms since 1970. */
  #heldUntil = 0;

  constructor(
    readonly log: () => Log | undefined,
    readonly blobs: Blobs | undefined,
    readonly alarms: Alarms,
    readonly outside: Outside,
    readonly now: () => number = Date.now,
  ) {}

  /** After each commit: cheap, unless a segment was sealed by it. */
  appended(): void {
    const log = this.log();
    if (log === undefined || log.spec.retention === undefined) return;
    const { open } = log.segments;
    if (open.n === this.#seen && (open.chunks === 0 || this.#filled)) return;
    // Whatever an object that went away was at work on is looked at again by the next one.
    const sealed = open.n !== this.#seen;
    this.#seen = open.n;
    this.#filled = open.chunks > 0;
    // In the transaction of the commit: what a crash takes from memory, the alarm brings back.
    this.arm();
    if (sealed) this.kick();
  }

  arm(): void {
    const now = this.now();
    const times = [this.#of()?.wakeAt(now), this.workshop?.wakeAt(now)].filter((at) => at !== undefined);
    if (times.length > 0) this.alarms.by(Math.max(Math.min(...times), this.#notBefore, this.#heldUntil, now + 1));
  }

  /** Looks whether there is something to do. */
  kick(): void {
    this.#again = !this.#held;
    if (this.#running !== undefined) return;
    // A crash takes the run with it: the alarm does not go.
    this.arm();
    void this.run();
  }

  /** Nothing is begun until `release`, or until whoever repairs the log has not been heard of for a while. */
  hold(): void {
    this.#heldUntil = this.now() + retryMs;
    this.arm();
  }

  /** The log is repaired. */
  release(): void {
    this.#heldUntil = 0;
    this.kick();
  }

  /** Works until nothing is due; whoever comes meanwhile waits for the same run. */
  run(): Promise<void> {
    if (this.#running === undefined && this.#held) {
      this.arm();
      return Promise.resolve();
    }
    this.#running ??= this.#run();
    return this.#running;
  }

  get #held(): boolean {
    return this.now() < this.#heldUntil;
  }

  async #run(): Promise<void> {
    // Whoever asked has the promise before it is over.
    await undefined;
    try {
      do {
        this.#again = false;
        await this.#work();
      } while (this.#again);
      this.#notBefore = 0;
    } catch (error) {
      console.error("history:", (error as Error).message);
      // Whatever it was, it is looked at again.
      this.#notBefore = this.now() + retryMs;
      this.alarms.by(this.#notBefore);
    } finally {
      this.#running = undefined;
      this.arm();
    }
  }

  /** Deletes what the partition has in the bucket, once nothing is on its way there. False where there may be more. */
  async emptied(remains: Remains): Promise<boolean> {
    while (this.#running) await scheduler.wait(restMs);
    // What comes in the log's place was not seen.
    this.#seen = -1;
    this.#heldUntil = 0;
    return this.blobs === undefined || emptied(this.blobs, remains);
  }

  /** Says what is yet to be said of segments: the stream is being deleted. What fails now goes with it. */
  async drain(): Promise<void> {
    try {
      for (let archive = this.#of(), job = archive?.untold(); archive && job; job = archive.untold()) {
        await this.#act(archive, job);
      }
    } catch (error) {
      // Where the log is gone by now, another request to delete it was faster.
      if (this.log() !== undefined) console.error("segment events:", (error as Error).message);
    }
  }

  /** The offset that a position names, in the database or in the archive; of one below the head, the first readable one. */
  async locate(position: Position): Promise<Result<number>> {
    for (;;) {
      const log = this.log();
      if (log === undefined) return refuse("stream-not-found", "the stream was deleted");
      const place = log.place(position);
      if (!place.ok) return place;
      if ("offset" in place.value) return ok(Math.max(place.value.offset, log.span.head));
      const { cold, at } = place.value;
      const { logId, partition } = log.spec;
      const found = await placeIn({ logId, partition, blobs: this.blobs }, cold, at, log.span);
      if (found !== undefined) return found;
      // Who begins where a segment that cannot be read does is told so. One that was rewritten meanwhile is looked for again.
      if (log.segments.store.at(cold.base)?.n === cold.n) return ok(Math.max(cold.base, log.span.head));
    }
  }

  /** What rewrites the log's past. */
  get workshop(): Workshop | undefined {
    const log = this.log();
    if (log === undefined) this.#workshop = undefined;
    else if (this.#workshop?.log !== log)
      this.#workshop = new Workshop(log, this.blobs, (target, to) => this.outside.forget(target, to, true), this.now);
    return this.#workshop;
  }

  #of(): Archive | undefined {
    const log = this.log();
    if (log === undefined) this.#archive = undefined;
    else if (this.#archive?.log !== log) this.#archive = new Archive(log, this.blobs !== undefined);
    return this.#archive;
  }

  async #work(): Promise<void> {
    const until = this.now() + runMs;
    for (let archive = this.#of(); archive !== undefined && this.now() < until; archive = this.#of()) {
      // Whatever is left has its alarm.
      if (this.#held) return;
      const groups = archive.groups.join();
      const floor = groups === "" ? Number.MAX_SAFE_INTEGER : await this.outside.floor();
      // A group that came meanwhile was not asked.
      if (archive.groups.join() !== groups) continue;
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
    // What is left, if anything is, was not looked for.
    if (this.#of() !== undefined) this.alarms.by(this.now() + 1);
  }

  async #act(archive: Archive, job: Job): Promise<void> {
    if (job.do === "upload") {
      await keepLeft(archive.log, this.blobs as Blobs, this.now);
      return upload(archive, this.blobs as Blobs, job.segment, this.now);
    }
    if (job.do === "tell") {
      for (const { n, body } of job.notices) {
        await this.outside.tell(job.stream, n, body, archive.log.spec);
        archive.told(n);
      }
      return;
    }
    for (const { key, upload } of job.uploads) await this.blobs?.abort(key, upload);
    await this.blobs?.delete(job.keys);
    archive.deleted(job.keys, this.now());
  }
}
