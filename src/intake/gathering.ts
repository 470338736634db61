/**
 * Records of many small appends, on their way to one commit: packed together they cost what one append costs. Their
 * verdicts are given back to each in the order in which they came.
 */
import { ok, type Result } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { assert } from "../lib/assert.ts";
import { FrameWriter, type Rec, recordBytes } from "../log/record.ts";
import { addRun, type Run } from "../log/sequence.ts";
import type { Batch } from "../log/spec.ts";
import { batchOf, type Checked, checkedOf, tooLarge } from "./intake.ts";
import type { IntakeConfig } from "./record.ts";

/** The bytes of records, none of which may be too large. */
export function sizeOf(records: readonly Rec[], { recordBytesMax: limit }: IntakeConfig): Result<number> {
  let bytes = 0;
  for (let index = 0; index < records.length; index++) {
    const size = recordBytes(records[index]);
    bytes += size;
    if (size > limit) return tooLarge(index, size, limit);
  }
  return ok(bytes);
}

export class Gathering<Sender> {
  readonly #writer = new FrameWriter();
  readonly #parts: { readonly sender: Sender; readonly id: number; readonly count: number }[] = [];
  bytes = 0;
  count = 0;

  constructor(readonly config: IntakeConfig) {}

  /** True where there is room for so many more: a batch has no more records. */
  fits(records: readonly Rec[]): boolean {
    return this.count + records.length <= limits.batchRecordsMax;
  }

  /** Adds an append whose records have `bytes`; see `sizeOf`. */
  add(sender: Sender, id: number, records: readonly Rec[], bytes: number): void {
    for (const record of records) this.#writer.add(record);
    this.#parts.push({ sender, id, count: records.length });
    this.bytes += bytes;
    this.count += records.length;
  }

  /** What has been gathered; it takes no more. */
  frames(now: number): Checked[] {
    const checked = checkedOf(this.#writer, this.config, now);
    assert(checked.ok, "what was packed here is well-formed");
    return checked.value;
  }

  /** The same, to be committed. */
  batch(now: number): Batch {
    return { ...batchOf(this.frames(now)), terms: {} };
  }

  /** Calls `visit` with the verdicts of each append. */
  answer(runs: readonly Run[], visit: (sender: Sender, id: number, runs: readonly Run[]) => void): void {
    let at = 0;
    let used = 0;
    for (const { sender, id, count } of this.#parts) {
      const own: Run[] = [];
      for (let left = count; left > 0; ) {
        const run = runs[at];
        const taken = Math.min(left, run.count - used);
        const offset = run.verdict === "rejected" ? {} : { offset: run.offset + used };
        addRun(own, { ...run, ...offset, count: taken });
        left -= taken;
        used += taken;
        if (used < run.count) continue;
        at++;
        used = 0;
      }
      visit(sender, id, own);
    }
  }

  /** Calls `visit` with each append. */
  each(visit: (sender: Sender, id: number) => void): void {
    for (const { sender, id } of this.#parts) visit(sender, id);
  }
}
