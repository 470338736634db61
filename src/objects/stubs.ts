/**
 * Addresses. A fresh stub for each call: after a fault of the platform a stub fails for good. A partition's name holds the
 * log's id, so that a stream that is deleted and created again never meets its old objects.
 */
import type { StreamConfig } from "../../schemas/stream.ts";
import { archiveOf } from "../platform/archive.ts";
import type { Blobs } from "../platform/blobs.ts";
import { cached } from "../platform/cached.ts";
import type { CatalogRpc, DeliveryRpc, PartitionRpc } from "./rpc.ts";

export interface Env {
  readonly CATALOG: DurableObjectNamespace;
  readonly PARTITION: DurableObjectNamespace;
  readonly DELIVERY: DurableObjectNamespace;
  /** Secret. Without it the Worker refuses to serve. */
  readonly MILLRACE_ROOT_TOKEN?: string;
  /** Keeps every object of the deployment inside a jurisdiction: `eu`, `us`, `fedramp`. */
  readonly JURISDICTION?: string;
  /** The page's files. On the platform they are served before the Worker is asked. */
  readonly ASSETS?: Fetcher;
  /** Set where groups may push to private and loopback addresses, and without TLS: local development. */
  readonly MILLRACE_PUSH_PRIVATE?: string;
  /** Is sent what `segmentEvents` streams are told, where it is bound. */
  readonly SEGMENT_EVENTS?: Queue;
  /** The archive's bucket. Where it is bound, the S3 store is not looked at. */
  readonly ARCHIVE?: R2Bucket;
  /** The archive's store where there is no R2: the URL of anything that speaks S3. All of the four, or none. */
  readonly MILLRACE_S3_ENDPOINT?: string;
  readonly MILLRACE_S3_BUCKET?: string;
  /** `auto` without it. */
  readonly MILLRACE_S3_REGION?: string;
  readonly MILLRACE_S3_ACCESS_KEY_ID?: string;
  /** Secret. */
  readonly MILLRACE_S3_SECRET_ACCESS_KEY?: string;
  /** The way to that store, where the Worker itself may only reach public addresses. */
  readonly MILLRACE_S3_NETWORK?: Fetcher;
}

/** The object that knows the namespaces. No namespace can have this name. */
const registry = "$registry";

const within = (env: Env, objects: DurableObjectNamespace) =>
  env.JURISDICTION ? objects.jurisdiction(env.JURISDICTION as DurableObjectJurisdiction) : objects;

export function catalog(env: Env, namespace: string): CatalogRpc {
  return within(env, env.CATALOG).getByName(namespace) as unknown as CatalogRpc;
}

export const namespaceRegistry = (env: Env): CatalogRpc => catalog(env, registry);

/** `placement` counts when the object is first asked for anything; afterwards it stays where it is. */
export function partition(env: Env, logId: string, number: number, placement: StreamConfig["placement"]): PartitionRpc {
  return partitionObject(env, logId, number, placement) as unknown as PartitionRpc;
}

/** The same, to be asked by `fetch`: for a socket. */
export function partitionObject(
  env: Env,
  logId: string,
  number: number,
  placement: StreamConfig["placement"],
): DurableObjectStub {
  const options = placement === undefined ? undefined : { locationHint: placement as DurableObjectLocationHint };
  return within(env, env.PARTITION).getByName(`${logId}/${number}`, options);
}

/** The store of what is archived, if the deployment has one. */
export const archive = (env: Env): Blobs | undefined => archiveOf(env);

/** What to do where there is none. */
export const bindArchive = "bind an R2 bucket as ARCHIVE, or set MILLRACE_S3_ENDPOINT and its companions";

const readers = new WeakMap<Blobs, Blobs>();

/** The same for readers: by the cache of where they are. */
export function archiveReader(env: Env): Blobs | undefined {
  const blobs = archive(env);
  if (blobs === undefined) return undefined;
  const reader = readers.get(blobs) ?? cached(blobs);
  readers.set(blobs, reader);
  return reader;
}

/** The delivery of a group on one partition; `id` is the catalog's name for the group's deliveries. */
export function delivery(env: Env, id: string, number: number): DeliveryRpc {
  return deliveryObject(env, id, number) as unknown as DeliveryRpc;
}

/** The same, to be asked by `fetch`: for a socket. */
export function deliveryObject(env: Env, id: string, number: number): DurableObjectStub {
  return within(env, env.DELIVERY).getByName(`${id}/${number}`);
}
