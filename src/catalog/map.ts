/**
 * The partition map: which partition owns which range of the 32-bit hash space of keys. Ranges of the partitions that are
 * not sealed cover the space without overlap. Pure.
 */
import type { PartitionRange } from "../../schemas/stream.ts";
import { assert } from "../lib/assert.ts";

export const hashSpace = 2 ** 32;

/** Equal ranges for the partitions of a new stream. */
export function firstMap(partitions: number): PartitionRange[] {
  const bound = (index: number) => Math.floor((index * hashSpace) / partitions);
  return Array.from({ length: partitions }, (_, partition) => ({
    partition,
    from: bound(partition),
    to: bound(partition + 1),
    epoch: 0,
    sealed: false,
  }));
}

export const active = (map: readonly PartitionRange[]): PartitionRange[] => map.filter((range) => !range.sealed);

/**
 * The map with at least `partitions` that take appends: the widest range is halved until there are enough. A partition
 * that is halved is sealed and stays as the parent of its halves; one halved again within one growth never comes to be.
 */
export function grow(map: readonly PartitionRange[], partitions: number): PartitionRange[] {
  const before = active(map);
  let ranges = before.map((range) => ({ from: range.from, to: range.to, parent: range }));
  while (ranges.length < partitions) {
    const widest = ranges.reduce((best, range) => (range.to - range.from > best.to - best.from ? range : best));
    const middle = widest.from + Math.floor((widest.to - widest.from) / 2);
    const halves = [
      { ...widest, to: middle },
      { ...widest, from: middle },
    ];
    ranges = ranges.flatMap((range) => (range === widest ? halves : [range]));
  }
  const split = (range: PartitionRange) => !ranges.some((now) => now.from === range.from && now.to === range.to);
  let next = map.length;
  const born = ranges
    .filter(({ parent }) => split(parent))
    .map(({ from, to, parent }) => ({
      partition: next++,
      from,
      to,
      epoch: parent.epoch + 1,
      parent: parent.partition,
      sealed: false,
    }));
  const grown = map.map((range) => (!range.sealed && split(range) ? { ...range, sealed: true } : range));
  return [...grown, ...born];
}

/** The partition that takes appends of a key hash. Binary search over `ranges`, sorted by `from`. */
export function routeHash(ranges: readonly PartitionRange[], hash: number): PartitionRange {
  let low = 0;
  let high = ranges.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (ranges[middle].from <= hash) low = middle;
    else high = middle - 1;
  }
  const range = ranges[low];
  assert(hash >= range.from && hash < range.to, "the map covers every hash");
  return range;
}

/** Every partition that has held a key hash, oldest first. */
export const lineage = (map: readonly PartitionRange[], hash: number): PartitionRange[] =>
  map.filter((range) => hash >= range.from && hash < range.to).sort((a, b) => a.epoch - b.epoch);

/** The partitions that continue one, its halves before theirs. */
export function descendants(map: readonly PartitionRange[], partition: number): number[] {
  const found = new Set([partition]);
  // A half has a higher number than what was halved.
  for (const range of map) if (range.parent !== undefined && found.has(range.parent)) found.add(range.partition);
  found.delete(partition);
  return [...found];
}
