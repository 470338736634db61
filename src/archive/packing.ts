/** Records that are packed anew into the body of one chunk, each with its offset and its timestamp. */
import { concat } from "../lib/bytes.ts";
import { rowFlags } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { flags, readHeader, stampFrame } from "../log/frame.ts";
import { eachPlaced, FrameWriter, type Rec } from "../log/record.ts";
import { Prints } from "./prints.ts";

const printBytes = 4_096;

export class Packing {
  records = 0;
  bytes = 0;
  readonly #writers: { readonly writer: FrameWriter; readonly checked: boolean }[] = [];

  put(record: Rec, offset: number, timestamp: number, checked: boolean): void {
    let last = this.#writers[this.#writers.length - 1];
    if (last === undefined || last.checked !== checked) {
      last = { writer: new FrameWriter(), checked };
      this.#writers.push(last);
    }
    this.bytes += last.writer.add({ ...record, offset, timestamp });
    this.records++;
  }

  /** What a chunk's row says of the body, and the body; `flags` are those of its frames, with the sum of their headers. */
  finish(): Pick<ChunkRow, "records" | "flags" | "bytes" | "print" | "body"> {
    const frames = this.#writers.flatMap(({ writer, checked }) => writer.finish(checked ? flags.checked : 0));
    const prints = new Prints();
    let set = 0;
    for (const bytes of frames) {
      const header = readHeader(bytes, 0);
      if (!header.ok) throw new Error(header.refusal.detail);
      prints.add(header.value);
      let first = true;
      eachPlaced(header.value, (_from, _to, offset, timestamp) => {
        if (first) stampFrame(bytes, 0, bytes[3], offset, timestamp);
        first = false;
      });
      set |= bytes[3];
    }
    const body = concat(frames);
    return {
      records: this.records,
      flags: rowFlags(body, set),
      bytes: body.length,
      print: prints.finish(printBytes),
      body,
    };
  }
}
