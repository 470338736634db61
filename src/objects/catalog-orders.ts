/** What dumps, restores, repairs and requests to forget ask of a catalog, by name. */
import type { GroupDump, StreamDump } from "../../schemas/dump.ts";
import type { RestoreStand } from "../../schemas/dump-routes.ts";
import { floorProblem } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { StreamConfig } from "../../schemas/stream.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { deliveriesOf } from "../catalog/groups.ts";
import type { Restored } from "../catalog/restores.ts";
import type { Stream } from "../catalog/stream.ts";
import type { Change, How } from "../catalog/writing.ts";

/** What an order has before it: the catalog, and the way to the objects of a stream. */
export interface Desk {
  readonly core: Catalog;
  readonly telling: {
    prepare(stream: Stream, number: number): Promise<Result<undefined>>;
    stand(stream: Stream, number: number): Promise<RestoreStand | undefined>;
    placed(stream: Stream, id: string, number: number): Promise<number | undefined>;
    all(stream: Stream): Promise<void>;
    drops(stream: Stream): Promise<number>;
  };
  readonly newId: () => string;
  /** The alarm is to see to what was noted, if nobody else does. */
  arm(): Promise<void>;
  /** Tells a partition's deliveries what they are yet to be told. */
  tell(logId: string, partition: number): Promise<void>;
}

/** Of a stream: its namespace's time, its log, its restore. Another under the same names has another one. */
type Origin = string;

/** A stream, and who asks for it may see it though it is being restored. `origin`: it must be the one of before. */
function anyStream({ core }: Desk, name: string, origin?: Origin): Result<Restored & { readonly origin: Origin }> {
  const described = core.describe();
  if (!described.ok) return described;
  const restored = core.restores.get(name);
  const stream = restored.ok && !restored.value.finished ? ok(restored.value.stream) : core.stream(name);
  if (!stream.ok) return stream;
  const { logId } = stream.value;
  const own = `${described.value}-${logId}-${core.restores.broughtBy(name)}`;
  if (origin !== undefined && origin !== own && origin !== logId)
    return refuse("wrong-log", `the stream '${name}' was deleted and made anew; begin the dump anew`);
  return ok({ stream: stream.value, finished: !restored.ok || restored.value.finished, origin: own });
}

