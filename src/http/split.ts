/** Which partition each record goes to: by its own key, never by its batch's first. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
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

/**
 * Splits frames over `ranges`. Records without a key go to one partition a request, `keyless`. With `only`, all go to that
 * one, and a key that belongs elsewhere is refused: readers by key would not find it.
 */
export function split(
  frames: readonly Checked[],
  ranges: readonly PartitionRange[],
  keyless: PartitionRange,
  only: PartitionRange | undefined,
  rules: Rules,
): Result<Group[]> {
  if (only === undefined && ranges.length === 1)
    return ok([{ partition: ranges[0].partition, frames, slots: undefined }]);
  const targets: number[] = [];
  for (const { keys } of frames) {
    for (const hash of keys) {
      if (only !== undefined && hash >= 0 && (hash < only.from || hash >= only.to)) {
        const { partition } = routeHash(ranges, hash);
        const detail = `record ${targets.length} has a key of partition ${partition}, not of ${only.partition}`;
        return refuse("wrong-partition", `${detail}; leave partition out, and each record goes where its key does`, {
          record: targets.length,
          partition,
        });
      }
      targets.push((only ?? (hash < 0 ? keyless : routeHash(ranges, hash))).partition);
    }
  }
  if (targets.every((target) => target === targets[0]))
    return ok([{ partition: targets[0], frames, slots: undefined }]);
  return ok(repack(frames, targets, rules));
}

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
      const inspected = frame.ok ? inspect(frame.value, rules) : frame;
      return frame.ok && inspected.ok ? [{ ...inspected.value, frame: frame.value }] : [];
    }),
  }));
}
