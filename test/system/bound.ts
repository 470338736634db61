/** The product with an R2 bucket, and a queue, that are bound, in miniflare's workerd: bare workerd has neither. */
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Miniflare } from "miniflare";
import { bundleWorker, manifest } from "../../scripts/workerd.ts";

export interface Bound {
  readonly url: string;
  /** What came out of the queue of segment events so far. */
  told(): Promise<{ id: string; event: string; base: number }[]>;
  stop(): Promise<void>;
}

const main = resolve(import.meta.dirname, "../../src/worker.ts");
const queue = "segments";
const reader = `const bodies = [];
export default {
  queue: ({ messages }) => void bodies.push(...messages.map(({ body }) => body)),
  fetch: () => Response.json(bodies),
};`;

export async function bound(folder: string, token: string): Promise<Bound> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "worker.js");
  bundleWorker(main, file);
  const { objects, compatibilityDate, compatibilityFlags, vars } = manifest();
  const name = "millrace";
  const moduleOf = (contents: string) => ({
    mainModule: "worker.js",
    modulesRoot: folder,
    modules: { "worker.js": { type: "esm", contents } as const },
  });
  const texts = Object.entries({ ...vars, MILLRACE_ROOT_TOKEN: token });
  const env = Object.fromEntries([
    ...objects.map(({ name: binding, className }) => [
      binding,
      { type: "durable-object", worker: name, exportName: className } as const,
    ]),
    ...texts.map(([key, value]) => [key, { type: "text", value } as const]),
    ["ARCHIVE", { type: "r2", name: "archive" } as const],
    ["SEGMENT_EVENTS", { type: "queue", name: queue } as const],
  ]);
  const exports = Object.fromEntries(
    objects.map(({ className }) => [className, { type: "durable-object", storage: "sqlite" } as const]),
  );
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
          compatibilityFlags: [...compatibilityFlags],
          manifest: moduleOf(readFileSync(file, "utf8")),
          env,
          exports,
        },
      },
      {
        config: {
          name: "reader",
          compatibilityDate,
          manifest: moduleOf(reader),
          triggers: [{ type: "queue", name: queue, maxBatchTimeout: 0 }],
        },
      },
    ],
  });
  return {
    url: (await server.ready).href.replace(/\/$/, ""),
    async told() {
      const answer = await (await server.getWorker("reader")).fetch("http://reader/");
      return (await answer.json()) as Awaited<ReturnType<Bound["told"]>>;
    },
    stop: () => server.dispose(),
  };
}
