/** The product with a bucket that is bound, in miniflare's workerd: bare workerd has no R2. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { bundleWorker, manifest } from "../scripts/workerd.ts";

export interface Bound {
  readonly url: string;
  stop(): Promise<void>;
}

export async function bound(main: string, folder: string, token: string): Promise<Bound> {
  const file = join(folder, "worker.js");
  bundleWorker(main, file);
  const { objects, compatibilityDate, vars } = manifest();
  const name = "millrace";
  const texts = Object.entries({ ...vars, MILLRACE_ROOT_TOKEN: token });
  const server = new Miniflare({
    host: "127.0.0.1",
    port: 0,
    logRequests: false,
    resourcePersistencePath: folder,
    workers: [
      {
        config: {
          name,
          compatibilityDate,
          manifest: {
            mainModule: "worker.js",
            modulesRoot: folder,
            modules: { "worker.js": { type: "esm", contents: readFileSync(file, "utf8") } },
          },
          env: Object.fromEntries([
            ...objects.map(({ name: binding, className }) => [
              binding,
              { type: "durable-object", worker: name, exportName: className } as const,
            ]),
            ...texts.map(([key, value]) => [key, { type: "text", value } as const]),
            ["ARCHIVE", { type: "r2", name: "archive" } as const],
          ]),
          exports: Object.fromEntries(
            objects.map(({ className }) => [className, { type: "durable-object", storage: "sqlite" } as const]),
          ),
        },
      },
    ],
  });
  return { url: (await server.ready).href.replace(/\/$/, ""), stop: () => server.dispose() };
}
