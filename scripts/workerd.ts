/**
 * Runs a Worker of this repository on bare `workerd serve`. What it is configured with is derived from wrangler.toml at
 * each start, so that the two cannot drift.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildSync } from "esbuild";
import { parse } from "smol-toml";
import { type Launch, launch, type Manifest, type Running } from "../src/cli/launch.ts";

export type { Running } from "../src/cli/launch.ts";

const root = resolve(import.meta.dirname, "..");

export interface Options extends Pick<Launch, "port" | "host" | "token" | "archive" | "privateNetwork" | "inspector"> {
  /** Folder of the data; made if need be. */
  data: string;
  /** Entry of another Worker, and its classes, for baselines. */
  main?: string;
}

/** Of each entry: who starts many services, such as the tests, waits for it once. */
const bundles = new Map<string, Uint8Array>();

/** Resolves when the Worker answers. */
export async function run({ data, main = join(root, "src/worker.ts"), ...options }: Options): Promise<Running> {
  const workerd = join(root, "node_modules/.bin/workerd");
  const bundle = (outfile: string) => {
    const bundled = bundles.get(main);
    if (bundled !== undefined) return writeFileSync(outfile, bundled);
    bundleWorker(main, outfile);
    bundles.set(main, readFileSync(outfile));
  };
  return launch({ ...options, workerd, manifest: manifest(), folder: data, bundle, assets: join(root, "dist/public") });
}

export function bundleWorker(main: string, outfile: string): void {
  buildSync({
    entryPoints: [main],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2024",
    external: ["cloudflare:*", "node:*"],
    logLevel: "warning",
  });
}

interface Wrangler {
  readonly compatibility_date: string;
  readonly compatibility_flags?: readonly string[];
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] };
  readonly vars?: Readonly<Record<string, string>>;
}

export function manifest(): Manifest {
  const toml = parse(readFileSync(join(root, "wrangler.toml"), "utf8")) as unknown as Wrangler;
  const objects = toml.durable_objects.bindings.map(({ name, class_name }) => ({ name, className: class_name }));
  const { compatibility_date: compatibilityDate, compatibility_flags: compatibilityFlags = [], vars = {} } = toml;
  return { compatibilityDate, compatibilityFlags, objects, vars };
}
