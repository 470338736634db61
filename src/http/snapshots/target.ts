/** Which partition's snapshots are meant, and where they lie. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import type { SnapshotNote, SnapshotView } from "../../../schemas/snapshot.ts";
import { hex32 } from "../../lib/bytes.ts";
import type { Snapshot } from "../../log/snapshot-store.ts";
import type { PartitionOrder, PartitionOrderArgs, PartitionOrderValue } from "../../objects/orders.ts";
import { archive, bindArchive, type Env } from "../../objects/stubs.ts";
import type { Blobs } from "../../platform/blobs.ts";
import { askAny, lookup, type Route } from "../lookup.ts";

export interface Names {
  readonly namespace: string;
  readonly stream: string;
}

/** A partition of a stream, to be asked for its snapshots. */
export interface Target {
  readonly env: Env;
  readonly route: Route;
  readonly number: number;
}

export async function targetOf(env: Env, { namespace, stream }: Names, asked?: number): Promise<Result<Target>> {
  let route = await lookup(env, namespace, stream);
  if (route.ok && asked !== undefined && asked >= route.value.stream.map.length) {
    route = await lookup(env, namespace, stream, true);
  }
  if (!route.ok) return route;
  const { length } = route.value.stream.map;
  if (asked === undefined && length > 1) {
    return refuse(
      "invalid",
      `query: partition: the stream has ${length} of them, each with snapshots of its own; name one`,
      {
        path: "partition",
      },
    );
  }
  const number = asked ?? 0;
  if (number < length) return ok({ env, route: route.value, number });
  return refuse("partition-not-found", `the stream has no partition ${number}; its partitions are 0 to ${length - 1}`);
}

export const ask = <N extends PartitionOrder>(
  { env, route, number }: Target,
  order: N,
  ...args: PartitionOrderArgs<N>
): Promise<Result<PartitionOrderValue<N>>> => askAny(env, route, number, (stub) => stub.order(order, ...args));

/** The bucket, where there is one. */
export function bucketOf(env: Env): Result<Blobs> {
  const blobs = archive(env);
  if (blobs !== undefined) return ok(blobs);
  return refuse("archive-off", `snapshots lie in the archive, and the deployment has none; ${bindArchive}`);
}

/** The offset in a path. */
export function offsetOf(text: string): Result<number> {
  const offset = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(offset) && offset < Number.MAX_SAFE_INTEGER) return ok(offset);
  return refuse("invalid", `path: '${text.slice(0, 64)}' is no offset`, { path: "offset" });
}

/** Path of a snapshot that stays what it is. */
function hrefOf({ namespace, stream }: Route, partition: number, { offset, id }: Snapshot): string {
  const path = `/v1/${encodeURIComponent(namespace)}/streams/${encodeURIComponent(stream.name)}/snapshots/${offset}`;
  return `${path}?partition=${partition}&version=${id}`;
}

export function viewOf(route: Route, partition: number, snapshot: Snapshot): SnapshotView {
  const { offset, bytes, contentType, name, created, id, crc } = snapshot;
  return {
    partition,
    offset,
    bytes,
    contentType,
    ...(name === "" ? {} : { name }),
    createdAt: new Date(created).toISOString(),
    ...(crc === null ? {} : { crc32c: hex32(crc) }),
    version: id,
    href: hrefOf(route, partition, snapshot),
  };
}

/** What a page of a read says of a snapshot. */
export function noteOf(route: Route, partition: number, snapshot: Snapshot): SnapshotNote {
  const { offset, bytes, contentType } = snapshot;
  return { partition, offset, bytes, contentType, href: hrefOf(route, partition, snapshot) };
}
