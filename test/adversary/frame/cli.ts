/** The command line as the package has it: a process, which says something and ends with a code. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Writable } from "node:stream";
import type { Service } from "./service.ts";

export const commandMs = 60_000;

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** `npm ci` builds it; where that was not so, it is built now. */
export function built(folder: string): string {
  const said = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const path = join(folder, said.bin.millrace as string);
  if (existsSync(path)) return path;
  const [, ...words] = (said.scripts.build as string).split(" ");
  execFileSync(process.execPath, words, { cwd: folder, stdio: "inherit" });
  return path;
}

export interface Running {
  readonly child: ChildProcess;
  readonly said: { out: string; err: string };
  readonly ended: Promise<Ran & { readonly signal: NodeJS.Signals | null }>;
}

export interface Start {
  readonly cwd?: string;
  readonly token?: string;
  /** Its standard input stays open for whoever writes to it; else there is none. */
  readonly input?: boolean;
  /** It is killed then. */
  readonly timeoutMs?: number;
}

/**
 * Whoever started it may be killed himself: the other end of its fourth pipe is held by a shell in its group, which ends the
 * group when the pipe ends.
 */
const guarded = '(cat <&3 >/dev/null 2>&1; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; exec "$0" "$@"';

export function start(service: Service, namespace: string, args: readonly string[], options: Start = {}): Running {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: "/nonexistent",
    MILLRACE_URL: service.origin,
    MILLRACE_TOKEN: options.token ?? service.token,
    MILLRACE_NAMESPACE: namespace,
  };
  const child = spawn("sh", ["-c", guarded, process.execPath, built(service.folder), ...args], {
    env,
    detached: true,
    stdio: [options.input ? "pipe" : "ignore", "pipe", "pipe", "pipe"],
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    ...(options.timeoutMs !== undefined && { timeout: options.timeoutMs, killSignal: "SIGKILL" as const }),
  });
  const said = { out: "", err: "" };
  child.stdout?.setEncoding("utf8").on("data", (data) => {
    said.out += data;
  });
  child.stderr?.setEncoding("utf8").on("data", (data) => {
    said.err += data;
  });
  child.stdin?.on("error", () => {});
  const guard = child.stdio[3] as Writable;
  guard.on("error", () => {});
  child.on("exit", () => guard.destroy());
  const ended = new Promise<Awaited<Running["ended"]>>((done, fail) => {
    child.on("error", fail);
    child.on("close", (code, signal) => done({ code, signal, ...said }));
  });
  return { child, said, ended };
}

export const millrace = (service: Service, namespace: string, args: readonly string[]): Promise<Ran> =>
  start(service, namespace, args, { timeoutMs: commandMs }).ended;
