import type { Frame } from "../../src/log/frame.ts";
import { flags, openFrames, stampFrame } from "../../src/log/frame.ts";
import { FrameWriter, type Rec } from "../../src/log/record.ts";

/** Records as the frames of a chunk, as a partition stores them. */
export function framesOf(records: readonly Rec[], base: number, timestamp: number, checked = false): Frame[] {
  const writer = new FrameWriter();
  for (const record of records) writer.add(record);
  return writer.finish(checked ? flags.checked : 0).map((bytes) => {
    stampFrame(bytes, 0, bytes[3], base, timestamp);
    const opened = openFrames(bytes);
    if (!opened.ok) throw new Error(opened.refusal.detail);
    const [frame] = opened.value;
    base += frame.count;
    return frame;
  });
}

export const json = (value: unknown, more: Partial<Rec> = {}): Rec => ({
  ...more,
  kind: 1,
  data: new TextEncoder().encode(JSON.stringify(value)),
});
