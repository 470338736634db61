/**
 * Snapshots: states of a consumer that lie in the bucket, so that whoever starts anew need not read the log from its
 * beginning. The key of an object is garbage before anything is sent, and stops being it in the transaction that notes
 * the snapshot: whatever a crash leaves in the bucket is deleted in time.
 *
 *     begin ──▶ garbage, due in a day ── done ──▶ snapshot ── newer ones, or another at its offset ──▶ garbage
 *                 └─ failed, given up, its day is over ──▶ garbage for good: `done` comes too late
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Sum } from "../lib/crc32c.ts";
import { baseText } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { retentionOf } from "../log/retention.ts";
import type { Snapshot, SnapshotStore, Upload } from "../log/snapshot-store.ts";

/** Who builds the next one, so that others need not. Times are ms since 1970. */
export interface Lease {
  readonly lease: string;
  readonly holder: string;
  readonly offset: number;
  readonly expires: number;
}

export interface Begin {
  readonly offset: number;
  readonly contentType: string;
  readonly name: string;
  readonly lease?: string;
}

/** An upload that nobody went on with for so long has come to nothing. Longer than any single write may take. */
export const uploadMs = 86_400_000;
/** What was given up may still be on its way into the bucket, for so long at most. */
const lateMs = 600_000;

const leaseName = "snapshot-lease";

export class Snapshots {
  constructor(readonly log: Log) {}

