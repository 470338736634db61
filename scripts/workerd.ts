/**
 * Runs a Worker of this repository on bare `workerd serve`. What it is configured with is derived from wrangler.toml at
 * each start, so that the two cannot drift.
 */
import { copyFileSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildSync } from "esbuild";
import { parse } from "smol-toml";
import { type Launch, launch, type Manifest, type Running } from "../src/cli/launch.ts";

export type { Running } from "../src/cli/launch.ts";

const root = resolve(import.meta.dirname, "..");
const worker = join(root, "src/worker.ts");

export interface Options extends Pick<Launch, "port" | "host" | "token" | "archive" | "privateNetwork" | "inspector"> {
  /** Folder of the data; made if need be. */
  data: string;
  /** Entry of another Worker, and its classes, for baselines. */
  main?: string;
}

/** Resolves when the Worker answers. */
export async function run({ data, main = worker, ...options }: Options): Promise<Running> {
  const workerd = join(root, "node_modules/.bin/workerd");
  // Tests start hundreds of services, and have built what each of them would bundle anew.
  const { MILLRACE_BUILT_WORKER: built } = process.env;
  const bundle = (outfile: string) =>
    built !== undefined && main === worker ? copyFileSync(built, outfile) : bundleWorker(main, outfile);
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
