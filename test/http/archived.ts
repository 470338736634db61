/** A service whose archive is in a real S3 server, and what lies in that. */
import type { Blobs } from "../../src/platform/blobs.ts";
import { s3Blobs } from "../../src/platform/s3.ts";
import { type FaultProxy, faultProxy } from "../system/fault-proxy.ts";
import { type Server, s3Server, varsOf } from "../system/s3-server.ts";
import { type Service, service } from "./service.ts";

export interface Archived extends Service {
  readonly bucket: Blobs;
  readonly store: Server;
  readonly archive: Record<string, string>;
  /** Every object's bytes, as text. */
  grep(prefix: string): Promise<string>;
}

export async function archived(options: { privateNetwork?: boolean } = {}): Promise<Archived> {
  const store = await s3Server();
  const archive = varsOf(store.store);
  const running = await service(undefined, { archive, ...options });
  const blobs = s3Blobs(store.store);
  return {
    ...running,
    bucket: blobs,
    store,
    archive,
    async grep(prefix) {
      let text = "";
      for (const { key, size } of (await blobs.list(prefix)).blobs) {
        const bytes = (await blobs.get(key, 0, size)) ?? new Uint8Array(0);
        text += Buffer.from(bytes).toString("latin1");
      }
      return text;
    },
    async end() {
      await running.end();
      await store.end();
    },
  };
}

/** A service that reaches its archive through a proxy, which fails when it is told to. */
export interface Proxied {
  readonly millrace: Service;
  readonly proxy: FaultProxy;
  end(): Promise<void>;
}

export async function proxied(): Promise<Proxied> {
  const store = await s3Server();
  const proxy = await faultProxy(store.store);
  const millrace = await service(undefined, { archive: varsOf(proxy.store) });
  return {
    millrace,
    proxy,
    async end() {
      await millrace.end();
      await proxy.end();
      await store.end();
    },
  };
}

/** Waits until something holds, and gives it. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, ms = 15_000): Promise<T> {
  for (const end = Date.now() + ms; ; ) {
    const found = await ask();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
