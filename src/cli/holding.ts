/**
 * A folder of data belongs to one workerd: two would write into each other's databases. Who starts it holds the folder; and
 * because workerd may outlive who started it, it is made to end with that one, or else is found by the next.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lives } from "../node/processes.ts";

export interface Held {
  /** Notes which process works in the folder. */
  by(pid: number | undefined): void;
  /** To be called when that one is gone. */
  release(): void;
}

const otherwise = "stop it, or name another folder with --data";

/** Holds a folder until it is released, or this process is gone. Throws where another has it. */
export async function hold(folder: string): Promise<Held> {
  const unlock = await locked(folder);
  const note = join(folder, "workerd.pid");
  const pid = left(folder, note);
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

/** Locks that nobody else names: one that is collected is let go of. */
const locks = new Set<object>();

/** A lock of SQLite's is the system's, which no crash leaves behind; before Node 22 there is none. */
async function locked(folder: string): Promise<() => void> {
  const sqlite = await import("node:sqlite").catch(() => undefined);
  if (sqlite === undefined) return () => {};
  const lock = new sqlite.DatabaseSync(join(folder, "lock"));
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch {
    lock.close();
    throw new Error(`another service has its data in ${folder}; ${otherwise}`);
  }
  locks.add(lock);
  return () => {
    locks.delete(lock);
    lock.close();
  };
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
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    const { stdout } = spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
    return stdout?.includes("workerd.capnp") ?? false;
  }
}

/** The command that does the same, and ends when this process does, be it by SIGKILL; where the system has a way to say so. */
export function mortal(command: readonly string[]): readonly string[] {
  if (process.platform !== "linux") return command;
  const wrapper = ["setpriv", "--pdeathsig", "KILL"] as const;
  const [program, ...args] = [...wrapper, "true"];
  return spawnSync(program as string, args, { stdio: "ignore" }).status === 0 ? [...wrapper, ...command] : command;
}
