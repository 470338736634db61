/** Files that must not be half-written, nor be two processes' at a time. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { begunAt, isAnother } from "../node/processes.ts";
import { Usage } from "./output.ts";

/**
 * For the eyes of its owner. Whenever the power fails, the file is the new one from when this returns; or, where it need not
 * be `lasting`, the old one or the new one.
 */
export function replace(path: string, bytes: Uint8Array, lasting = true): void {
  const file = openSync(`${path}.new`, "w", 0o600);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  fsyncSync(file);
  closeSync(file);
  renameSync(`${path}.new`, path);
  if (lasting) syncFolder(dirname(path));
}

/** What was renamed in a folder stays so. */
function syncFolder(path: string): void {
  let folder: number | undefined;
  try {
    folder = openSync(path, "r");
    fsyncSync(folder);
  } catch {
    // Some systems open no folders; they write renames down by themselves.
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
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
    if (isAnother(Number(pid), begun)) throw new Usage(busy(Number(pid)));
    rmSync(path, { force: true });
  }
}

export const unlock = (path: string): void => rmSync(path, { force: true });
