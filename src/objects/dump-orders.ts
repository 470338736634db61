/** What dumps and restores ask of a partition. They alone see a log that is being restored. */
import type { RestoreStand } from "../../schemas/dump-routes.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { readBlocks } from "../archive/dump.ts";
import { type ChunksPage, chunksPage, type KeysPage, keysPage, stateBlocks } from "../archive/dump-log.ts";
import type { Part } from "../archive/dump-order.ts";
import { partOf } from "../archive/dump-part.ts";
import { finish, standOf, take } from "../archive/restore-log.ts";
import type { Sql } from "../lib/sql.ts";
import { Log } from "../log/log.ts";
import type { Spec } from "../log/spec.ts";
import type { Blobs } from "../platform/blobs.ts";
import { bury } from "./emptying.ts";
import type { History } from "./history.ts";
import { lostBefore, noteBereft } from "./left-behind.ts";

interface Desk {
  readonly log: Log;
  readonly history: History;
}

export const dumpOrders = {
  /** The blocks of the state, one after another: what memory has room for may be more than a call's answer has. */
  /** Refuses where it would be that of an empty log in the place of one whose database was lost. */
  async dumpState({ log, history }: Desk): Promise<Result<ReadableStream<Uint8Array>>> {
    const isEmpty = !log.restoring && log.span.tail === 0;
    const lost = isEmpty ? await lostBefore(log, history.blobs) : ok(undefined);
    if (!lost.ok) return lost;
    if (lost.value === undefined) return ok(streamOf([...stateBlocks(log)]));
    const { from, to, reason } = lost.value;
    return refuse("damaged", `partition ${log.spec.partition} cannot be dumped: ${reason}`, { from, to });
  },

  dumpKeys: ({ log }: Desk, after: string): Result<KeysPage> => ok(keysPage(log, after)),

  dumpChunks: ({ log }: Desk, from: number, to: number): Result<ChunksPage> => chunksPage(log, from, to),

  /** Blocks that the Worker has checked. */
  restoreParts({ log, history }: Desk, bytes: Uint8Array): Result<RestoreStand> {
    const blocks = readBlocks(bytes);
    if (!blocks.ok) return blocks;
    const parts: Part[] = [];
    for (const block of blocks.value) {
      const part = partOf(block);
      if (!part.ok) return part;
      parts.push(part.value);
    }
    const taken = take(log, parts, Date.now());
    history.kick();
    return taken;
  },

  /** A group's delivery follows from the first moment on, so that retention waits for it, though it has yet to be told so. */
  restoreFollower({ log }: Desk, id: string): Result<undefined> {
    log.followers.add(id, log.span.head);
    return ok(undefined);
  },

  restoreStand: ({ log }: Desk): Result<RestoreStand> => ok(standOf(log)),
};

/** A stream of bytes that are there. */
function streamOf(parts: Uint8Array[]): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    // Only a stream of bytes travels between objects. The types of the platform and of the browser disagree on how it is asked for.
    type: "bytes" as never,
    pull(controller: ReadableStreamDefaultController<Uint8Array>) {
      if (at < parts.length) controller.enqueue(parts[at++]);
      else controller.close();
    },
  });
}

/**
 * Brings a log up to date. One that was restored comes into use by that: its catalog has made sure that all of it is there. `blobs`:
 * the bucket, where there was a log before, as far as anybody knows.
 */
export async function configured(log: Log, spec: Spec, now: number, blobs?: Blobs): Promise<true | "foreign"> {
  // A stream that was restored without records has another's id until it is first used.
  const owner = log.spec.names?.namespace;
  if (owner !== undefined && owner !== spec.names?.namespace) return "foreign";
  // It was made of just this.
  const isNew = log.spec === spec;
  if (log.restoring) finish(log, now);
  log.configure(spec, now);
  if (isNew) await noteBereft(log, blobs);
  return true;
}

/** Buries a log that was deleted; false, and nothing done, where it is another, or another namespace's. */
export function buried(log: Log, logId: string, owner: string): boolean {
  const { spec } = log;
  if (spec.logId !== logId || (spec.names?.namespace ?? owner) !== owner) return false;
  bury(log);
  return true;
}

/** A log that is to be restored; undefined where one that was deleted is yet to be freed. */
export function begin(sql: Sql, spec: Spec, now: number, { isDue }: { readonly isDue: boolean }): Log | undefined {
  return isDue ? undefined : Log.create(sql, spec, now, undefined, true);
}

/** Whether a log is one that may be restored into, as this stream's. */
export function prepared(log: Log | undefined, spec: Spec): Result<undefined> {
  const names = log?.spec.names;
  const same = names?.namespace === spec.names?.namespace && names?.stream === spec.names?.stream;
  if (log?.restoring && same) return ok(undefined);
  const detail = `the log ${spec.logId} is in use, or still being deleted: restore it with a new id, or try again in a moment`;
  return refuse("conflict", detail);
}
