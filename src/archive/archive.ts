/**
 * What becomes of a log's past: segments are sealed for their age, archived, dropped from the database, and at last
 * forgotten. Each step is one transaction, and whatever a crash leaves is due again:
 *
 *     sealed ─ upload ─▶ archived ─ retention ─▶ cold ─ archive's age ─▶ gone ─ delete ─▶
 *        └──────── retention, without an archive ───────────────────────▶ gone
 *
 * `step` does what nobody is needed for; `due` names what the shell must do outside.
 */
import { segmentKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { discard, discardParquet, notice } from "../log/notice.ts";
import { cutTime, isFull, retentionOf, withPart } from "../log/retention.ts";
import type { Segment } from "../log/segment-store.ts";
import type { Retention } from "../log/spec.ts";
import { followsGroups, overAtHand, overInArchive, overWithoutArchive, type Part } from "./bounds.ts";
import type { SegmentFacts } from "./segment.ts";
import { Snapshots } from "./snapshots.ts";
import { Uploads } from "./uploads.ts";

/** Work outside the log. */
export type Job =
  | { readonly do: "upload"; readonly segment: Segment }
  | { readonly do: "tell"; readonly stream: string; readonly notices: readonly { n: number; body: string }[] }
  | {
      readonly do: "delete";
      readonly keys: readonly string[];
      /** Uploads in parts among them, which are to be aborted first. */
      readonly uploads: readonly { readonly key: string; readonly upload: string }[];
    };

/** What an object turned out to be. */
export interface Uploaded {
  readonly size: number;
  readonly indexBytes: number;
  readonly sha: Uint8Array;
  readonly prev: Uint8Array;
  readonly print: Uint8Array;
}

const deletesAtOnce = 100;
const noticesAtOnce = 32;
const retryMs = (attempts: number) => Math.min(300_000, 1_000 * 2 ** attempts);
/** How often groups are asked whether they have let go of what is over the bounds. */
const askGroupsMs = 10_000;
/** A stream that keeps records just for its groups is sealed so often. */
const interestMs = 60_000;

export class Archive {
  #uploadAt = 0;
  #failures = 0;
  #tellAt = 0;
  /** When it was last looked what is due, in ms since 1970. */
  #stepped = 0;
  /** Something is over the bounds, and may not go yet. */
  #heldUntil: number | undefined;
  readonly uploads: Uploads;
  readonly #snapshots: Snapshots;

  constructor(
    readonly log: Log,
    /** There is a bucket. */
    readonly bucket: boolean,
  ) {
    this.uploads = new Uploads(log);
    this.#snapshots = new Snapshots(log);
  }

  get retention(): Retention {
    return retentionOf(this.log.spec);
  }

  /** Groups that must have let go of records before they may go. */
  get groups(): readonly string[] {
    return this.retention.keepForGroups ? this.log.followers.ids() : [];
  }

  get #archives(): boolean {
    return this.retention.archive && this.bucket;
  }

  /** Seals, cools and drops what is due. `floor`: every group has finished what is below it. */
  step(now: number, floor: number): void {
    this.#heldUntil = undefined;
    this.#stepped = now;
    // Of a log that is being restored nothing goes, and nothing is sealed but what is full.
    if (this.log.restoring) {
      if (this.#archives) this.#cool(now);
      return;
    }
    this.#snapshots.prune(now);
    this.#cut(now, floor);
    if (this.#archives) this.#cool(now);
    // What is archived, or is to be, and cannot be reached for want of a bucket, waits for one.
    if (this.bucket) this.#trim(overInArchive(this.log, this.retention, now), now, floor);
    if (!this.retention.archive) this.#drop(now, floor);
    // Bounds that were lowered are those of the open segment, too.
    const { segments, span, spec } = this.log;
    if (isFull(segments.open, spec)) this.log.change(now, () => segments.cut(span.tail, now));
  }

  /** The next thing to be done outside. */
  due(now: number): Job | undefined {
    const segment = this.#archives && now >= this.#uploadAt ? this.log.segments.store.unarchived() : undefined;
    if (segment !== undefined) return { do: "upload", segment };
    const untold = now >= this.#tellAt ? this.untold() : undefined;
    if (untold !== undefined) return untold;
    const keys = this.bucket ? this.log.segments.store.garbage(now, deletesAtOnce).map(({ key }) => key) : [];
    if (keys.length === 0) return undefined;
    const named = this.#snapshots.expire(keys).filter(({ upload }) => upload !== "");
    return {
      do: "delete",
      keys,
      uploads: named.map((upload) => ({ key: this.#snapshots.keyOf(upload), upload: upload.upload })),
    };
  }

  /** What is yet to be said of segments, and to whom. */
  untold(): Job | undefined {
    const { segmentEvents } = this.retention;
    if (segmentEvents === null) return undefined;
    const notices = this.log.segments.store.notices(noticesAtOnce);
    return notices.length === 0 ? undefined : { do: "tell", stream: segmentEvents, notices };
  }

  /** What is written about a segment in its object. */
  factsOf({ n, base, next, first, last, records, prev, origin }: Segment): SegmentFacts {
    const { logId, partition } = this.log.spec;
    return { logId, partition, n, base, next, first, last, records, prev: hash(prev), origin: hash(origin) };
  }

  keyOf(segment: Pick<Segment, "base" | "n">): string {
    const { logId, partition } = this.log.spec;
    return segmentKey(logId, partition, segment);
  }

  /** The segment has an object now; one that went meanwhile leaves it to be deleted. */
  uploaded(segment: Segment, object: Uploaded, now: number): void {
    this.#failures = 0;
    const { store } = this.log.segments;
    this.log.change(now, () => {
      const current = this.uploads.over(segment, now);
      if (current === undefined) {
        discard(this.log.segments, this.log.spec, { ...segment, size: object.size }, now);
        return;
      }
      const { print, ...facts } = object;
      this.log.segments.put({ ...current, ...facts });
      store.setPrint(segment.n, print);
      notice(this.log.segments, this.log.spec, "archived", { ...current, ...facts }, now);
    });
  }

  /** The name of the segment's object is taken by something else: it gets another. */
  taken(segment: Segment, now: number): void {
    this.log.change(now, () => {
      const current = this.uploads.over(segment, now);
      if (current === undefined) return;
      this.log.segments.renumber(current);
      // The object is another's; what was made beside it is ours.
      discardParquet(this.log.segments, this.log.spec, segment, now);
    });
  }

  failed(job: Job, now: number): void {
    const { store } = this.log.segments;
    if (job.do === "upload") {
      this.#uploadAt = now + retryMs(this.#failures++);
      this.uploads.cutOff();
      this.log.change(now, () => {
        if (this.uploads.over(job.segment, now) === undefined)
          discard(this.log.segments, this.log.spec, job.segment, now);
      });
    } else if (job.do === "tell") this.#tellAt = now + retryMs(4);
    else
      this.log.change(now, () => {
        for (const key of job.keys) store.delayGarbage(key, now + retryMs(5));
      });
  }

  /** Everything up to a notice was said. */
  told(n: number): void {
    this.log.segments.store.dropNotices(n);
  }

  deleted(keys: readonly string[], now: number): void {
    this.log.change(now, () => {
      for (const key of keys) this.log.segments.store.dropGarbage(key);
      this.#snapshots.deleted(keys);
    });
  }

  /** When there is something to do next, in ms since 1970. */
  wakeAt(now: number): number | undefined {
    const { segments, spec } = this.log;
    const { archive, retentionAgeMs, archiveAgeMs } = this.retention;
    const opened = this.log.arrivals.opened(segments.open);
    const waits = this.#archives && segments.store.unarchived() !== undefined;
    const upload = waits ? Math.max(now, this.#uploadAt) : undefined;
    if (this.log.restoring) return upload;
    const times = [upload, cutTime(spec, opened), this.#heldUntil];
    if (this.bucket) times.push(segments.store.nextGarbage());
    if (this.untold() !== undefined) times.push(Math.max(now, this.#tellAt));
    const first: Segment | undefined = segments.store.from(0).next().value;
    const oldest = archive ? segments.hot[0] : first;
    const ages: (number | undefined)[] = [];
    if (oldest !== undefined && retentionAgeMs !== null) ages.push(oldest.last + retentionAgeMs);
    if (archiveAgeMs !== null && first !== undefined && first.hot === 0) ages.push(first.last + archiveAgeMs);
    if (this.#interest && opened !== undefined) ages.push(opened + interestMs);
    // What was late then is held by something, which has a time of its own. What is late since was not seen yet.
    times.push(...ages.filter((at) => at !== undefined && at > this.#stepped));
    const due = times.filter((time) => time !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** Records go as soon as all groups have finished them. */
  get #interest(): boolean {
    return followsGroups(this.retention);
  }

  /** A record's id must be at hand for as long as it may come again. */
  #recent(part: Part, now: number): boolean {
    const at = this.log.arrivals.by(part) + this.log.spec.deduplicationWindowMs;
    if (at < now) return false;
    this.#hold(at + 1);
    return true;
  }

  #hold(until: number): void {
    this.#heldUntil = Math.min(until, this.#heldUntil ?? Number.POSITIVE_INFINITY);
  }

  #cut(now: number, floor: number): void {
    const { segments, spec, span } = this.log;
    const opened = this.log.arrivals.opened(segments.open);
    if (opened === undefined) return;
    const aged = (cutTime(spec, opened) ?? Number.POSITIVE_INFINITY) <= now;
    const due = this.#interest && opened + interestMs <= now;
    if (due && floor <= segments.open.base) this.#hold(now + interestMs);
    const idle = due && floor > segments.open.base;
    if (aged || idle) this.log.change(now, () => segments.cut(span.tail, now));
  }

  /** Takes archived segments out of the database, oldest first. */
  #cool(now: number): void {
    const { segments } = this.log;
    const cooled: Segment[] = [];
    for (const segment of overAtHand(this.log, this.retention, now)) {
      if (this.#recent(segment, now) || segment.size === 0) break;
      // There may be no object, whatever the row says.
      if (segment.broken) continue;
      cooled.push(segment);
    }
    for (const segment of cooled) this.log.change(now, () => segments.cool(segment));
  }

  /** Drops for good what the bounds do not keep: there is no archive. */
  #drop(now: number, floor: number): void {
    const { segments, span } = this.log;
    const { retentionAgeMs } = this.retention;
    this.#trim(overWithoutArchive(this.log, this.retention, now), now, floor);
    const [oldest] = segments.hot;
    const first = oldest && segments.chunkAt(Math.max(span.head, oldest.base))?.first;
    if (first === undefined || retentionAgeMs === null) return;
    // Of a segment that was cut when it could be older a part goes before the rest.
    const at = first + withPart(retentionAgeMs);
    if (at > now) this.#hold(at);
  }

  /** Drops parts, oldest first, as far as nothing holds them up. */
  #trim(parts: Iterable<Part>, now: number, floor: number): void {
    let before = 0;
    for (const part of parts) {
      // The next snapshot wakes us.
      if (this.#recent(part, now) || part.next > this.#snapshots.covered) break;
      if (part.next > floor) {
        this.#hold(now + (this.#interest ? interestMs : askGroupsMs));
        break;
      }
      before = part.next;
    }
    if (before > 0) this.log.trim(before, now);
  }
}

const hash = (sha: Uint8Array) => (sha.length === 32 ? sha : new Uint8Array(32));
