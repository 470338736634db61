/** One namespace: its streams, their maps and configurations, and what is left to do for them. Synchronous. */
import { eventLoop } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import {
  type ListQuery,
  type PartitionRange,
  type StreamConfig,
  streamConfig,
  streamDefaults,
} from "../../schemas/stream.ts";
import type { Sql } from "../lib/sql.ts";
import { conflict } from "./conflict.ts";
import { Groups } from "./groups.ts";
import { Lifetimes } from "./lifetimes.ts";
import { firstMap, grow } from "./map.ts";
import { Purges } from "./purges.ts";
import { Restores } from "./restores.ts";
import { Store, type StreamRow } from "./store.ts";
import type { Listed, Stream } from "./stream.ts";
import { type Change, exists, fieldsOf, type How } from "./writing.ts";

/** A namespace that exists without being created, and stays. */
const always = "default";

export class Catalog {
  readonly #store: Store;
  readonly groups: Groups;
  readonly lifetimes: Lifetimes;
  readonly purges: Purges;
  readonly restores: Restores;

  constructor(
    readonly sql: Sql,
    readonly namespace: string,
  ) {
    const store = new Store(sql);
    this.#store = store;
    this.lifetimes = new Lifetimes(sql);
    this.purges = new Purges(store);
    this.groups = new Groups(
      sql,
      (id) => store.opened(id),
      (id, partition) => store.setOpened(id, partition),
      (id, now) => store.purgeAll(id, now),
    );
    this.restores = new Restores(sql, store, this.groups);
  }

  /** When the namespace was created, in ms; undefined where it does not exist. */
  get created(): number | undefined {
    return this.#store.namespace(this.namespace) ?? (this.namespace === always ? 0 : undefined);
  }

  describe(): Result<number> {
    return this.created === undefined ? this.#missing() : ok(this.created);
  }

  create(now: number): { created: boolean; since: number } {
    const since = this.created;
    if (since !== undefined) return { created: false, since };
    this.#store.setNamespace(this.namespace, now);
    return { created: true, since: now };
  }

