/** Snapshots, as those who follow hear of them. */
import { ok, type Result } from "../../../schemas/errors.ts";
import type { StreamMessage } from "../../../schemas/frames.ts";
import type { Env } from "../../objects/stubs.ts";
import { askAny, type Route } from "../lookup.ts";

export type NewSnapshot = Extract<StreamMessage, { type: "snapshot" }>;

/** The snapshot that each of the partitions has now; undefined for one that has none. */
export async function newestOnes(
  env: Env,
  route: Route,
  partitions: readonly number[],
): Promise<Result<(NewSnapshot | undefined)[]>> {
  const found = await Promise.all(
    partitions.map((partition) => askAny(env, route, partition, (stub) => stub.order("snapshotBefore"))),
  );
  const news: (NewSnapshot | undefined)[] = [];
  for (const [index, one] of found.entries()) {
    if (!one.ok && one.refusal.code !== "snapshot-not-found") return one;
    const partition = partitions[index];
    news.push(one.ok ? { type: "snapshot", partition, offset: one.value.offset, bytes: one.value.bytes } : undefined);
  }
  return ok(news);
}
