/**
 * Runs a Worker on bare `workerd serve`, with data on the local disk. The configuration is derived from wrangler.toml at
 * each start, so that the two cannot drift.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { buildSync } from "esbuild";
import { parse } from "smol-toml";

const root = resolve(import.meta.dirname, "..");
const startMsMax = 15_000;

export interface Options {
  /** 0 picks a free one. */
  port?: number;
  host?: string;
  /** Folder of the data; made if need be. */
  data: string;
  token?: string;
  /** Lets the Worker call private and loopback addresses: webhooks to receivers on this machine. */
  privateNetwork?: boolean;
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

/** Resolves when the Worker answers. Objects are kept in `objects` below the folder of the data. */
export async function run(options: Options): Promise<Running> {
  const folder = resolve(options.data);
  mkdirSync(join(folder, "objects"), { recursive: true });
  build(options.main ?? join(root, "src/worker.ts"), join(folder, "worker.js"));
  // It holds the token: for the eyes of its owner.
  writeFileSync(join(folder, "workerd.capnp"), configuration(options), { mode: 0o600 });
  const host = bracketed(options.host ?? "127.0.0.1");
  const flags = options.inspector === undefined ? [] : [`--inspector-addr=${options.inspector}`];
  const socket = `http=${host}:${options.port ?? 0}`;
  const child = spawn(
    join(root, "node_modules/.bin/workerd"),
    ["serve", "--experimental", "workerd.capnp", "-s", socket, "--control-fd=3", ...flags],
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

interface Wrangler {
  readonly compatibility_date: string;
  readonly durable_objects: { readonly bindings: readonly { readonly name: string; readonly class_name: string }[] };
  readonly vars?: Readonly<Record<string, string>>;
}

function configuration({ token, privateNetwork }: Options): string {
  const toml = parse(readFileSync(join(root, "wrangler.toml"), "utf8")) as unknown as Wrangler;
  const vars = {
    ...toml.vars,
    ...(token === undefined ? {} : { MILLRACE_ROOT_TOKEN: token }),
    ...(privateNetwork ? { MILLRACE_PUSH_PRIVATE: "1" } : {}),
  };
  const text = JSON.stringify;
  const { bindings } = toml.durable_objects;
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "millrace", worker = .millrace),
    (name = "objects", disk = (path = "objects", writable = true)),
    (name = "internet", network = (
      allow = ["public"${privateNetwork ? ', "private"' : ""}],
      tlsOptions = (trustBrowserCas = true),
    )),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", service = "millrace")],
);

const millrace :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = ${text(toml.compatibility_date)},
  durableObjectStorage = (localDisk = "objects"),
  durableObjectNamespaces = [
${bindings.map(({ class_name }) => `    (className = ${text(class_name)}, uniqueKey = ${text(`millrace-${class_name}`)}, enableSql = true),`).join("\n")}
  ],
  bindings = [
${bindings.map(({ name, class_name }) => `    (name = ${text(name)}, durableObjectNamespace = ${text(class_name)}),`).join("\n")}
${Object.entries(vars)
  .map(([name, value]) => `    (name = ${text(name)}, text = ${text(value)}),`)
  .join("\n")}
  ],
);
`;
}