const orders = {
  anyStream,

  /** Partitions of a stream that may hold something. */
  opened({ core }: Desk, name: string): Result<number[]> {
    const stream = core.stream(name);
    return stream.ok ? ok(core.opened(stream.value.logId)) : stream;
  },

  /** What a stream would be by a change, and how many of its records the bounds would let go. */
  async plan({ core, telling }: Desk, name: string, change: Change<StreamConfig>, how: How) {
    const planned = core.planned(name, change, how);
    if (!planned.ok) return planned;
    const drops = await telling.drops(planned.value).catch(() => undefined);
    return drops === undefined
      ? refuse("unavailable", "a partition could not be asked what it would lose; try again in a moment")
      : ok({ stream: planned.value, drops });
  },

  /**
   * A partition was rebuilt: its groups' deliveries follow it anew. Refused where one could not be told yet; the alarm tells it
   * later.
   */
  async refollow({ core, arm, tell }: Desk, name: string, partition: number): Promise<Result<undefined>> {
    const stream = core.stream(name);
    if (!stream.ok) return stream;
    const { logId } = stream.value;
    core.groups.partitionOpened(logId, partition, Date.now());
    await arm();
    await tell(logId, partition);
    if (!core.groups.untold(logId, partition)) return ok(undefined);
    return refuse("unavailable", "a group could not be told that the partition was rebuilt; ask again in a moment");
  },

  /** A group with a rate is through with a partition that was split, or not any more: its other partitions share the rate. */
  async through(
    { core, arm }: Desk,
    name: string,
    group: string,
    groupId: string,
    partition: number,
    through: boolean,
  ) {
    const stream = core.stream(name);
    if (!stream.ok) return stream;
    core.groups.setThrough(stream.value, group, groupId, partition, through, Date.now());
    await arm();
    return ok(undefined);
  },

  /** The catalog's part of a dump. */
  dump(desk: Desk, name: string): Result<{ stream: StreamDump; groups: GroupDump[]; origin: Origin }> {
    const found = anyStream(desk, name);
    if (!found.ok) return found;
    const dumped = desk.core.restores.dump(found.value.stream);
    return dumped === undefined
      ? refuse("unavailable", "the stream grows; try again when its partitions are split")
      : ok({ ...dumped, origin: found.value.origin });
  },

  /** Begins a restore, or goes on with it: partitions are made, and belong to nobody else. */
  async restore(desk: Desk, name: string, dump: string, given: StreamDump, other: boolean): Promise<Result<Restored>> {
    const { core, telling, newId } = desk;
    const described = core.describe();
    if (!described.ok) return described;
    const begun = core.restores.begin(name, dump, given, other ? newId() : undefined, Date.now());
    if (!begun.ok || begun.value.finished) return begun;
    const { stream } = begun.value;
    for (const number of core.opened(stream.logId)) {
      const prepared = await telling.prepare(stream, number);
      if (prepared.ok) continue;
      // What it has made goes again; what is another's stays that one's.
      core.restores.drop(name, Date.now());
      return prepared;
    }
    return begun;
  },

  /** Answers the group's id. */
  restoreGroup(desk: Desk, name: string, group: GroupDump, other: boolean): Result<string> {
    const found = unfinished(desk, name);
    return found.ok ? desk.core.restores.group(found.value, group, other ? desk.newId() : group.id) : found;
  },

  /** The catalog's name for a group's deliveries. `origin` and `groupId`: stream and group must be those of before. */
  restorePlace(
    desk: Desk,
    name: string,
    group: string,
    partition: number,
    origin?: Origin,
    groupId?: string,
  ): Result<string> {
    const found = anyStream(desk, name, origin);
    const id = found.ok ? desk.core.groups.get(found.value.stream, group) : found;
    if (!id.ok || !found.ok) return id.ok ? refuse("stream-not-found", "") : id;
    if (groupId !== undefined && groupId !== id.value.id)
      return refuse("conflict", `the group '${group}' was deleted and made anew; begin the dump of '${name}' anew`);
    const deliveries = deliveriesOf(found.value.stream.logId, id.value.id);
    if (desk.core.opened(deliveries).includes(partition)) return ok(deliveries);
    return refuse("partition-not-found", `the group '${group}' has no place on partition ${partition}`);
  },

  /** Makes a stream of what was restored, once everything is there. */
  async restoreFinish(desk: Desk, name: string, resume = false): Promise<Result<Restored>> {
    const { arm, core, telling } = desk;
    const found = core.restores.get(name);
    if (!found.ok) return found;
    const { stream, finished } = found.value;
    if (!finished) {
      const { partitions, places } = core.restores.parts(stream.logId);
      const tails = new Map<number, number>();
      for (const number of partitions) {
        const stand = await telling.stand(stream, number);
        tails.set(number, stand?.tail ?? 0);
        if (stand?.closed) continue;
        const facts = { partition: number, ...stand };
        return refuse("restore-gap", `partition ${number} is not complete; send what is missing first`, facts);
      }
      for (const { id, partition, group } of places) {
        const floor = await telling.placed(stream, id, partition);
        if (floor !== undefined) {
          const tail = tails.get(partition) ?? 0;
          const problem = floorProblem({ group, partition, floor, tail, offsets: stream.config.offsets });
          if (problem === undefined) continue;
          return problem;
        }
        const detail = `the place of the group '${group}' on partition ${partition} is missing; send it first`;
        return refuse("restore-gap", detail, { group, partition });
      }
      core.restores.finish(name, resume, Date.now());
      core.lifetimes.set(stream, Date.now());
      await arm();
    } else if (resume) {
      core.restores.resume(name, Date.now());
      await arm();
    }
    await telling.all(stream);
    return ok({ stream, finished: true });
  },
};

function unfinished({ core }: Desk, name: string): Result<Stream> {
  const found = core.restores.get(name);
  if (!found.ok) return found;
  return found.value.finished ? refuse("conflict", `the stream '${name}' has been restored`) : ok(found.value.stream);
}

type Orders = typeof orders;
export type CatalogOrder = keyof Orders;
export type CatalogOrderArgs<N extends CatalogOrder> = Orders[N] extends (desk: Desk, ...args: infer A) => unknown
  ? A
  : never;
export type CatalogOrderValue<N extends CatalogOrder> =
  Awaited<ReturnType<Orders[N]>> extends Result<infer T> ? T : never;

export async function obey<N extends CatalogOrder>(
  name: N,
  desk: Desk,
  ...args: CatalogOrderArgs<N>
): Promise<Result<CatalogOrderValue<N>>> {
  const order = orders[name] as (desk: Desk, ...args: unknown[]) => Promise<Result<CatalogOrderValue<N>>>;
  return order(desk, ...args);
}
