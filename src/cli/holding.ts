/**
 * A folder of data belongs to one workerd: two would write into each other's databases. Who starts it holds the folder; and
 * because workerd may outlive who started it, it is made to end with that one, or else is found by the next.
 */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { lives, threadsOf } from "../node/processes.ts";
import { claim } from "./claims.ts";

export interface Held {
  /** Notes which process works in the folder. */
  by(pid: number | undefined): void;
  /** To be called when that one is gone. */
  release(): void;
}

const otherwise = "stop it, or name another folder with --data";
/** For so long a workerd may take to follow the service that was killed. */
const followMsMax = 3_000;

/** Holds a folder until it is released, or this process is gone. Throws where another has it. */
export async function hold(folder: string): Promise<Held> {
  const unlock = await locked(folder);
  const note = join(folder, "workerd.pid");
  const until = performance.now() + followMsMax;
  let pid = left(folder, note);
  while (pid !== undefined && performance.now() < until) {
    await pause(50);
    pid = left(folder, note);
  }
  if (pid !== undefined) {
    unlock();
    throw new Error(
      `process ${pid}, a workerd that has outlived its service, still has its data in ${folder}; ${otherwise}`,
    );
  }
  return {
    by(pid) {
      if (pid !== undefined) writeFileSync(note, String(pid), { mode: 0o600 });
    },
    release() {
      rmSync(note, { force: true });
      unlock();
    },
  };
}

/**
 * By two means: every Node can write a claim and read another's, but a claim says nothing beyond its container; a lock of the
 * system's is for all who share the disk, but Node has none of its own.
 */
async function locked(folder: string): Promise<() => void> {
  const unlock = await systemLock(folder);
  const release = unlock && claim(folder);
  if (release === undefined) {
    unlock?.();
    throw new Error(`another service has its data in ${folder}; ${otherwise}`);
  }
  return () => {
    release();
    unlock?.();
  };
}

/** A lock that no crash leaves behind, where there is a way to one. Undefined: another has it. */
async function systemLock(folder: string): Promise<(() => void) | undefined> {
  const file = openSync(join(folder, "lock"), "a", 0o600);
  // It locks the file that we have open, and ends.
  const { status } = spawnSync("flock", ["-n", "3"], { stdio: ["ignore", "ignore", "ignore", file] });
  if (status === 0) return () => closeSync(file);
  closeSync(file);
  // A file of its own: whoever closes one lets go of what SQLite has locked of it.
  return status === 1 ? undefined : sqliteLock(join(folder, "lock.sqlite"));
}

/** Locks that nobody else names: one that is collected is let go of. */
const locks = new Set<object>();

async function sqliteLock(path: string): Promise<(() => void) | undefined> {
  const sqlite = await withoutWarning(() => import("node:sqlite")).catch(() => undefined);
  if (sqlite === undefined) return () => {};
  const lock = new sqlite.DatabaseSync(path);
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch {
    lock.close();
    return undefined;
  }
  locks.add(lock);
  return () => {
    locks.delete(lock);
    lock.close();
  };
}

/** Node 22 tells every user that SQLite is an experiment of its own. */
async function withoutWarning<T>(load: () => Promise<T>): Promise<T> {
  const { emitWarning } = process;
  process.emitWarning = ((warning: string | Error, ...rest: []) => {
    if (!String(warning).includes("SQLite")) emitWarning.call(process, warning, ...rest);
  }) as typeof emitWarning;
  try {
    return await load();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** The workerd of a folder whose starter has gone, if it still lives; the number may be another process's by now. */
function left(folder: string, note: string): number | undefined {
  let pid: number;
  try {
    pid = Number(readFileSync(note, "utf8"));
  } catch {
    return undefined;
  }
  return Number.isInteger(pid) && lives(pid) && worksIn(pid, folder) ? pid : undefined;
}

function worksIn(pid: number, folder: string): boolean {
  const folders = threadsOf(pid).flatMap(folderOf);
  if (folders.length > 0) return folders.includes(realpathSync(folder));
  const { stdout } = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  return stdout?.includes("workerd.capnp") ?? false;
}

/** That in which a thread works; one that has ended works in none. */
function folderOf(thread: string): string[] {
  try {
    return [readlinkSync(`${thread}/cwd`)];
  } catch {
    return [];
  }
}

/** The command that does the same, and ends when this process does, be it by SIGKILL; where the system has a way to say so. */
export function mortal(command: readonly string[]): readonly string[] {
  if (process.platform !== "linux") return command;
  const wrapper = ["setpriv", "--pdeathsig", "KILL"] as const;
  const [program, ...args] = [...wrapper, "true"];
  if (spawnSync(program as string, args, { stdio: "ignore" }).status !== 0) return command;
  // It is told only of deaths from then on: one before that leaves it with another parent.
  return [...wrapper, "sh", "-c", `[ "$PPID" = "$0" ] && exec "$@"`, String(process.pid), ...command];
}