  /** Deletes the namespace with all its streams; one that has streams only with `force`. */
  destroy(force: boolean, now: number): Result<undefined> {
    if (this.namespace === always)
      return refuse("conflict", "the namespace 'default' always exists; delete its streams");
    if (this.created === undefined) return this.#missing();
    const count = this.#store.countStreams() + this.restores.names().length;
    if (count > 0 && !force) {
      const detail = `the namespace has ${count} streams, which would be deleted; delete them first, or pass force=true`;
      return refuse("conflict", detail, { streams: count });
    }
    this.sql.transaction(() => {
      for (const row of this.#store.streams("", "", Number.MAX_SAFE_INTEGER)) this.#drop(row, now);
      for (const name of this.restores.names()) this.restores.drop(name, now);
      this.#store.dropNamespace(this.namespace);
    });
    return ok(undefined);
  }

  stream(name: string): Result<Stream> {
    if (this.created === undefined) return this.#missing();
    const row = this.#store.stream(name);
    return row === undefined ? this.#unknown(name) : ok(view(row));
  }

  streams(query: ListQuery): Result<Listed<Stream>> {
    if (this.created === undefined) return this.#missing();
    return ok(page(this.#store.streams(query.prefix ?? "", query.after ?? "", query.limit + 1).map(view), query.limit));
  }

  /** A stream that is there, as it would be by a change. */
  planned(name: string, change: Change<StreamConfig>, how: How): Result<Stream> {
    const stream = this.stream(name);
    if (!stream.ok) return stream;
    if (how === "create") return exists(`the stream '${name}'`);
    const { config: before } = stream.value;
    const fields = fieldsOf(streamConfig, change, how, before, streamDefaults);
    if (!fields.ok) return fields;
    const config: StreamConfig = { ...before, ...fields.value };
    const problem = conflict(before, config) ?? this.#eventLoop(name, config);
    return problem === undefined ? ok({ ...stream.value, config }) : refuse("conflict", problem);
  }

  /**
   * Creates a stream, or changes the fields that `change` names. The same call twice is the same as once. Where the
   * stream grows, the new map takes effect when the partitions of `growing` have been sealed and `grown` was told.
   */
  put(
    name: string,
    change: Change<StreamConfig>,
    id: string,
    now: number,
    how: How = "put",
  ): Result<{ stream: Stream; created: boolean }> {
    if (this.created === undefined) return this.#missing();
    const row = this.#store.stream(name);
    if (row === undefined) return how === "patch" ? this.#unknown(name) : this.#createStream(name, change, id, now);
    const planned = this.planned(name, change, how);
    if (!planned.ok) return planned;
    const before = view(row).config;
    const after = planned.value.config;
    if (JSON.stringify(after) === row.config) return ok({ stream: view(row), created: false });
    const growing =
      after.partitions > before.partitions ? JSON.stringify(grow(latest(row), after.partitions)) : row.growing;
    const changed: StreamRow = {
      ...row,
      config: JSON.stringify(after),
      growing,
      version: row.version + 1,
      updated: now,
    };
    this.#store.setStream(changed);
    this.lifetimes.set(view(changed), now);
    return ok({ stream: view(changed), created: false });
  }

  drop(name: string, now: number): Result<undefined> {
    if (this.created === undefined) return this.#missing();
    const row = this.#store.stream(name);
    let found = row !== undefined;
    this.sql.transaction(() => {
      if (row === undefined) found = this.restores.drop(name, now);
      else this.#drop(row, now);
    });
    return found ? ok(undefined) : refuse("stream-not-found", `the stream '${name}' does not exist`);
  }

  /** Notes that a partition is about to hold data, so that deletion finds it. Refuses one that is being sealed. */
  open(name: string, partition: number, now: number): Result<Stream> {
    const stream = this.stream(name);
    if (!stream.ok) return stream;
    const row = this.#store.stream(name)!;
    const range = latest(row).find((one) => one.partition === partition);
    const known = stream.value.map.some((one) => one.partition === partition);
    if (range === undefined || !known) {
      return refuse("partition-not-found", `the stream has no partition ${partition}`);
    }
    if (!this.#store.opened(stream.value.logId).includes(partition)) {
      const sealing = range.sealed && !stream.value.map[partition].sealed;
      if (sealing) return refuse("unavailable", `partition ${partition} is being split; try again in a moment`);
      this.sql.transaction(() => {
        this.#store.setOpened(stream.value.logId, partition);
        this.groups.partitionOpened(stream.value.logId, partition, now);
      });
    }
    return stream;
  }

  opened(logId: string): number[] {
    return this.#store.opened(logId);
  }

  /** Streams whose next map waits for its parents to be sealed, with the parents that have ever been opened. */
  growing(): { name: string; logId: string; parents: number[] }[] {
    return this.#store.streamsGrowing().map((row) => {
      const next = latest(row);
      const parents = view(row)
        .map.filter((range) => !range.sealed && next[range.partition].sealed)
        .map((range) => range.partition);
      const opened = this.#store.opened(row.id);
      return { name: row.name, logId: row.id, parents: parents.filter((parent) => opened.includes(parent)) };
    });
  }

  /** The parents are sealed: the next map is the map. */
  grown(name: string, logId: string, now: number): void {
    const row = this.#store.stream(name);
    if (row?.id !== logId || row.growing === null) return;
    this.#store.setStream({ ...row, map: row.growing, growing: null, version: row.version + 1, updated: now });
    this.groups.mapChanged(logId, now);
  }

  /** When there is something to do next, in ms since 1970. */
  wakeAt(now: number): number | undefined {
    if (this.#store.streamsGrowing().length > 0) return now + 1_000;
    const times = [this.#store.nextPurge(), this.groups.wakeAt(), this.lifetimes.wakeAt()];
    const due = times.filter((time) => time !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  streamOfLog(logId: string): Stream | undefined {
    const row = this.#store.streamOfLog(logId);
    return row === undefined ? undefined : view(row);
  }

  /** The registry's side: the names of all namespaces but the one that always exists. */
  register(name: string, created: number): void {
    this.#store.setNamespace(name, created);
  }

  unregister(name: string): void {
    this.#store.dropNamespace(name);
  }

  namespaces(query: ListQuery): Listed<{ name: string; created: number }> {
    const rows = this.#store.namespaces(query.prefix ?? "", query.after ?? "", query.limit + 1);
    const fits = always.startsWith(query.prefix ?? "") && always > (query.after ?? "");
    if (fits) rows.push({ name: always, created: 0 });
    rows.sort((a, b) => (a.name < b.name ? -1 : 1));
    return page(rows, query.limit);
  }

  #createStream(
    name: string,
    change: Change<StreamConfig>,
    id: string,
    now: number,
  ): Result<{ stream: Stream; created: boolean }> {
    const restoring = this.restores.refusal(name);
    if (restoring !== undefined) return restoring;
    if (this.#store.countStreams() >= limits.streamsMax) {
      return refuse("too-many", `a namespace has at most ${limits.streamsMax} streams`, { limit: limits.streamsMax });
    }
    const config: StreamConfig = { ...streamDefaults, ...change };
    const problem = this.#eventLoop(name, config);
    if (problem !== undefined) return refuse("conflict", problem);
    const row: StreamRow = {
      name,
      id,
      config: JSON.stringify(config),
      map: JSON.stringify(firstMap(config.partitions)),
      growing: null,
      version: 1,
      created: now,
      updated: now,
    };
    this.#store.setStream(row);
    this.lifetimes.set(view(row), now);
    return ok({ stream: view(row), created: true });
  }

  #eventLoop(name: string, config: StreamConfig): string | undefined {
    return eventLoop(name, config, (other) => {
      const row = this.#store.stream(other);
      return row && view(row).config.segmentEvents;
    });
  }

  #drop(row: StreamRow, now: number): void {
    this.groups.dropAll(row.id, now);
    this.lifetimes.drop(row.id);
    this.#store.purgeAll(row.id, now);
    this.#store.dropStream(row.name);
    this.restores.drop(row.name, now);
  }

  #unknown(name: string) {
    const missing = refuse("stream-not-found", `the stream '${name}' does not exist; create it with PUT`);
    return this.restores.refusal(name) ?? missing;
  }

  #missing(): { ok: false; refusal: { code: "namespace-not-found"; detail: string } } {
    const detail = `the namespace '${this.namespace}' does not exist; create it with PUT`;
    return { ok: false, refusal: { code: "namespace-not-found", detail } };
  }
}

/** The newest map of a stream, in effect or not yet. */
const latest = (row: StreamRow): PartitionRange[] => JSON.parse(row.growing ?? row.map);

function view(row: StreamRow): Stream {
  const map: PartitionRange[] = JSON.parse(row.map);
  const { name, id: logId, version, created, updated } = row;
  // A row from an older version knows fewer fields.
  return { name, logId, version, config: { ...streamDefaults, ...JSON.parse(row.config) }, map, created, updated };
}

function page<T extends { name: string }>(items: T[], limit: number): Listed<T> {
  if (items.length <= limit) return { items };
  const shown = items.slice(0, limit);
  return { items: shown, after: shown[limit - 1].name };
}
