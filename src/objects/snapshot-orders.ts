/** What is asked of a partition about snapshots. The objects themselves go between the Worker and the bucket. */
import { ok, type Result } from "../../schemas/errors.ts";
import { type Begin, type Lease, Snapshots } from "../archive/snapshots.ts";
import type { Sum } from "../lib/crc32c.ts";
import type { Log } from "../log/log.ts";
import type { Snapshot, Upload } from "../log/snapshot-store.ts";

/** What these orders have before them. */
export interface SnapshotDesk {
  readonly log: Log;
  readonly history: { kick(): void };
  /** Those who follow are to hear of a new one. */
  readonly told: (snapshot: Snapshot) => void;
}

/** An upload, and where it goes. */
export interface Placed extends Upload {
  readonly key: string;
}

/** A snapshot, and where it lies. */
export interface Kept extends Snapshot {
  readonly key: string;
}

const newId = (): string => crypto.randomUUID().replaceAll("-", "");

function keyed<T extends Snapshot | Upload>(snapshots: Snapshots, found: Result<T>): Result<T & { key: string }> {
  return found.ok ? ok({ ...found.value, key: snapshots.keyOf(found.value) }) : found;
}

export const snapshotOrders = {
  snapshots: ({ log }: SnapshotDesk): Result<readonly Snapshot[]> => ok(new Snapshots(log).list()),

  /** The one at an offset; with an id, only while it is still that one. */
  snapshotAt({ log }: SnapshotDesk, offset: number, id?: string): Result<Kept> {
    const snapshots = new Snapshots(log);
    return keyed(snapshots, snapshots.at(offset, id));
  },

  /** The newest one to begin with, below an offset. */
  snapshotBefore({ log }: SnapshotDesk, before?: number): Result<Kept> {
    const snapshots = new Snapshots(log);
    return keyed(snapshots, snapshots.latest(before));
  },

  snapshotLease: ({ log }: SnapshotDesk, holder: string, ms: number, offset?: number): Result<Lease> =>
    new Snapshots(log).lease(holder, ms, offset, newId(), Date.now()),

  snapshotBegin({ log, history }: SnapshotDesk, begin: Begin): Result<Placed> {
    const snapshots = new Snapshots(log);
    const begun = keyed(snapshots, snapshots.begin(begin, newId(), Date.now()));
    // It arms the alarm for what may be left of it.
    history.kick();
    return begun;
  },

  /** Notes what the bucket calls an upload in parts. */
  snapshotNamed: ({ log }: SnapshotDesk, id: string, name: string): Result<Upload> =>
    new Snapshots(log).named(id, name),

  /** An upload that goes on; or the snapshot that it has become. */
  snapshotUpload({ log }: SnapshotDesk, id: string): Result<Placed | { readonly made: Snapshot }> {
    const snapshots = new Snapshots(log);
    const made = snapshots.made(id);
    return made === undefined ? keyed(snapshots, snapshots.uploading(id, Date.now())) : ok({ made });
  },

  snapshotDone(
    { log, history, told }: SnapshotDesk,
    upload: Pick<Upload, "id" | "offset">,
    sum: Sum,
  ): Result<Snapshot> {
    const snapshots = new Snapshots(log);
    const known = snapshots.made(upload.id);
    const done = snapshots.done(upload, sum, Date.now());
    if (done.ok && known === undefined) told(done.value);
    history.kick();
    return done;
  },

  snapshotGiveUp({ log, history }: SnapshotDesk, id: string): Result<undefined> {
    new Snapshots(log).giveUp(id, Date.now());
    history.kick();
    return ok(undefined);
  },

  snapshotDrop({ log, history }: SnapshotDesk, offset: number): Result<undefined> {
    const dropped = new Snapshots(log).drop(offset, Date.now());
    history.kick();
    return dropped;
  },
};
