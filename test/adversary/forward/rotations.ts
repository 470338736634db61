/** What befalls the files of a log, by every method that the guide names. */
import {
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import zlib from "node:zlib";
import type { Generation, Log } from "./log.ts";
import type { LinePlan } from "./plan.ts";

/** Where Node has no zstd, gzip takes its place. */
export const hasZstd = typeof zlib.zstdCompressSync === "function";

const packed = /\.(gz|zst)$/;

/** A name for what the log holds by now. Of numbered generations the others move up. */
function nextName({ path, plan, generations }: Log): string {
  if (plan.scheme === "numbered") {
    const shelf = generations.filter((one) => one.path !== undefined && numberIn(path, one.path) !== undefined);
    // The oldest first: nothing is written over.
    for (const one of shelf) {
      const number = numberIn(path, one.path as string) as number;
      const name = `${path}.${number + 1}${packed.exec(one.path as string)?.[0] ?? ""}`;
      renameSync(one.path as string, name);
      one.path = name;
    }
    return `${path}.1`;
  }
  const day = 20_260_100 + Math.floor(generations.length / 28) * 100 + (generations.length % 28) + 1;
  return plan.scheme === "dated" ? `${path}-${day}` : path.replace(/\.log$/, `-${day}.log`);
}

function numberIn(path: string, name: string): number | undefined {
  const found = /^\.(\d+)(\.gz|\.zst)?$/.exec(name.slice(path.length));
  return found === null ? undefined : Number(found[1]);
}

/** Gives the file, which its writer still has. `late`: he ends there what he has begun. */
export function rename(log: Log, late: boolean): { file: number; generation: Generation } {
  const file = log.open();
  const generation = log.current;
  const name = nextName(log);
  renameSync(log.path, name);
  generation.path = name;
  if (late) log.completeLate();
  log.leave();
  return { file, generation };
}

export function copyAndTruncate(log: Log, now: number, between: () => void): void {
  const generation = log.current;
  const name = nextName(log);
  copyFileSync(log.path, name);
  between();
  truncateSync(log.path);
  generation.path = name;
  log.truncated(now);
}

export function truncate(log: Log, now: number): void {
  const generation = log.current;
  truncateSync(log.path);
  generation.path = undefined;
  log.truncated(now);
}

/** As gzip does it: the packed file has the times of the one that it was, which goes then. */
export function compress(generation: Generation, by: "gz" | "zst"): void {
  const path = generation.path as string;
  const bytes = readFileSync(path);
  const { atime, mtime } = statSync(path);
  const name = `${path}.${by}`;
  writeFileSync(name, by === "gz" ? zlib.gzipSync(bytes) : zlib.zstdCompressSync(bytes));
  utimesSync(name, atime, mtime);
  rmSync(path);
  generation.path = name;
}

/** Generations that have left the path, and are in the folder still. */
export const shelved = (log: Log): Generation[] =>
  log.generations.filter((one) => one !== log.current && one.path !== undefined && one.path !== log.path);

export const isPacked = ({ path }: Generation): boolean => path !== undefined && packed.test(path);

export function remove(generation: Generation): void {
  rmSync(generation.path as string);
  generation.path = undefined;
}

/** As editors do: a new file is renamed over it. */
export function replace(log: Log): void {
  const generation = log.current;
  const fresh = `${log.path}~`;
  closeSync(openSync(fresh, "w"));
  renameSync(fresh, log.path);
  log.end();
  generation.path = undefined;
  log.begin();
}

/** Away, under a name that is no generation's, and back. */
export function hide(log: Log): () => void {
  const away = log.path.replace(/w(\d+)\.log$/, "hidden-$1");
  renameSync(log.path, away);
  return () => renameSync(away, log.path);
}

export function turn(log: Log): void {
  const file = log.leave();
  if (file !== undefined) closeSync(file);
  const link = `${log.path}-link`;
  symlinkSync(log.lead(), link);
  renameSync(link, log.path);
}

export const writeAll = (log: Log, lines: readonly LinePlan[]): void => {
  for (const line of lines) log.write(line);
};
