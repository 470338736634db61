/** Files that must not be half-written, nor be two processes' at a time. */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { lockFolder } from "../node/lock.ts";
import { isAnother } from "../node/processes.ts";
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

/** So often a lock is tried for, with pauses of up to so many ms between: half a second in all, or a bit more. */
const [triesMax, pauseMsMax] = [12, 100];

/**
 * Takes a lock until what it returns is called, or throws what `busy` says of its owner. The lock of one that is dead does not
 * count. It is a folder, which is gone again when nobody wants the lock. `tries`: how often it is tried for, a pause of 50 ms
 * on average between two.
 */
export function lock(path: string, busy: (pid: number) => string, tries = triesMax): () => void {
  for (let tried = 1; ; tried++) {
    try {
      return take(path, (pid) => new Usage(busy(pid)));
    } catch (error) {
      // Each of those that come at once may have seen another: with pauses of chance one is alone before long.
      if (!(error instanceof Usage) && !isOf("ENOENT", error)) throw error;
      if (tried >= tries) throw error;
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * pauseMsMax);
  }
}

const isOf = (code: string, error: unknown) => (error as NodeJS.ErrnoException).code === code;

function take(path: string, busy: (pid: number) => Usage): () => void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!isOf("EEXIST", error)) throw new Error(`cannot lock: ${(error as Error).message}`);
    passOld(path, busy);
  }
  // Who stands in the folder keeps it there: it is removed only when it is empty.
  const leave = () => {
    try {
      rmdirSync(path);
    } catch {
      // Others want it.
    }
  };
  try {
    const release = lockFolder(path, busy);
    return () => {
      release();
      leave();
    };
  } catch (error) {
    leave();
    throw error;
  }
}

/** Earlier versions had a file there, with their process. */
function passOld(path: string, busy: (pid: number) => Usage): void {
  let old: string;
  try {
    old = readFileSync(path, "utf8");
  } catch (error) {
    if (isOf("EISDIR", error)) return;
    throw error;
  }
  const [pid, begun] = old.split(" ");
  if (isAnother(Number(pid), begun)) throw busy(Number(pid));
  try {
    // Where it is somebody's folder by now, this fails.
    unlinkSync(path);
  } catch {
    // It was seen to by another.
  }
  throw Object.assign(new Error(`${path} was an earlier version's`), { code: "ENOENT" });
}
