/**
 * A program of `node_modules` that is kept up: where `npm ci` replaces what it runs on it is started anew, and it ends when it
 * is told to, whatever it has become.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { passOn } from "../src/cli/readers.ts";

const lookMs = 500;
/** For so long nothing of it may have changed before it counts as whole. */
const wholeMs = 2_000;
/** For so long it may take to end in order. */
const endMsMax = 4_000;

export interface KeptUp {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** The folder that npm installs into, and files of it that tell whether it is another one by now. */
  readonly modules: string;
  readonly files: readonly string[];
  /** Each time that it was started. */
  started(): void;
  /** Each time that it was seen to be replaced. */
  replaced(): void;
}

export interface Keeping {
  /** Its exit code, once it has ended by itself or was told to. */
  readonly ended: Promise<number>;
  stop(signal: NodeJS.Signals): Promise<void>;
}

export function keepUp(options: KeptUp): Keeping {
  const { command, env } = options;
  // What npm writes last.
  const marks = [join(options.modules, ".package-lock.json")].filter(existsSync);
  const files = options.files.map((file) => join(options.modules, file));
  let child: ChildProcess | undefined;
  let stopping = false;

  /** Tells one installation from the next; undefined while there is none. */
  function installed(): string | undefined {
    try {
      if (!marks.every(existsSync)) return undefined;
      return files
        .map((file) => statSync(file))
        .map(({ ino, birthtimeMs }) => `${ino} ${birthtimeMs}`)
        .join();
    } catch {
      return undefined;
    }
  }

  async function whole(): Promise<string> {
    let before = installed();
    for (let since = performance.now(); before === undefined || performance.now() - since < wholeMs; ) {
      await pause(lookMs);
      const now = installed();
      if (now !== before) since = performance.now();
      before = now;
    }
    return before;
  }

  function start(): ChildProcess {
    const [program, ...args] = command;
    // On a terminal it looks for itself what it is on; a pipe's reader may go away, which it would not outlive.
    const how = (stream: NodeJS.WriteStream) => (stream.isTTY ? "inherit" : "pipe");
    const stdio = ["ignore", how(process.stdout), how(process.stderr)] as const;
    const started = spawn(program as string, args, { stdio: [...stdio], env });
    passOn(started.stdout, process.stdout);
    passOn(started.stderr, process.stderr);
    return started;
  }

  async function replacedOrEnded(ended: Promise<unknown>, before: string): Promise<"replaced" | "ended"> {
    let isOver = false;
    const over = ended.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await Promise.race([over, pause(lookMs)]);
      if (installed() !== before) return "replaced";
    }
    // What it needs is removed before what we look at, perhaps.
    if (!stopping) await pause(2 * lookMs);
    return installed() === before ? "ended" : "replaced";
  }

  async function keep(): Promise<number> {
    for (let before = installed() ?? (await whole()); ; before = await whole()) {
      child = start();
      const ended = once(child, "exit");
      options.started();
      const how = await replacedOrEnded(ended, before);
      if (stopping || how === "ended") return ((await ended)[0] as number | null) ?? 1;
      options.replaced();
      await end(child, "SIGTERM");
    }
  }

  return {
    ended: keep(),
    async stop(signal) {
      stopping = true;
      if (child !== undefined) await end(child, signal);
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  const all = descendants(child.pid as number);
  child.kill(signal);
  const late = setTimeout(() => {
    for (const pid of [...all, ...descendants(child.pid as number)]) kill(pid);
    child.kill("SIGKILL");
  }, endMsMax);
  await ended;
  clearTimeout(late);
  // What it has left behind.
  for (const pid of all) kill(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone.
  }
}

/** The processes below one, as far as `ps` is there to tell. */
function descendants(pid: number): number[] {
  const { stdout } = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  const pairs = (stdout ?? "").split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  const below = (parent: number): number[] =>
    pairs.filter(([, of]) => of === parent).flatMap(([child]) => [child as number, ...below(child as number)]);
  return below(pid);
}
