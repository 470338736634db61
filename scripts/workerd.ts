/**
 * Runs a Worker on bare `workerd serve`, with data on the local disk. The configuration is derived from wrangler.toml at
 * each start, so that the two cannot drift; of its fields workerd takes only some, and refuses the others.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { buildSync } from "esbuild";
import { parse } from "smol-toml";

const root = resolve(import.meta.dirname, "..");
const fields = [
  "name",
  "compatibility_date",
  "compatibility_flags",
  "vars",
  "durable_objects",
  "migrations",
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
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Resolves when the Worker answers. workerd keeps its state in `.wrangler/state` below the configuration's folder. */
export async function run(options: Options): Promise<Running> {
  const folder = resolve(options.data);
  mkdirSync(folder, { recursive: true });
  build(options.main ?? join(root, "src/worker.ts"), join(folder, "worker.js"));
  writeFileSync(join(folder, "wrangler.json"), JSON.stringify(configuration(options.token), null, 2));
  const host = options.host ?? "127.0.0.1";
  const port = options.port || (await freePort());
  const flags = options.inspector === undefined ? [] : [`--inspector-addr=${options.inspector}`];
  const workerd = join(root, "node_modules/.bin/workerd");
  const child = spawn(workerd, ["serve", "--experimental", "wrangler.json", "-s", `http=${host}:${port}`, ...flags], {
    cwd: folder,
    stdio: ["ignore", "inherit", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (data) => {
    said += data;
    if (said.length < 10_000) process.stderr.write(data);
  });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const url = `http://${host === "0.0.0.0" ? "127.0.0.1" : host}:${port}`;
  for (const until = Date.now() + startMsMax; ; await pause(20)) {
    if (child.exitCode !== null) throw new Error(`workerd ended with code ${child.exitCode}\n${said}`);
    if (await answers(`${url}/healthz`)) break;
    if (Date.now() > until) {
      child.kill("SIGKILL");
      throw new Error(`workerd does not answer on ${url}`);
    }
  }
  return {
    url,
    pid: child.pid as number,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      await ended;
    },
  };
}

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

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url, { signal: AbortSignal.timeout(1_000) })).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