  get #store(): SnapshotStore {
    return this.log.segments.snapshots;
  }

  keyOf({ offset, id }: Pick<Snapshot, "offset" | "id">): string {
    return snapshotKey(this.log.spec.logId, this.log.spec.partition, { offset, id });
  }

  list(): Snapshot[] {
    return this.#store.list();
  }

  /** The one at an offset; with an id, only while it is still that one. */
  at(offset: number, id?: string): Result<Snapshot> {
    const found = this.#store.at(offset);
    if (found !== undefined && (id === undefined || found.id === id)) return ok(found);
    const instead = found === undefined ? "" : "; it was replaced by a later one";
    return refuse("snapshot-not-found", `there is no such snapshot at offset ${offset}${instead}`);
  }

  /** The newest one below an offset that the log continues. */
  latest(before = Number.MAX_SAFE_INTEGER): Result<Snapshot> {
    const found = this.#store.before(before);
    const { head } = this.log.span;
    if (found !== undefined && found.offset >= head) return ok(found);
    const why = found === undefined ? "" : `; the newest is at ${found.offset}, and records up to ${head} are gone`;
    return refuse("snapshot-not-found", `there is no snapshot to begin with${why}`, { head });
  }

  /** Takes the lease, or renews it; no time gives it up. `lease` names it if it is a new one. */
  lease(holder: string, ms: number, offset: number | undefined, lease: string, now: number): Result<Lease> {
    const current = this.#lease();
    const mine = current?.holder === holder ? current : undefined;
    if (current !== undefined && mine === undefined && current.expires > now) {
      const until = new Date(current.expires).toISOString();
      return refuse("leased", `${current.holder} makes a snapshot at offset ${current.offset} until ${until}`, {
        holder: current.holder,
        offset: current.offset,
        expiresAt: until,
      });
    }
    const { tail } = this.log.span;
    // One that is at work goes on with what it has begun.
    const running = mine !== undefined && mine.expires > now ? mine.offset : undefined;
    const next = { lease: mine?.lease ?? lease, holder, offset: offset ?? running ?? tail, expires: now + ms };
    const refused = ms > 0 ? this.#misplaced(next.offset) : undefined;
    if (refused !== undefined) return refused;
    this.log.segments.meta.setMeta(leaseName, JSON.stringify(next));
    return ok(next);
  }

  /** Begins one: its object is garbage until it is done. `id` names it. */
  begin({ lease = "", ...terms }: Begin, id: string, now: number): Result<Upload> {
    const stale = this.#misplaced(terms.offset) ?? this.#stale(lease) ?? this.#old(terms.offset);
    if (stale !== undefined) return stale;
    if (this.#store.liveUploads() >= limits.snapshotUploadsMax) {
      const detail = `${limits.snapshotUploadsMax} uploads of snapshots have begun and are not done; finish or abort some`;
      return refuse("too-many", detail, { limit: limits.snapshotUploadsMax });
    }
    const upload: Upload = { ...terms, id, upload: "", lease, live: 1 };
    this.log.change(now, () => {
      this.log.segments.store.addGarbage(this.keyOf(upload), now + uploadMs);
      this.#store.setUpload(upload);
    });
    return ok(upload);
  }

  /** Notes what the bucket calls an upload in parts. */
  named(id: string, name: string): Result<Upload> {
    const upload = this.#live(id);
    if (!upload.ok) return upload;
    const named = { ...upload.value, upload: name };
    this.#store.setUpload(named);
    return ok(named);
  }

  /** An upload that somebody goes on with: it has another day. */
  uploading(id: string, now: number): Result<Upload> {
    const upload = this.#live(id);
    if (!upload.ok) return upload;
    const { store } = this.log.segments;
    const key = this.keyOf(upload.value);
    // A row for every part would be too many.
    if (store.garbageDue(key) < now + uploadMs / 2) store.delayGarbage(key, now + uploadMs);
    return upload;
  }

  /** The one that an upload has become. */
  made(id: string): Snapshot | undefined {
    return this.#store.withId(id);
  }

  /**
   * The object is there: it is the snapshot of its offset now, instead of any other, and those that are too many go. Asked
   * again it answers the same.
   */
  done({ id, offset }: Pick<Upload, "id" | "offset">, { bytes, crc }: Sum, now: number): Result<Snapshot> {
    const known = this.made(id);
    if (known !== undefined) return ok(known);
    const { store } = this.log.segments;
    const upload = this.#live(id);
    if (!upload.ok) {
      // It may have come after it was deleted.
      store.addGarbage(this.keyOf({ id, offset }), now);
      return upload;
    }
    const { contentType, name, lease } = upload.value;
    const late = this.#stale(lease) ?? this.#old(offset);
    if (late !== undefined) {
      this.giveUp(id, now);
      return late;
    }
    const snapshot: Snapshot = { offset, id, bytes, contentType, name, created: now, crc };
    this.log.change(now, () => {
      const before = this.#store.at(offset);
      if (before !== undefined) store.addGarbage(this.keyOf(before), now);
      this.#store.set(snapshot);
      store.dropGarbage(this.keyOf(snapshot));
      this.#store.dropUpload(id);
      // Its work is done. Its id stays good until another takes over: the answer may be lost, and asked for again.
      const held = this.#lease();
      if (lease !== "" && held !== undefined)
        this.log.segments.meta.setMeta(leaseName, asText({ ...held, expires: now }));
      this.#prune(now);
    });
    return ok(snapshot);
  }

  /** An upload comes to nothing. One that is not there any more is no fault. */
  giveUp(id: string, now: number): void {
    const upload = this.#store.upload(id);
    if (upload === undefined) return;
    this.log.change(now, () => {
      this.#store.setUpload({ ...upload, live: 0 });
      this.log.segments.store.addGarbage(this.keyOf(upload), now + lateMs);
    });
  }

  drop(offset: number, now: number): Result<undefined> {
    const found = this.at(offset);
    if (!found.ok) return found;
    this.log.change(now, () => this.#drop(found.value, now));
    return ok(undefined);
  }

  /** Those that are more than the stream keeps go, oldest first. */
  prune(now: number): void {
    if (this.list().length > this.#kept) this.log.change(now, () => this.#prune(now));
  }

  /** Uploads whose objects are about to be deleted: from here on they come too late. */
  expire(keys: readonly string[]): Upload[] {
    const doomed = this.#store.uploads().filter((upload) => keys.includes(this.keyOf(upload)));
    for (const upload of doomed) if (upload.live === 1) this.#store.setUpload({ ...upload, live: 0 });
    return doomed;
  }

  /** Objects were deleted: their uploads are forgotten. */
  deleted(keys: readonly string[]): void {
    for (const upload of this.#store.uploads()) {
      if (upload.live === 0 && keys.includes(this.keyOf(upload))) this.#store.dropUpload(upload.id);
    }
  }

  /** Records below this offset are in a snapshot, where the stream wants that before it drops them. */
  get covered(): number {
    const { keepForSnapshot } = retentionOf(this.log.spec);
    return keepForSnapshot ? (this.#store.newest()?.offset ?? 0) : Number.MAX_SAFE_INTEGER;
  }

  get #kept(): number {
    return retentionOf(this.log.spec).snapshotsKept;
  }

  #lease(): Lease | undefined {
    const text = this.log.segments.meta.meta(leaseName);
    return text === undefined ? undefined : JSON.parse(text);
  }

  #live(id: string): Result<Upload> {
    const upload = this.#store.upload(id);
    if (upload?.live === 1) return ok(upload);
    return refuse("upload-not-found", "there is no such upload; it is over, was aborted, or was left alone for a day");
  }

  #prune(now: number): void {
    for (const old of this.list().slice(this.#kept)) this.#drop(old, now);
  }

  #drop(snapshot: Snapshot, now: number): undefined {
    this.#store.drop(snapshot.offset);
    this.log.segments.store.addGarbage(this.keyOf(snapshot), now);
  }

  /** Why there can be no snapshot at an offset, if so. One before the head would leave a gap behind it. */
  #misplaced(offset: number) {
    const { head, tail } = this.log.span;
    if (offset > tail) {
      return refuse("past-tail", `offset ${offset} is past the tail ${tail}: nobody has applied what is not there`, {
        head,
        tail,
      });
    }
    if (offset >= head) return undefined;
    const detail = `offset ${offset} has been trimmed: no reader could go on from it; the first readable one is ${head}`;
    return refuse("trimmed", detail, { head, tail });
  }

  /** A lease that another has taken since. */
  #stale(lease: string) {
    const current = this.#lease();
    if (lease === "" || current?.lease === lease) return undefined;
    const now = current === undefined ? "nobody has it now" : `${current.holder} has it now`;
    return refuse("stale-lease", `the lease has passed to another: ${now}; ask for a new one`, {
      ...(current === undefined ? {} : { holder: current.holder }),
    });
  }

  /** Where so many newer ones are there that it would be dropped at once. */
  #old(offset: number) {
    const newer = this.list().filter((one) => one.offset > offset).length;
    if (newer < this.#kept) return undefined;
    const detail = `the stream keeps ${this.#kept} snapshots of a partition, and there are ${newer} newer than ${offset}`;
    return refuse("conflict", detail, { snapshotsKept: this.#kept });
  }
}

const asText = (lease: Lease): string => JSON.stringify(lease);

/** All keys of a partition's snapshots begin so. */
export const snapshotPrefix = (logId: string, partition: number): string => `snapshots/${logId}/${partition}/`;

/** The name of a snapshot's object: in order of offsets, and never used again. */
export const snapshotKey = (
  logId: string,
  partition: number,
  { offset, id }: Pick<Snapshot, "offset" | "id">,
): string => `${snapshotPrefix(logId, partition)}${baseText(offset)}-${id}`;
