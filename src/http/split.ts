/**
 * Which partition each record goes to: by its own key; without one, by its source and id, so that its repeats meet; without
 * either, where the request's others go.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { PartitionRange } from "../../schemas/stream.ts";
import { routeHash } from "../catalog/map.ts";
import type { Checked } from "../intake/intake.ts";
import { eachRecord, flags, readHeader } from "../log/frame.ts";
import { inspect, type Rules } from "../log/inspect.ts";
import { FrameWriter } from "../log/record.ts";

/** The records of a request that go to one partition, in order. */
export interface Group {
  readonly partition: number;
  readonly frames: readonly Checked[];
  /** Place of each record in the request; undefined where the group is the whole request. */
  readonly slots: readonly number[] | undefined;
}

/** Visits the hash that routes each record, and whether it is a key's. `keyless` is that of records with no key and no id. */
function eachRoute(frames: readonly Checked[], keyless: number, visit: (hash: number, keyed: boolean) => void): void {
  for (const { keys, ids } of frames) {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index];
      if (key >= 0) visit(key, true);
      else visit(ids !== undefined && ids[index] >= 0 ? ids[index] : keyless, false);
    }
  }
}

/**
 * Splits frames over `ranges`. With `only`, all records go to that one, and a key that belongs elsewhere is refused: readers
 * by key would not find it.
 */
export function split(
  frames: readonly Checked[],
  ranges: readonly PartitionRange[],
  keyless: number,
  only: PartitionRange | undefined,
  rules: Rules,
): Result<Group[]> {
  if (only === undefined && ranges.length === 1)
    return ok([{ partition: ranges[0].partition, frames, slots: undefined }]);
  const targets: number[] = [];
  let stray: number | undefined;
  eachRoute(frames, keyless, (hash, keyed) => {
    if (only !== undefined && keyed && !within(hash, only)) stray ??= targets.length;
    targets.push((only ?? routeHash(ranges, hash)).partition);
  });
  if (only !== undefined && stray !== undefined) return strayed(frames, ranges, stray, only);
  if (targets.every((target) => target === targets[0]))
    return ok([{ partition: targets[0], frames, slots: undefined }]);
  return ok(repack(frames, targets, rules));
}

const within = (hash: number, { from, to }: PartitionRange) => hash >= from && hash < to;

function strayed(frames: readonly Checked[], ranges: readonly PartitionRange[], record: number, only: PartitionRange) {
  const hashes = frames.flatMap(({ keys }) => [...keys]);
  const { partition } = routeHash(ranges, hashes[record]);
  const detail = `record ${record} has a key of partition ${partition}, not of ${only.partition}`;
  return refuse("wrong-partition", `${detail}; leave partition out, and each record goes where its key does`, {
    record,
    partition,
  });
}

/** Whether there is a record with neither a key nor an id. */
export const hasKeyless = (frames: readonly Checked[]): boolean =>
  frames.some(({ keys, ids }) => keys.some((key, index) => key < 0 && (ids?.[index] ?? -1) < 0));

/** The places in a request of the records that a partition has taken, or would have, when it took appends. */
export function placesIn(range: PartitionRange, frames: readonly Checked[], keyless: number): number[] {
  const places: number[] = [];
  let place = 0;
  eachRoute(frames, keyless, (hash) => {
    if (within(hash, range)) places.push(place);
    place++;
  });
  return places;
}

/** The lowest and the highest hash that routes a record of the request. */
export function boundsOf(frames: readonly Checked[], keyless: number): readonly [number, number] {
  let [lowest, highest] = [Number.POSITIVE_INFINITY, 0];
  eachRoute(frames, keyless, (hash) => {
    lowest = Math.min(lowest, hash);
    highest = Math.max(highest, hash);
  });
  return [lowest, highest];
}

const takenIn = { stored: true, recordBytesMax: limits.recordBytesMax, timestampMax: Number.MAX_SAFE_INTEGER };

function repack(frames: readonly Checked[], targets: readonly number[], rules: Rules): Group[] {
  const groups = new Map<number, { writer: FrameWriter; slots: number[] }>();
  let slot = 0;
  for (const { frame } of frames) {
    eachRecord(frame, (from, to) => {
      const target = targets[slot];
      let group = groups.get(target);
      if (group === undefined) {
        group = { writer: new FrameWriter(), slots: [] };
        groups.set(target, group);
      }
      group.writer.copy(frame.bytes, from, to);
      group.slots.push(slot++);
    });
  }
  const checked = frames.every(({ frame }) => frame.flags & flags.checked) ? flags.checked : 0;
  return [...groups].map(([partition, { writer, slots }]) => ({
    partition,
    slots,
    frames: writer.finish(checked).flatMap((bytes) => {
      const frame = readHeader(bytes, 0);
      // They were looked at when they came in: what they may have been then is not asked again.
      const inspected = frame.ok ? inspect(frame.value, { ...rules, ...takenIn }) : frame;
      return frame.ok && inspected.ok ? [{ ...inspected.value, frame: frame.value }] : [];
    }),
  }));
}
