/** Files that must not be half-written, nor be two processes' at a time. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { Usage } from "./output.ts";
import { begunAt, lives } from "./processes.ts";

/** For the eyes of its owner. The file is the old one or the new one, whenever the power fails. */
export function replace(path: string, bytes: Uint8Array): void {
  const file = openSync(`${path}.new`, "w", 0o600);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.new`, path);
}

/** Takes a lock until `unlock`, or throws what `busy` says of its owner. The lock of one that is dead does not count. */
export function lock(path: string, busy: (pid: number) => string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      const file = openSync(path, "wx", 0o600);
      writeSync(file, `${process.pid} ${begunAt(process.pid) ?? ""}`);
      closeSync(file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || attempt > 1) throw error;
    }
    const [pid, begun] = readFileSync(path, "utf8").split(" ");
    if (isOwner(Number(pid), begun)) throw new Usage(busy(Number(pid)));
    rmSync(path, { force: true });
  }
}

/** A number may be another process's by now. */
function isOwner(pid: number, begun: string | undefined): boolean {
  if (pid === process.pid || !lives(pid)) return false;
  return !begun || (begunAt(pid) ?? begun) === begun;
}

export const unlock = (path: string): void => rmSync(path, { force: true });
