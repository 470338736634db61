/** Runs a bundled Worker on bare `workerd serve`, with data on the local disk. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { makeFolder } from "./folders.ts";
import { hold, mortal } from "./holding.ts";
import { forbidden, listening } from "./ports.ts";
import { passOn } from "./readers.ts";

/** A machine that is busy with other things takes its time; what cannot start says so at once. */
const startMsMax = 60_000;
/** For so long what is under way may come to its end. */
const stopMsMax = 5_000;

/** What a configuration of workerd takes over from wrangler.toml. */
export interface Manifest {
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
  readonly objects: readonly { readonly name: string; readonly className: string }[];
  readonly vars: Readonly<Record<string, string>>;
}

export interface Launch {
  /** The executable. */
  readonly workerd: string;
  readonly manifest: Manifest;
  /** Folder of the data; made if need be. */
  readonly folder: string;
  /** Writes the Worker's one module to a path. Not called where the folder is another service's. */
  readonly bundle: (outfile: string) => void;
  /** Folder of static files, by its absolute path. */
  readonly assets?: string;
  /** 0 picks a free one. */
  readonly port?: number;
  readonly host?: string;
  readonly token?: string;
  /** The archive's store: MILLRACE_S3_*. It is reached wherever it is, by a way that nothing else of the Worker has. */
  readonly archive?: Readonly<Record<string, string>>;
  /** Lets the Worker call private and loopback addresses: webhooks to receivers on this machine. */
  readonly privateNetwork?: boolean;
  /** Address for the inspector, to profile. */
  readonly inspector?: string;
}

export interface Running {
  readonly url: string;
  /** workerd's own. */
  readonly pid: number;
  /** Settles when workerd is gone, however it came to that. */
  readonly ended: Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

/** Resolves when the Worker answers. Objects are kept in `objects` below the folder. */
export async function launch(options: Launch): Promise<Running> {
  const folder = resolve(options.folder);
  makeFolder(join(folder, "objects"));
  const folderHeld = await hold(folder);
  try {
    options.bundle(join(folder, "worker.js"));
    // It holds secrets: for the eyes of its owner.
    writeFileSync(join(folder, "workerd.capnp"), configuration(options), { mode: 0o600 });
    if (options.inspector !== undefined) await inspectable(options.inspector);
  } catch (error) {
    folderHeld.release();
    throw error;
  }
  const host = bracketed(options.host ?? "127.0.0.1");
  const flags = options.inspector === undefined ? [] : [`--inspector-addr=${options.inspector}`];
  const socket = `http=${host}:${options.port ?? 0}`;
  const [command, ...args] = mortal([
    options.workerd,
    ...["serve", "--experimental", "workerd.capnp", "-s", socket, "--control-fd=3", ...flags],
  ]);
  const child = spawn(command as string, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe", "pipe"] });
  folderHeld.by(child.pid);
  const ended = new Promise<void>((done) => child.once("close", () => done())).then(folderHeld.release);
  // Until it is up, what it says goes into the error.
  let said = "";
  let up = false;
  child.once("error", (error) => {
    said += error.message;
  });
  passOn(child.stdout, process.stdout);
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
        // It would wait for every stream and socket to be closed by its client.
        const late = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
        await ended;
        clearTimeout(late);
      },
    };
  } catch (cause) {
    child.kill("SIGKILL");
    await ended;
    throw new Error(whyNot(said, host, options.port ?? 0), { cause });
  } finally {
    clearTimeout(timer);
  }
}

/** workerd would neither serve nor say why. */
async function inspectable(address: string): Promise<void> {
  const at = address.lastIndexOf(":");
  const code = await listening(Number(address.slice(at + 1)), address.slice(0, at));
  if (code !== undefined)
    throw new Error(`the inspector cannot listen on ${address} (${code}); choose another with --inspector`);
}

/** What a user can do about it, where that is known; else what workerd said. */
function whyNot(said: string, host: string, port: number): string {
  if (said.includes("Address already in use"))
    return `port ${port} is taken on ${host}; stop what listens there, or choose another with --port`;
  if (said.includes("bind(): Permission denied")) return forbidden(port);
  if (/Cannot assign requested address|DNS lookup failed/.test(said))
    return `${host} is no address of this machine; choose another with --host`;
  const why = said.trim() || `it did not listen within ${startMsMax / 1_000} s, or ended without a word`;
  return `workerd did not start on ${host}:${port}\n${why}`;
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

const text = JSON.stringify;

function configuration({ manifest, token, privateNetwork, assets, archive = {} }: Launch): string {
  const { objects, compatibilityDate, compatibilityFlags } = manifest;
  const hasArchive = Object.keys(archive).length > 0;
  const vars = {
    ...manifest.vars,
    ...archive,
    ...(token === undefined ? {} : { MILLRACE_ROOT_TOKEN: token }),
    ...(privateNetwork ? { MILLRACE_PUSH_PRIVATE: "1" } : {}),
  };
  const namespaces = objects.map(
    ({ className }) =>
      `    (className = ${text(className)}, uniqueKey = ${text(`millrace-${className}`)}, enableSql = true),`,
  );
  const bindings = [
    ...objects.map(({ name, className }) => `    (name = ${text(name)}, durableObjectNamespace = ${text(className)}),`),
    ...Object.entries(vars).map(([name, value]) => `    (name = ${text(name)}, text = ${text(value)}),`),
    ...(assets === undefined ? [] : ['    (name = "ASSETS", service = "assets"),']),
    ...(hasArchive ? ['    (name = "MILLRACE_S3_NETWORK", service = "archive"),'] : []),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "millrace", worker = .millrace),
    (name = "objects", disk = (path = "objects", writable = true)),
${assets === undefined ? "" : `    (name = "assets", disk = (path = ${text(assets)})),\n`}${network("internet", privateNetwork)}${hasArchive ? `\n${network("archive", true)}` : ""}
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", service = "millrace")],
);

const millrace :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = ${text(compatibilityDate)},
  compatibilityFlags = ${text(compatibilityFlags)},
  durableObjectStorage = (localDisk = "objects"),
  durableObjectNamespaces = [
${namespaces.join("\n")}
  ],
  bindings = [
${bindings.join("\n")}
  ],
);
`;
}

const network = (name: string, isPrivate: boolean | undefined): string => `    (name = ${text(name)}, network = (
      allow = ["public"${isPrivate ? ', "private"' : ""}],
      tlsOptions = (trustBrowserCas = true),
    )),`;
