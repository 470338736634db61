/** Snapshots, as those who follow hear of them. */
import type { StreamMessage } from "../../../schemas/frames.ts";
import type { Env } from "../../objects/stubs.ts";
import { askAny, type Route } from "../lookup.ts";

export type NewSnapshot = Extract<StreamMessage, { type: "snapshot" }>;

/** The snapshots that a read from `snapshot` begins with: one for each partition that has one. */
export async function beginnings(env: Env, route: Route, partitions: readonly number[]): Promise<NewSnapshot[]> {
  const found = await Promise.all(
    partitions.map((partition) => askAny(env, route, partition, (stub) => stub.order("snapshotBefore"))),
  );
  return found.flatMap((one, index) =>
    one.ok
      ? [{ type: "snapshot", partition: partitions[index], offset: one.value.offset, bytes: one.value.bytes }]
      : [],
  );
}
