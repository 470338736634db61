/**
 * Streams out of dumps, and into them. What is being restored is kept apart until all of it is there: nobody sees a half
 * of it, and its name is taken. Synchronous.
 */
import type { GroupDump, StreamDump } from "../../schemas/dump.ts";
import { eventLoop, groupProblem } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import type { Sql } from "../lib/sql.ts";
import { deliveriesOf, type Groups } from "./groups.ts";
import { isOver } from "./lifetimes.ts";
import { type RestoreRow, RestoreStore } from "./restore-store.ts";
import type { Store, StreamRow } from "./store.ts";
import type { Stream } from "./stream.ts";

export interface Restored {
  readonly stream: Stream;
  readonly finished: boolean;
}

export class Restores {
  readonly #restores: RestoreStore;

  constructor(
    readonly sql: Sql,
    readonly store: Store,
    readonly groups: Groups,
  ) {
    this.#restores = new RestoreStore(sql);
  }

  /** What a stream, and its groups, were. Undefined while it grows: its map is not the last word. */
  dump(stream: Stream): { stream: StreamDump; groups: GroupDump[] } | undefined {
    const { name, logId, version, created, updated, config, map } = stream;
    if (this.store.stream(name)?.growing) return undefined;
    const opened = this.store.opened(logId);
    const dumped = { stream: name, logId, version, created, updated, config, map: [...map], opened };
    return { stream: dumped, groups: this.groups.dump(logId) };
  }

  /** Refuses what is asked of a stream by its name while it is being restored. */
  refusal(name: string): ReturnType<typeof refuse> | undefined {
    const row = this.#restores.restore(name);
    if (row === undefined || row.finished === 1) return undefined;
    return refuse("restoring", `the stream '${name}' is being restored; wait until that is done, or delete it`);
  }

  /** Which restore a stream comes from: digits of its dump's SHA-256; empty where it comes from none. */
  broughtBy(name: string): string {
    return this.#restores.restore(name)?.dump.slice(0, 16) ?? "";
  }

  /** The stream that is being restored, or was. */
  get(name: string): Result<Restored> {
    const row = this.#restores.restore(name);
    if (row !== undefined) return ok(view(row));
    return refuse("stream-not-found", `the stream '${name}' is not being restored; begin with POST …/restore`);
  }

  /** Takes the name, and the log's id. The same dump again goes on with it. */
  begin(
    name: string,
    file: string,
    { stream: _, logId, ...given }: StreamDump,
    id: string | undefined,
    now: number,
  ): Result<Restored> {
    // A file may hold several streams, and any of them could be asked for under this name.
    const dump = `${file}/${logId}`;
    const known = this.#restores.restore(name);
    if (known?.dump === dump) return ok(view(known));
    if (this.store.stream(name) !== undefined) {
      return refuse("conflict", `the stream '${name}' exists; delete it, or restore under another name`);
    }
    if (known !== undefined && known.finished === 0) {
      return refuse("conflict", `'${name}' is being restored from another dump; delete the stream to begin anew`);
    }
    const log = id ?? logId;
    if (this.lives(log)) {
      return refuse("conflict", `the log ${log} lives on as another stream; restore it with a new id`);
    }
    if (this.#restores.purging(log)) {
      return refuse(
        "conflict",
        `the log ${log} is still being deleted; try again in a moment, or restore with a new id`,
      );
    }
    const { version, updated, config, map, opened } = given;
    // Under a new id it is another stream, whose time begins.
    const created = id === undefined ? given.created : now;
    if (isOver({ ...streamDefaults, ...config }, created, now)) {
      const over = new Date(created + (config.ttlMs ?? 0)).toISOString();
      const detail = `the time of '${name}' (ttlMs) was over at ${over}: it would be deleted at once; restore it with a new id`;
      return refuse("conflict", detail);
    }
    const loop = eventLoop(name, { ...streamDefaults, ...config }, (other) => {
      const row = this.store.stream(other);
      return row && { ...streamDefaults, ...JSON.parse(row.config) }.segmentEvents;
    });
    if (loop !== undefined) return refuse("conflict", `${loop}; restore it under another name`);
    const texts = { config: JSON.stringify(config), map: JSON.stringify(map), growing: null };
    const row: StreamRow = { name, id: log, ...texts, version, created, updated };
    const restore = { name, id: log, dump, stream: JSON.stringify(row), finished: 0 };
    this.sql.transaction(() => {
      // So that an end of it finds what it has begun.
      for (const partition of opened) this.store.setOpened(log, partition);
      this.#restores.setRestore(restore);
    });
    return ok(view(restore));
  }

  /** A log is a stream's, or is being restored. */
  lives(log: string): boolean {
    return this.store.streamOfLog(log) !== undefined || this.#restores.restoreOfLog(log)?.finished === 0;
  }

  /** Takes a group. It is there when its stream is. */
  group({ name, logId, map }: Stream, dump: GroupDump, id: string): Result<string> {
    const known = this.groups.known(logId, dump.group, id);
    const beside = { stream: name, partitions: map.length, opened: this.store.opened(logId), ...known };
    const problem = groupProblem(dump, beside);
    if (problem !== undefined) return problem;
    if (this.#restores.purging(deliveriesOf(logId, id))) {
      return refuse("conflict", `the group '${dump.group}' is still being deleted; try again in a moment`);
    }
    return this.groups.restore(logId, dump, id);
  }

  /** Everything is there: the stream and its groups are, too. These stand still, unless they are to go on at once. */
  finish(name: string, resume: boolean, now: number): void {
    const row = this.#restores.restore(name);
    if (row === undefined || row.finished === 1) return;
    this.sql.transaction(() => {
      this.store.setStream(JSON.parse(row.stream));
      this.#restores.setRestore({ ...row, finished: 1 });
      if (!resume) this.groups.standStill(row.id, now);
      this.groups.tellLog(row.id, now);
    });
  }

  /** The groups of what was restored go on as they were, where they stand still for that alone. */
  resume(name: string, now: number): void {
    const row = this.#restores.restore(name);
    if (row === undefined) return;
    this.sql.transaction(() => {
      this.groups.goOn(row.id, now);
    });
  }

  /** Ends a restore, whatever there is of it; false where there is none. A deleted stream can be restored again. */
  drop(name: string, now: number): boolean {
    const row = this.#restores.restore(name);
    if (row === undefined) return false;
    this.#restores.dropRestore(name);
    if (row.finished === 1) return false;
    this.groups.dropAll(row.id, now);
    this.store.purgeAll(row.id, now);
    return true;
  }

  /** Names of the streams that are being restored. */
  names(): string[] {
    return this.#restores.unfinished().map(({ name }) => name);
  }

  /** The partitions, and the groups with theirs, that must have come. */
  parts(logId: string): { partitions: number[]; places: { id: string; partition: number; group: string }[] } {
    const places = this.groups.dump(logId).flatMap(({ id, group }) => {
      const deliveries = deliveriesOf(logId, id);
      return this.store.opened(deliveries).map((partition) => ({ id: deliveries, partition, group }));
    });
    return { partitions: this.store.opened(logId), places };
  }
}

function view({ stream, finished }: RestoreRow): Restored {
  const { name, id: logId, version, config, map, created, updated }: StreamRow = JSON.parse(stream);
  const shown = { name, logId, version, created, updated, map: JSON.parse(map) };
  return { stream: { ...shown, config: { ...streamDefaults, ...JSON.parse(config) } }, finished: finished === 1 };
}
