/** Where a subscription begins on each of its partitions. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import type { GroupFilter } from "../../../schemas/group.ts";
import { filterOf } from "../../log/filter.ts";
import { type From, positionOf } from "../../log/position.ts";
import { readThrough } from "../../objects/cold.ts";
import { findNewest } from "../../objects/newest.ts";
import { archiveReader, type Env } from "../../objects/stubs.ts";
import { askAny, type Route } from "../lookup.ts";

/** Offsets, by partition. One that is below the head is given as it is: the partition says what is missing. */
export async function placesOf(
  env: Env,
  route: Route,
  partitions: readonly number[],
  from: From,
  filter: GroupFilter | undefined,
): Promise<Result<ReadonlyMap<number, number>>> {
  const last = "position" in from && from.position.at === "last" ? from.position.count : undefined;
  if (last !== undefined && (filter !== undefined || partitions.length > 1)) {
    return newestOf(env, route, partitions, last, filter);
  }
  const located = await Promise.all(partitions.map((partition) => locate(env, route, partition, from)));
  const places = new Map<number, number>();
  for (const [index, place] of located.entries()) {
    if (!place.ok) return place;
    places.set(partitions[index], place.value);
  }
  return ok(places);
}

async function locate(env: Env, route: Route, partition: number, from: From): Promise<Result<number>> {
  const position = positionOf(from, partition, false);
  const found = await askAny(env, route, partition, (stub) => stub.order("locate", position));
  return found.ok && "offset" in position ? ok(position.offset) : found;
}

async function newestOf(
  env: Env,
  route: Route,
  partitions: readonly number[],
  count: number,
  filter: GroupFilter | undefined,
): Promise<Result<ReadonlyMap<number, number>>> {
  const wanted = filter === undefined ? undefined : filterOf(filter);
  const newest = await findNewest(count, partitions, wanted, (partition, call) => {
    const where = { logId: route.stream.logId, partition, blobs: archiveReader(env) };
    return askAny(env, route, partition, (stub) => readThrough(where, call, (call) => stub.read(call)));
  });
  if (newest.ok) return ok(newest.value.places(false));
  return "refusal" in newest ? newest : refuse("unavailable", "a partition is being moved; try again in a moment");
}
