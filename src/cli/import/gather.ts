/** From rows to batches. Where one ends depends on the rows alone, so that it can be made a second time. */
import { concat } from "../../lib/bytes.ts";
import { FrameWriter, type Rec, recordBytes } from "../../log/record.ts";
import { BadRow, type Place, type Row } from "./row.ts";

/** One record of a batch, or what lies behind the last one. */
export interface Entry {
  readonly line: number;
  readonly after: Place;
  /** Rows of the batch up to here that became no record: bad ones, and those that were not meant to. */
  readonly skipped: number;
  readonly ignored: number;
}

/** Records that are sent together; or none, behind the last of them. */
export interface Batch {
  readonly frames: Uint8Array | undefined;
  readonly entries: readonly Entry[];
}

export interface Gathering {
  readonly bytesMax: number;
  readonly recordsMax: number;
  /** Of the first batch, where it has been sent before. */
  readonly firstMax?: number;
  /** Undefined for a row that is not meant to become a record. Throws BadRow. */
  convert(row: Row): Rec | undefined;
  /** Told of a bad row; throws to end it there. */
  bad(row: Row, why: string): void;
}

/** Gives what came before an error as a batch, and then throws it. */
export async function* gather(
  pages: AsyncIterable<readonly Row[]>,
  { bytesMax, recordsMax, firstMax = recordsMax, convert, bad }: Gathering,
): AsyncGenerator<Batch, void, undefined> {
  let open = new Open();
  let max = firstMax;
  try {
    for await (const rows of pages) {
      for (const row of rows) {
        const record = attempt(row);
        if (record === undefined) continue;
        const bytes = recordBytes(record);
        if (open.count > 0 && (open.bytes + bytes > bytesMax || open.count >= max)) {
          yield open.close();
          open = open.next();
          max = recordsMax;
        }
        open.add(row, record, bytes);
      }
    }
  } catch (error) {
    if (open.count > 0) yield open.close();
    throw error;
  }
  if (open.count > 0) yield open.close();
  const last = open.next().trailing;
  if (last !== undefined) yield { frames: undefined, entries: [last] };

  function attempt(row: Row): Rec | undefined {
    try {
      if (row.why !== undefined) throw new BadRow(row.why);
      const record = row.blank ? undefined : convert(row);
      if (record === undefined) open.pass(row, "ignored");
      return record;
    } catch (error) {
      if (!(error instanceof BadRow)) throw error;
      bad(row, error.message);
      open.pass(row, "skipped");
      return undefined;
    }
  }
}

class Open {
  bytes = 0;
  readonly #writer = new FrameWriter();
  readonly #entries: Entry[] = [];
  /** The last row that became no record, and how many there were. */
  #passed: Entry;

  constructor(passed: Pick<Entry, "skipped" | "ignored"> & Partial<Entry> = { skipped: 0, ignored: 0 }) {
    this.#passed = { line: 0, after: { bytes: 0, lines: 0 }, ...passed };
  }

  get count(): number {
    return this.#entries.length;
  }

  /** What was passed since the last record. */
  get trailing(): Entry | undefined {
    return this.#passed.skipped + this.#passed.ignored > 0 ? this.#passed : undefined;
  }

  add({ line, after }: Row, record: Rec, bytes: number): void {
    this.#writer.add(record);
    this.bytes += bytes;
    const { skipped, ignored } = this.#passed;
    this.#entries.push({ line, after, skipped, ignored });
  }

  pass({ line, after }: Row, why: "skipped" | "ignored"): void {
    this.#passed = { ...this.#passed, line, after, [why]: this.#passed[why] + 1 };
  }

  close(): Batch {
    return { frames: concat(this.#writer.finish(0)), entries: this.#entries };
  }

  /** The batch behind this one: with what was passed behind its last record. */
  next(): Open {
    const { skipped, ignored } = this.#entries.at(-1) ?? { skipped: 0, ignored: 0 };
    const passed = this.#passed;
    return new Open({ ...passed, skipped: passed.skipped - skipped, ignored: passed.ignored - ignored });
  }
}
