/**
 * What rotations make of a file's name. Names only say where to look: which file is ours is proved by what it holds. Of one
 * that has been proved, the names of the same scheme tell which were written after it.
 *
 *     app.log.1  app.log.2.gz        scheme `behind .#`, counted down to the newest
 *     app.log-20261120               scheme `behind -#`, counted up
 *     app-20261120.log               scheme `within -#`
 */
import { type BigIntStats, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { madeAt } from "./identity.ts";

export interface Entry {
  readonly path: string;
  readonly name: string;
  readonly stat: BigIntStats;
}

/** Times are copied by the second, and a late line makes a file look younger. */
const inexactNs = 2_000_000_000n;
const listingsMax = 10;
const packedName = /\.(gz|zst|bz2|xz)$/;
/** How a file was compressed, by its name. */
export const packingOf = (name: string): string | undefined => packedName.exec(name)?.[1];

/**
 * The files of a folder, as far as anything can be known of them; one that is `known` also where it cannot be listed. Read
 * until it is twice the same: a rotation that renames them meanwhile would hide some.
 */
export function entriesOf(folder: string, known?: string): Entry[] {
  let entries = listed(folder, known);
  for (let attempt = 0; attempt < listingsMax; attempt++) {
    const again = listed(folder, known);
    if (areSame(entries, again)) break;
    entries = again;
  }
  return entries;
}

export const areSame = (a: readonly Entry[], b: readonly Entry[]): boolean =>
  a.length === b.length && a.every(({ name, stat }, index) => name === b[index].name && stat.ino === b[index].stat.ino);

function listed(folder: string, known?: string): Entry[] {
  const names = new Set(namesIn(folder)).add(known ?? ".");
  return [...names].sort().flatMap((name) => {
    const path = join(folder, name);
    try {
      const stat = statSync(path, { bigint: true });
      return stat.isFile() ? [{ path, name, stat }] : [];
    } catch {
      return [];
    }
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** When a name came to the folder of a path or went from it, in ms since 1970; 0 where nobody knows. */
export const folderChangedAt = (path: string): number =>
  statSync(dirname(path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

interface Scheme {
  readonly scheme: string;
  readonly numbers: readonly number[];
}

/** The scheme of a name that continues a file's own, if it does. */
export function schemeOf(base: string, name: string): Scheme | undefined {
  const bare = name.replace(packedName, "");
  const dot = base.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [base.slice(0, dot), base.slice(dot)] : [base, ""];
  const behind = bare.startsWith(base);
  if (!behind && !(ending !== "" && bare.startsWith(stem) && bare.endsWith(ending))) return undefined;
  const added = behind ? bare.slice(base.length) : bare.slice(stem.length, -ending.length);
  if (name === base || (added !== "" && !/^[._~-]/.test(added))) return undefined;
  const numbers = (added.match(/\d+/g) ?? []).map(Number);
  return { scheme: `${behind ? "behind" : "within"} ${added.replace(/\d+/g, "#")}`, numbers };
}

/** Whether a path is one that a rotation of a log makes. */
export const isGeneration = (log: string, path: string): boolean => {
  const scheme = dirname(log) === dirname(path) ? schemeOf(basename(log), basename(path)) : undefined;
  return scheme !== undefined && scheme.numbers.length > 0;
};

export interface Later {
  readonly entries: readonly Entry[];
  /** Those of which nothing tells whether they were written before it or after it. */
  readonly doubtful: readonly Entry[];
}

/**
 * The generations of a file's own scheme that were written after it, in order. `.1`, `.2` … are counted down, unless their
 * times say otherwise; days and times are counted up.
 */
export function later(base: string, own: Entry, entries: readonly Entry[]): Later {
  const scheme = schemeOf(base, own.name);
  if (scheme === undefined || scheme.numbers.length === 0) return { entries: [], doubtful: [] };
  const numbersOf = (entry: Entry) => (schemeOf(base, entry.name) as Scheme).numbers;
  const since = begunAt(own);
  const same = entries.filter(
    (entry) =>
      entry.path !== own.path &&
      schemeOf(base, entry.name)?.scheme === scheme.scheme &&
      entry.stat.mtimeNs + inexactNs >= since &&
      !isCopyOf(entry, entries),
  );
  const rising = [...same, own].sort((a, b) => compare(numbersOf(a), numbersOf(b)));
  const counted = rising.every((entry) => numbersOf(entry).length === 1 && numbersOf(entry)[0] < 100_000);
  const direction = counted ? countedUp(rising, own) : 1;
  const ordered = direction > 0 ? rising : rising.toReversed();
  const at = ordered.indexOf(own);
  const doubtful =
    direction === 0 ? ordered.slice(0, at).filter((one) => writtenAt(one, own) > writtenAt(own, one)) : [];
  return { entries: ordered.slice(at + 1), doubtful };
}

/**
 * 1 where the last of several is the newest, as their times say, -1 where the first is, 0 where they do not tell. The last line
 * of ours may be a late one: where what was made after it has lower numbers alone, it is the oldest. (Higher ones may be copies
 * of what it held before.)
 */
function countedUp(rising: readonly Entry[], own: Entry): number {
  const at = rising.indexOf(own);
  const after = rising.map((entry) => isMadeAfter(entry, own));
  if (after.slice(0, at).includes(true) && !after.slice(at).includes(true)) return -1;
  const written = directionOf(rising, writtenAt);
  const made = directionOf(rising, ({ name, stat }) => (packingOf(name) === undefined ? madeAt(stat) : undefined));
  // Where files are copied, what was made last need not have the newest lines; where a line was late, neither what has them.
  if (made > 0 && written > 0) return 1;
  if (made < 0 || written < 0) return -1;
  return (rising.at(-1) as Entry).stat.mtimeNs > rising[0].stat.mtimeNs + inexactNs ? 1 : 0;
}

/** By the second where it may have been copied. */
const writtenAt = ({ name, stat }: Entry, other: Entry): bigint =>
  [name, other.name].some((one) => packingOf(one) !== undefined) ? stat.mtimeNs / 1_000_000_000n : stat.mtimeNs;

/** 1 where each is later than the one before, as far as the times are known and differ; -1 where each is earlier; or else 0. */
function directionOf(rising: readonly Entry[], timeOf: (entry: Entry, other: Entry) => bigint | undefined): number {
  const signs = new Set<number>();
  for (const [index, entry] of rising.entries()) {
    const before = rising[index - 1];
    const [a, b] = before === undefined ? [] : [timeOf(before, entry), timeOf(entry, before)];
    if (a !== undefined && b !== undefined && a !== b) signs.add(a < b ? 1 : -1);
  }
  return signs.size === 1 ? ([...signs][0] as number) : 0;
}

/** What was compressed was made later than it was written. */
function isMadeAfter({ name, stat }: Entry, own: Entry): boolean {
  if (packingOf(name) !== undefined || packingOf(own.name) !== undefined) return false;
  const made = madeAt(own.stat);
  return made !== undefined && stat.birthtimeNs > made;
}

/** A lower bound of when a file's successor was last written. A compressed file was made later than it was written. */
function begunAt({ name, stat }: Entry): bigint {
  const made = madeAt(stat) ?? stat.mtimeNs;
  return packingOf(name) !== undefined || made > stat.mtimeNs ? stat.mtimeNs : made;
}

/** It is being compressed, and the file that it is made of is still there. */
const isCopyOf = ({ name }: Entry, entries: readonly Entry[]): boolean =>
  packingOf(name) !== undefined && entries.some((other) => other.name === name.replace(packedName, ""));

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((number, index) => number !== b[index]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}
