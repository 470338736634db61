/** Where a subscription begins on each of its partitions. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import type { GroupFilter } from "../../../schemas/group.ts";
import { filterOf } from "../../log/filter.ts";
import { type From, positionOf } from "../../log/position.ts";
import type { Position } from "../../log/read.ts";
import { readThrough } from "../../objects/cold.ts";
import { findNewest } from "../../objects/newest.ts";
import { archiveReader, type Env } from "../../objects/stubs.ts";
import { askAny, type Route } from "../lookup.ts";
import { type NewSnapshot, newestOnes } from "./news.ts";

export interface Places {
  /** By partition. One that is below the head is given as it is: the partition says what is missing. */
  readonly offsets: ReadonlyMap<number, number>;
  /** Those that the read begins with. */
  readonly snapshots: readonly NewSnapshot[];
}

export async function placesOf(
  env: Env,
  route: Route,
  partitions: readonly number[],
  from: From,
  filter: GroupFilter | undefined,
): Promise<Result<Places>> {
  if ("position" in from && from.position.at === "snapshot") return behindSnapshots(env, route, partitions);
  const last = "position" in from && from.position.at === "last" ? from.position.count : undefined;
  if (last !== undefined && (filter !== undefined || partitions.length > 1)) {
    return newestOf(env, route, partitions, last, filter);
  }
  const locating = partitions.map((partition) => locate(env, route, partition, positionOf(from, partition, false)));
  return gathered(partitions, await Promise.all(locating));
}

/**
 * A snapshot is asked for once, and reading begins where that one ends: one that is complete a moment later is news like any
 * other, and whoever loaded it would be sent what it has in it.
 */
async function behindSnapshots(env: Env, route: Route, partitions: readonly number[]): Promise<Result<Places>> {
  const snapshots = await newestOnes(env, route, partitions);
  if (!snapshots.ok) return snapshots;
  const begin = async (partition: number, snapshot: NewSnapshot | undefined) =>
    snapshot === undefined ? locate(env, route, partition, { at: "earliest" }) : ok(snapshot.offset);
  const begun = await Promise.all(partitions.map((partition, index) => begin(partition, snapshots.value[index])));
  return gathered(
    partitions,
    begun,
    snapshots.value.filter((one) => one !== undefined),
  );
}

function gathered(
  partitions: readonly number[],
  offsets: readonly Result<number>[],
  snapshots: readonly NewSnapshot[] = [],
): Result<Places> {
  const places = new Map<number, number>();
  for (const [index, offset] of offsets.entries()) {
    if (!offset.ok) return offset;
    places.set(partitions[index], offset.value);
  }
  return ok({ offsets: places, snapshots });
}

async function locate(env: Env, route: Route, partition: number, position: Position): Promise<Result<number>> {
  const found = await askAny(env, route, partition, (stub) => stub.order("locate", position));
  return found.ok && "offset" in position ? ok(position.offset) : found;
}

async function newestOf(
  env: Env,
  route: Route,
  partitions: readonly number[],
  count: number,
  filter: GroupFilter | undefined,
): Promise<Result<Places>> {
  const wanted = filter === undefined ? undefined : filterOf(filter);
  const newest = await findNewest(count, partitions, wanted, (partition, call) => {
    const where = { logId: route.stream.logId, partition, blobs: archiveReader(env) };
    return askAny(env, route, partition, (stub) => readThrough(where, call, (call) => stub.read(call)));
  });
  if (newest.ok) return ok({ offsets: newest.value.places(false), snapshots: [] });
  return "refusal" in newest ? newest : refuse("unavailable", "a partition is being moved; try again in a moment");
}
