/** Orders about a partition's past: forgetting, repairing, and what its objects should be. */
import type { ErasureView, LostRange, RepairCall, Target } from "../../schemas/erasure.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type Holds, loss } from "../archive/bounds.ts";
import type { Erasure } from "../archive/erasure.ts";
import { lostOf } from "../archive/repair.ts";
import { Snapshots } from "../archive/snapshots.ts";
import { segmentKey } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { retentionOf } from "../log/retention.ts";
import type { Snapshot } from "../log/snapshot-store.ts";
import type { Retention } from "../log/spec.ts";
import type { Blobs } from "../platform/blobs.ts";
import { faultOf, faultTold } from "../platform/fault-told.ts";
import { hashesOf } from "./copies.ts";
import type { History } from "./history.ts";
import { leftBehind } from "./left-behind.ts";
import { OutOfReach } from "./out-of-reach.ts";
import type { ReadWaits } from "./read-waits.ts";
import type { Repaired } from "./workshop.ts";

/** The partition, as orders have it before them. */
export interface Desk {
  readonly log: Log;
  readonly history: History;
  readonly waits: ReadWaits;
  /** Readers and followers are to look: there is more, or an end. */
  readonly changed: () => void;
  /** Followers are to hear of a new snapshot. */
  readonly told: (snapshot: Snapshot) => void;
}

/** A request to forget, as a partition knows it. */
export interface Known {
  readonly view: ErasureView;
  /** Every partition that it went to, where that was noted. */
  readonly asked: readonly number[] | undefined;
}

/** An object that the manifest names, and what it should be. */
export interface Expected {
  readonly key: string;
  readonly base: number;
  readonly next: number;
  readonly size: number;
  readonly sha: Uint8Array;
  readonly head: number;
  /**
   * Hashes of which it names one as that of the segment before it, as that was when this was asked: it may be rewritten then. Undefined
   * where that has no object, or a row that is not what was written.
   */
  readonly follows: readonly Uint8Array[] | undefined;
}

const objectsAtOnce = 64;

export const past = {
  /** Takes a request to forget, which goes to these partitions. The same id again is the same request. */
  async erase({ log, history }: Desk, id: string, target: Target, asked?: readonly number[]): Promise<Result<Known>> {
    const unread = await beyond({ log, history }, id, target);
    if (!unread.ok) return unread;
    const { workshop } = history;
    if (workshop === undefined) return wasDeleted;
    const erasure = workshop.erasures.request(id, target, Date.now(), { asked, unread: unread.value });
    if (!erasure.ok) return erasure;
    workshop.forgetting();
    history.kick();
    try {
      if (erasure.value.state === "rewriting") await history.outside.forget(target, erasure.value.to, false);
    } catch (error) {
      // It reads what it knows by its offset alone, and the store may not answer. It hears of it again before the receipt is done.
      console.error("forgetting:", (error as Error).message);
    }
    return ok(known(log, erasure.value));
  },

  /** How a request stands; undefined where there is none of this id. With a target, refuses where `erase` would. */
  async erasure({ log, history }: Desk, id: string, target?: Target): Promise<Result<Known | undefined>> {
    const taken = target === undefined ? ok([]) : await beyond({ log, history }, id, target);
    if (!taken.ok) return taken;
    const erasure = history.workshop?.erasures.get(id);
    return ok(erasure === undefined ? undefined : known(log, erasure));
  },

  async repair({ history }: Desk, body: RepairCall): Promise<Result<Repaired>> {
    const { workshop } = history;
    if (workshop === undefined) return wasDeleted;
    let more = false;
    try {
      const repaired = await workshop.repair(body);
      more = repaired.ok && repaired.value.next !== undefined;
      return repaired;
    } catch (error) {
      if (error instanceof OutOfReach) return { ok: false, refusal: error.refusal };
      if (faultOf(error) === undefined) throw error;
      return faultTold("the partition could not be repaired", error);
    } finally {
      // What the database has whole is not to leave it before the repair has come to it.
      if (more) history.hold();
      else history.release();
    }
  },

  /** How many records other bounds would let go; null keeps none. */
  async loss({ log, history }: Desk, bounds: Retention | null): Promise<Result<number>> {
    if (bounds === null) return ok(log.facts().records);
    const holds = await holdsUnder(bounds, { log, history });
    return ok(loss(log, bounds, history.blobs !== undefined, Date.now(), holds));
  },

  /** What repairs have made holes. */
  lost: ({ log }: Desk): Result<LostRange[]> => ok(lostOf(log)),

  /** The objects that there should be, from an offset on. */
  objects({ log }: Desk, from: number): Result<Expected[]> {
    const { logId, partition } = log.spec;
    const { store } = log.segments;
    let before = store.before(from - 1);
    const objects = store.archivedFrom(from, objectsAtOnce).map((segment): Expected => {
      const follows = before?.next === segment.base ? hashesOf(before) : undefined;
      before = segment;
      const { base, next, size, sha } = segment;
      return { key: segmentKey(logId, partition, segment), base, next, size, sha, head: log.span.head, follows };
    });
    return ok(objects);
  },
};

/** What holds records up now, by whether it would under other bounds. */
async function holdsUnder(bounds: Retention, { log, history }: Pick<Desk, "log" | "history">): Promise<Holds> {
  const before = retentionOf(log.spec);
  const all = (["keepForGroups", "keepForSnapshot"] as const).filter((name) => before[name]);
  const holds = { lifted: Number.POSITIVE_INFINITY, left: Number.POSITIVE_INFINITY };
  if (all.every((name) => bounds[name])) return holds;
  for (const name of all) {
    const held = name === "keepForGroups" ? await history.outside.floor() : new Snapshots(log).covered;
    const under = bounds[name] ? "left" : "lifted";
    holds[under] = Math.min(holds[under], held);
  }
  return holds;
}

const wasDeleted = refuse("stream-not-found", "the stream was deleted");

const rebuildFirst =
  "the partition's database was lost, and the bucket has what was in it: nobody can tell whose records those are; rebuild the partition (repair, mode rebuild), and ask again";

/** What a request to forget cannot reach, by first offsets; refuses where it cannot be taken. */
async function beyond(
  { log, history }: Pick<Desk, "log" | "history">,
  id: string,
  target: Target,
): Promise<Result<readonly number[]>> {
  const known = history.workshop?.erasures.known(id, target) ?? wasDeleted;
  if (!known.ok || known.value !== undefined) return known.ok ? ok([]) : known;
  const unread = await leavings(log, history.blobs);
  return log.span.tail === 0 && unread.length > 0 ? refuse("conflict", rebuildFirst) : ok(unread);
}

/** What a log of before has left in the bucket; nothing where that cannot be seen now: before the receipt it is looked again. */
async function leavings(log: Log, blobs: Blobs | undefined): Promise<readonly number[]> {
  if (log.span.tail > 0 && !retentionOf(log.spec).archive) return [];
  return leftBehind(log, blobs).catch(() => []);
}

function known({ spec: { partition } }: Log, erasure: Erasure): Known {
  const { id: _id, target: _target, hash: _hash, more: _more, asked, requested, finished, objects, ...shown } = erasure;
  const view: ErasureView = {
    partition,
    ...shown,
    unread: [...shown.unread],
    objects: objects.length,
    requested: new Date(requested).toISOString(),
    ...(finished === undefined ? {} : { finished: new Date(finished).toISOString() }),
  };
  return { view, asked };
}
