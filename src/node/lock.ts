/**
 * A folder that is one process's at a time. Each process that wants it leaves a file with its name there, and looks for those of
 * others only then: of two that come at once, one at least sees the other. What a dead process left does not count.
 */
import { closeSync, openSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import { begunAt, isAnother } from "./processes.ts";

const prefix = "lock-";
/** Those of this process, where its number alone does not tell it from one that had the number before. */
const own = new Set<string>();

/** Takes a folder until what it returns is called; throws what `busy` makes of its owner's number where it is taken. */
export function lockFolder(folder: string, busy: (pid: number) => Error): () => void {
  const begun = begunAt(process.pid);
  const name = `${prefix}${process.pid}-${begun ?? ""}`;
  const path = join(realpathSync(folder), name);
  if (own.has(path)) throw busy(process.pid);
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    // Another thread of this process; or, where nothing tells when one began, one that had its number before.
    if (begun !== undefined) throw busy(process.pid);
  }
  own.add(path);
  const release = () => {
    rmSync(path, { force: true });
    own.delete(path);
  };
  for (const other of readdirSync(folder)) {
    if (!other.startsWith(prefix) || other === name) continue;
    const [pid, since] = other.slice(prefix.length).split("-");
    if (isAnother(Number(pid), since)) {
      release();
      throw busy(Number(pid));
    }
    rmSync(join(folder, other), { force: true });
  }
  return release;
}
