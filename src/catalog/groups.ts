/** The consumer groups of a namespace's streams, and which of their deliveries are yet to be told. Synchronous. */
import type { GroupDump } from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type GroupConfig, groupDefaults } from "../../schemas/group.ts";
import { limits } from "../../schemas/limits.ts";
import type { ListQuery } from "../../schemas/stream.ts";
import type { Sql } from "../lib/sql.ts";
import type { Group, Match, Pause } from "./group.ts";
import { configAfter } from "./group-config.ts";
import { type GroupRow, GroupStore, type TellRow } from "./group-store.ts";
import { Shares } from "./shares.ts";
import type { Listed, Stream } from "./stream.ts";
import { type Change, exists, type How } from "./writing.ts";

/** A delivery that is to be told; `version` is what its group had when that was asked. */
export interface ToTell extends TellRow {
  readonly version: number | undefined;
}

/** The catalog's name for a group's deliveries, and the beginning of their objects' names. */
export const deliveriesOf = (log: string, id: string): string => `${log}/${id}`;

const retryMs = (attempts: number) => Math.min(60_000, 250 * 2 ** attempts);
const toldAtOnce = 64;

export class Groups {
  readonly shares: Shares;
  readonly #store: GroupStore;

  constructor(
    sql: Sql,
    /** The partitions, or deliveries, of an id that exist; `open` notes one. */
    readonly opened: (id: string) => number[],
    readonly open: (id: string, partition: number) => void,
    readonly purge: (id: string, now: number) => void,
  ) {
    this.#store = new GroupStore(sql);
    this.shares = new Shares(this.#store, opened);
  }

  get(stream: Stream, name: string): Result<Group> {
    const row = this.#store.group(stream.logId, name);
    if (row === undefined) return missing(stream, name);
    return ok(this.#view(row));
  }

  list(stream: Stream, query: ListQuery): Listed<Group> {
    const rows = this.#store.groups(stream.logId, query.prefix ?? "", query.after ?? "", query.limit + 1);
    const items = rows.slice(0, query.limit).map((row) => this.#view(row));
    return rows.length > query.limit ? { items, after: items[items.length - 1].name } : { items };
  }

  /** Creates a group, or changes the fields that `change` names. The same call twice is the same as once. */
  put(
    stream: Stream,
    name: string,
    change: Change<GroupConfig>,
    id: string,
    now: number,
    how: How = "put",
    /** Only where it still is what was read. */
    match?: Match,
  ): Result<{ group: Group; created: boolean }> {
    const row = this.#store.group(stream.logId, name);
    if (row === undefined && how === "patch") return missing(stream, name);
    if (row !== undefined && how === "create") return exists(`the group '${name}'`);
    if (match !== undefined && (row?.id !== match.id || row.version !== match.version)) return another(name);
    const after = configAfter(change, how, stream, row);
    if (!after.ok) return after;
    if (row === undefined && this.#store.countGroups(stream.logId) >= limits.groupsMax) {
      return refuse("too-many", `a stream has at most ${limits.groupsMax} groups`, { limit: limits.groupsMax });
    }
    const config = JSON.stringify(after.value);
    if (config === row?.config) return ok({ group: this.#view(row), created: false });
    const partitions = stream.map.length;
    const next: GroupRow =
      row === undefined
        ? { log: stream.logId, name, id, config, version: 1, paused: 0, partitions, created: now, updated: now }
        : { ...row, config, version: row.version + 1, updated: now };
    this.#store.setGroup(next);
    this.#tellAll(next, now);
    return ok({ group: this.#view(next), created: row === undefined });
  }

  /**
   * Stops a group, or lets it go on. `groupId`: one of its partitions stops it, which says nothing of a later group of the
   * name, nor of one that an operator has stopped. `version`: what that partition knows; a newer one may have another receiver.
   */
  setPaused(
    stream: Stream,
    name: string,
    because: Pause | undefined,
    groupId: string | undefined,
    now: number,
    version = Number.POSITIVE_INFINITY,
  ): Result<Group> {
    const row = this.#store.group(stream.logId, name);
    if (row === undefined) return missing(stream, name);
    const restored = this.#store.restored(row.id) !== undefined;
    const stands = row.paused === 1 || (restored && because === undefined);
    if (
      groupId === undefined ? !stands && because === undefined : stands || groupId !== row.id || version < row.version
    )
      return ok(this.#view(row));
    if (because === undefined) {
      this.#store.dropPause(row.id);
      this.#store.dropRestored(row.id);
    } else this.#store.setPause(row.id, because);
    // Again, it may have another reason.
    const updated = stands && because !== undefined ? row.updated : now;
    const next = { ...row, paused: because === undefined ? 0 : 1, version: row.version + 1, updated };
    this.#store.setGroup(next);
    this.#tellAll(next, now);
    return ok(this.#view(next));
  }

  drop(stream: Stream, name: string, now: number): Result<undefined> {
    const row = this.#store.group(stream.logId, name);
    if (row === undefined) return missing(stream, name);
    this.#drop(row, now);
    return ok(undefined);
  }

  /** All groups of a stream that is deleted. */
  dropAll(log: string, now: number): void {
    for (const row of this.#all(log)) this.#drop(row, now);
  }

  /** A partition was opened: its groups' deliveries come to be with it. */
  partitionOpened(log: string, partition: number, now: number): void {
    for (const row of this.#all(log)) {
      this.open(deliveriesOf(log, row.id), partition);
      this.#store.tell(deliveriesOf(log, row.id), partition, now);
    }
  }

  /** The map has changed, and with it the share of each partition. */
  mapChanged(log: string, now: number): void {
    for (const row of this.#all(log)) this.#tellAnew(row, now);
  }

  /** A group says how it stands with a partition that was split. */
  setThrough(stream: Stream, name: string, groupId: string, partition: number, through: boolean, now: number): void {
    const row = this.#store.group(stream.logId, name);
    if (row?.id !== groupId || !this.shares.note(deliveriesOf(row.log, row.id), partition, through)) return;
    this.#tellAnew(row, now);
  }

  /** The groups of a log, as a dump has them. Those that are not durable have no place to be kept. */
  dump(log: string): GroupDump[] {
    // That it was restored is not of what it was.
    const durable = this.#all(log).map((row) => this.#asItWas(row));
    return durable
      .filter(({ config }) => config.durable)
      .map(({ name, config, ...group }) => {
        const opened = this.opened(deliveriesOf(log, group.id));
        return { group: name, ...group, config: { ...groupDefaults, ...config }, opened };
      });
  }

  /** How many groups a log has besides one, and whether the id is that of another of them. */
  known(log: string, name: string, id: string): { groups: number; isKnown: boolean } {
    const own = this.#store.group(log, name);
    const other = this.#store.groupOf(log, id);
    const groups = this.#store.countGroups(log) - (own === undefined ? 0 : 1);
    return { groups, isKnown: other !== undefined && other.name !== name };
  }

  /** Takes a group as it was, and answers its id: the same one however often it comes. */
  restore(
    log: string,
    { group: name, opened, config, paused, because, ...rest }: GroupDump,
    id: string,
  ): Result<string> {
    const known = this.#store.group(log, name);
    if (known !== undefined) return ok(known.id);
    for (const partition of opened) this.open(deliveriesOf(log, id), partition);
    this.#store.setGroup({ log, name, ...rest, id, config: JSON.stringify(config), paused: paused ? 1 : 0 });
    if (paused && because !== undefined) this.#store.setPause(id, because);
    return ok(id);
  }

  /** What was restored has come into use: its groups stand still until they are resumed. */
  standStill(log: string, now: number): void {
    for (const row of this.#all(log)) this.#store.setRestored(row.id, now);
  }

  /** They go on as they were. */
  goOn(log: string, now: number): void {
    for (const row of this.#all(log)) {
      if (this.#store.restored(row.id) === undefined) continue;
      this.#store.dropRestored(row.id);
      this.#tellAnew(row, now);
    }
  }

  /** All deliveries of a log are to be told what they are. */
  tellLog(log: string, now: number): void {
    for (const row of this.#all(log)) this.#tellAll(row, now);
  }

  /** A delivery of a log on a partition is yet to be told. */
  readonly untold = (log: string, partition: number): boolean =>
    this.#all(log).some(({ id }) => this.#store.isUntold(deliveriesOf(log, id), partition));

  /** Deliveries that are to be told. */
  due(now: number): ToTell[] {
    return this.#asTheyAre(this.#store.telling(now, toldAtOnce));
  }

  /** Those that are to be told since a time, and were not tried yet. */
  readonly untried = (since: number) => this.#asTheyAre(this.#store.tellingSince(since, toldAtOnce));

  /** Those of a partition that were not tried yet. */
  readonly untriedAt = (log: string, partition: number) => this.#asTheyAre(this.#store.tellingAt(log, partition));

  settle(job: ToTell, told: boolean, now: number): void {
    // What the group became while its delivery was told is yet to be told.
    if (told && this.#versionOf(job.id) !== job.version) return;
    if (told) this.#store.told(job.id, job.partition);
    else this.#store.tellAgain(job, now + retryMs(job.attempts));
  }

  wakeAt(): number | undefined {
    return this.#store.nextTelling();
  }

  /** The group of a delivery that is to be told; undefined where it was deleted meanwhile. */
  groupOf(id: string): { log: string; group: Group } | undefined {
    const [log, groupId] = id.split("/");
    const row = this.#store.groupOf(log, groupId);
    return row === undefined ? undefined : { log, group: this.#view(row) };
  }

  readonly #asTheyAre = (rows: readonly TellRow[]): ToTell[] =>
    rows.map((row) => ({ ...row, version: this.#versionOf(row.id) }));

  #versionOf(id: string): number | undefined {
    return this.groupOf(id)?.group.version;
  }

  /** It is as it was, but what is told of it is not. */
  #tellAnew(row: GroupRow, now: number): void {
    const next = { ...row, version: row.version + 1 };
    this.#store.setGroup(next);
    this.#tellAll(next, now);
  }

  #tellAll(row: GroupRow, now: number): void {
    const id = deliveriesOf(row.log, row.id);
    for (const partition of this.opened(row.log)) {
      this.open(id, partition);
      this.#store.tell(id, partition, now);
    }
  }

  #drop(row: GroupRow, now: number): void {
    const id = deliveriesOf(row.log, row.id);
    this.#store.dropTelling(id);
    this.#store.dropAllThrough(id);
    this.#store.dropPause(row.id);
    this.#store.dropRestored(row.id);
    this.purge(id, now);
    this.#store.dropGroup(row.log, row.name);
  }

  #view(row: GroupRow): Group {
    const was = this.#asItWas(row);
    const at = this.#store.restored(row.id);
    if (at === undefined) return was;
    return { ...was, paused: true, because: was.because ?? { reason: restoredReason, at }, restored: true };
  }

  #asItWas(row: GroupRow): Group {
    const because = row.paused === 1 ? this.#store.pause(row.id) : undefined;
    return { ...view(row), ...(because === undefined ? {} : { because }) };
  }

  #all(log: string): GroupRow[] {
    return this.#store.groups(log, "", "", limits.groupsMax);
  }
}

const restoredReason = "it was restored, and acts on nobody until it is resumed";

const view = ({ log: _, config, paused, ...row }: GroupRow): Group => ({
  ...row,
  config: JSON.parse(config),
  paused: paused === 1,
});

const another = (name: string) =>
  refuse("changed", `the group '${name}' is not what If-Match says any more; read it again, and decide anew`);

const missing = ({ name: stream }: Stream, name: string) =>
  refuse("group-not-found", `the group '${name}' does not exist; create it with PUT`, { stream });
