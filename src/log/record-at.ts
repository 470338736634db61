/**
 * Records of the log by their offset. A chunk stays open until one of another is asked for: repeats come in the order in
 * which they were stored, and each would otherwise cost the reading of a whole chunk.
 */
import { openChunk } from "./chunk.ts";
import type { Frame } from "./frame.ts";
import { decodeRecord, eachPlaced, type Rec } from "./record.ts";
import type { Segments } from "./segments.ts";

interface Place {
  readonly frame: Frame;
  readonly from: number;
  readonly to: number;
  readonly timestamp: number;
}

export class RecordAt {
  #opened: { base: number; bytes: number; places: ReadonlyMap<number, Place> } | undefined;

  constructor(
    readonly chunks: Segments,
    readonly dense: boolean,
  ) {}

  /** The open chunk goes: what is in the log may have been forgotten. */
  close(): void {
    this.#opened = undefined;
  }

  find(wanted: number): { record: Rec; timestamp: number } | undefined {
    const chunk = this.chunks.chunkAt(wanted);
    if (chunk === undefined || chunk.next <= wanted) return undefined;
    // One that was rewritten begins where it did.
    if (this.#opened?.base !== chunk.base || this.#opened.bytes !== chunk.bytes) {
      const frames = openChunk({ ...chunk, body: this.chunks.body(chunk.base) }, this.dense);
      if (!frames.ok) return undefined;
      const places = new Map<number, Place>();
      for (const frame of frames.value) {
        eachPlaced(frame, (from, to, offset, timestamp) => places.set(offset, { frame, from, to, timestamp }));
      }
      this.#opened = { base: chunk.base, bytes: chunk.bytes, places };
    }
    const place = this.#opened.places.get(wanted);
    if (place === undefined) return undefined;
    return { record: decodeRecord(place.frame.bytes, place.from, place.to), timestamp: place.timestamp };
  }
}
