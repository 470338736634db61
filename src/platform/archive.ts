/** The deployment's store of blobs, by its configuration. */
import type { Blobs } from "./blobs.ts";
import { r2Blobs } from "./r2.ts";
import { s3Blobs } from "./s3.ts";
import type { S3Store } from "./s3-request.ts";

export interface S3Env {
  readonly MILLRACE_S3_ENDPOINT?: string;
  readonly MILLRACE_S3_BUCKET?: string;
  readonly MILLRACE_S3_REGION?: string;
  readonly MILLRACE_S3_ACCESS_KEY_ID?: string;
  readonly MILLRACE_S3_SECRET_ACCESS_KEY?: string;
}

export interface ArchiveEnv extends S3Env {
  readonly ARCHIVE?: R2Bucket;
  readonly MILLRACE_S3_NETWORK?: Fetcher;
}

export const s3Names = [
  "MILLRACE_S3_ENDPOINT",
  "MILLRACE_S3_BUCKET",
  "MILLRACE_S3_ACCESS_KEY_ID",
  "MILLRACE_S3_SECRET_ACCESS_KEY",
  "MILLRACE_S3_REGION",
] as const;

/** A store learns of itself what it can do: one for each environment. */
const archives = new WeakMap<ArchiveEnv, Blobs | { readonly none: true }>();

/** The bucket that is bound, else the S3 store that is configured, else none. Throws where half of a store is configured. */
export function archiveOf(env: ArchiveEnv): Blobs | undefined {
  const known = archives.get(env);
  if (known !== undefined) return "none" in known ? undefined : known;
  const made = makeArchive(env);
  archives.set(env, made ?? { none: true });
  return made;
}

function makeArchive(env: ArchiveEnv): Blobs | undefined {
  if (env.ARCHIVE !== undefined) return r2Blobs(env.ARCHIVE);
  const store = s3StoreOf(env);
  const network = env.MILLRACE_S3_NETWORK;
  if (store === undefined || network === undefined) return store && s3Blobs(store);
  return s3Blobs({ ...store, fetch: (url, init) => network.fetch(url, init) });
}

/** The S3 store that variables name, if they do. Throws where they name half of one. */
export function s3StoreOf(env: S3Env): S3Store | undefined {
  if (s3Names.every((name) => !env[name])) return undefined;
  const missing = s3Names.filter((name) => name !== "MILLRACE_S3_REGION" && !env[name]);
  if (missing.length > 0) throw new Error(`the S3 store is half configured; missing: ${missing.join(", ")}`);
  const endpoint = env.MILLRACE_S3_ENDPOINT as string;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (
    url === undefined ||
    !/^https?:$/.test(url.protocol) ||
    url.search !== "" ||
    url.hash !== "" ||
    url.username !== ""
  )
    throw new Error("MILLRACE_S3_ENDPOINT is not an http(s) URL without credentials and query");
  return {
    endpoint,
    bucket: env.MILLRACE_S3_BUCKET as string,
    region: env.MILLRACE_S3_REGION || "auto",
    accessKeyId: env.MILLRACE_S3_ACCESS_KEY_ID as string,
    secretAccessKey: env.MILLRACE_S3_SECRET_ACCESS_KEY as string,
  };
}
