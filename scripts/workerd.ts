/**
 * Runs a Worker on bare `workerd serve`, with data on the local disk. The configuration is derived from wrangler.toml at
 * each start, so that the two cannot drift; of its fields workerd takes only some, and refuses the others.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { buildSync } from "esbuild";
import { parse } from "smol-toml";

const root = resolve(import.meta.dirname, "..");
const fields = [
  "name",
  "compatibility_date",
  "compatibility_flags",
  "vars",
  "durable_objects",
  "exports",
  "triggers",
  "queues",
];
const startMsMax = 15_000;

export interface Options {
  /** 0 picks a free one. */
  port?: number;
  host?: string;
  /** Folder of the data; made if need be. */
  data: string;
  token?: string;
  /** Entry of another Worker, and its classes, for baselines. */
  main?: string;
  /** Address for the inspector, to profile. */
  inspector?: string;
}

export interface Running {
  readonly url: string;
  /** workerd's own. */
  readonly pid: number;
  /** Settles when workerd is gone, however it came to that. */
  readonly ended: Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Resolves when the Worker answers. workerd keeps its state in `.wrangler/state` below the configuration's folder. */
export async function run(options: Options): Promise<Running> {
  const folder = resolve(options.data);
  mkdirSync(folder, { recursive: true });
  build(options.main ?? join(root, "src/worker.ts"), join(folder, "worker.js"));
  // It holds the token: for the eyes of its owner.
  writeFileSync(join(folder, "wrangler.json"), JSON.stringify(configuration(options.token), null, 2), { mode: 0o600 });
  const host = bracketed(options.host ?? "127.0.0.1");
  const flags = options.inspector === undefined ? [] : [`--inspector-addr=${options.inspector}`];
  const socket = `http=${host}:${options.port ?? 0}`;
  const child = spawn(
    join(root, "node_modules/.bin/workerd"),
    ["serve", "--experimental", "wrangler.json", "-s", socket, "--control-fd=3", ...flags],
    { cwd: folder, stdio: ["ignore", "inherit", "pipe", "pipe"] },
  );
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  // Until it is up, what it says goes into the error.
  let said = "";
  let up = false;
  child.stderr?.on("data", (data) => {
    if (up) process.stderr.write(data);
    else said += data;
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), startMsMax);
  try {
    const url = `http://${reachable(host)}:${await portOf(child.stdio[3] as Readable)}`;
    await (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(startMsMax) })).arrayBuffer();
    up = true;
    process.stderr.write(said);
    return {
      url,
      pid: child.pid as number,
      ended,
      async stop(signal = "SIGTERM") {
        child.kill(signal);
        await ended;
      },
    };
  } catch (cause) {
    child.kill("SIGKILL");
    await ended;
    throw new Error(`workerd did not start on ${socket.slice("http=".length)}\n${said}`.trimEnd(), { cause });
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The port that workerd listens on, from workerd itself: a service of somebody else's that holds the port would answer too.
 */
async function portOf(control: Readable): Promise<number> {
  for await (const line of createInterface({ input: control })) {
    const { event, socket, port } = JSON.parse(line);
    if (event === "listen" && socket === "http") return port;
  }
  throw new Error("workerd ended before it listened");
}

const bracketed = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** An address that stands for all of them cannot be called. */
const reachable = (host: string): string => ({ "0.0.0.0": "127.0.0.1", "[::]": "[::1]" })[host] ?? host;

function build(main: string, outfile: string): void {
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

function configuration(token: string | undefined): object {
  const toml = parse(readFileSync(join(root, "wrangler.toml"), "utf8")) as Record<string, unknown>;
  const config: Record<string, unknown> = { main: "worker.js", no_bundle: true };
  for (const field of fields) if (toml[field] !== undefined) config[field] = toml[field];
  return {
    ...config,
    vars: { ...(config.vars as object), ...(token === undefined ? {} : { MILLRACE_ROOT_TOKEN: token }) },
  };
}
