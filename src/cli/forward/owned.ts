/** Files that are known to be another position's: where little was read of one, a heading, others hold the same. */
import { closeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { entriesOf } from "./generations.ts";
import { holds, idOf, openSeen, type Position } from "./identity.ts";
import { Stirred } from "./stirred.ts";

/** Of the files that positions of a path are of, by their numbers and by what they hold, those that are not this one's. */
export function filesOfOthers(position: Position, positions: readonly Position[], path: string): Set<string> {
  const own = numberOf(position);
  const others = positions.filter(
    // A number that was given out again is the one's whose file more was read of.
    (other) => other !== position && (numberOf(other) !== own || other.offset > position.offset),
  );
  return new Set(others.filter((other) => isThere(other, path)).map(numberOf));
}

const numberOf = ({ dev, inode }: Position): string => `${dev}:${inode}`;

function isThere(position: Position, path: string): boolean {
  const home = position.name ?? path;
  const entries = entriesOf(dirname(home), basename(home));
  const entry = entries.find(({ stat }) => idOf(stat) === numberOf(position));
  let fd: number | undefined;
  try {
    fd = entry && openSeen(entry.path, entry.stat);
    return fd !== undefined && holds(fd, position);
  } catch (error) {
    if (error instanceof Stirred) throw error;
    // What cannot be read is told by whoever looks for it.
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
