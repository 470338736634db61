/**
 * A real S3 server of its own process: the one that miniflare has over its R2, which checks signatures. Says its endpoint on
 * a line, and ends by SIGTERM, or with whoever started it, however that ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Miniflare } from "miniflare";
import type { S3Store } from "../../src/platform/s3-request.ts";

const account = { accessKeyId: "test-key", secretAccessKey: "test-secret" };
const buckets = ["archive", "worker"];

export interface Server {
  readonly store: S3Store;
  end(): Promise<void>;
}

/** What tells a service of a store. */
export const varsOf = ({ endpoint, bucket, accessKeyId, secretAccessKey }: S3Store): Record<string, string> => ({
  MILLRACE_S3_ENDPOINT: endpoint,
  MILLRACE_S3_BUCKET: bucket,
  MILLRACE_S3_ACCESS_KEY_ID: accessKeyId,
  MILLRACE_S3_SECRET_ACCESS_KEY: secretAccessKey,
});

export async function s3Server(): Promise<Server> {
  const child: ChildProcess = spawn(process.execPath, [import.meta.filename], { stdio: ["pipe", "pipe", "inherit"] });
  for await (const endpoint of createInterface({ input: child.stdout! })) {
    return {
      store: { endpoint, bucket: buckets[0], region: "auto", ...account },
      async end() {
        child.kill("SIGTERM");
        if (child.exitCode === null) await once(child, "exit");
      },
    };
  }
  throw new Error("the S3 server did not start");
}

if (process.argv[1] === import.meta.filename) {
  const r2 = (name: string) => ({ type: "r2", name, dev: { experimentalS3Credentials: account } }) as const;
  const env = Object.fromEntries(buckets.map((name) => [name, r2(name)]));
  const modules = { "main.js": { type: "esm", contents: "export default {}" } } as const;
  const manifest = { mainModule: "main.js", modulesRoot: import.meta.dirname, modules };
  const server = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    logRequests: false,
    workers: [{ config: { name: "s3", compatibilityDate: "2026-11-01", manifest, env } }],
  });
  const end = () => void server.dispose().then(() => process.exit(0));
  process.once("SIGTERM", end);
  process.stdin.once("end", end).resume();
  console.log(new URL("/cdn-cgi/local/r2/s3", await server.ready).href);
}
