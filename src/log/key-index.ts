/** The last offset of each key, in a stream with `keyIndex`: what `expectedKeyOffset` asks. */
import { type Refusal, refuse } from "../../schemas/errors.ts";
import { type Frame, readHeader } from "./frame.ts";
import { newestOfKey } from "./newest-of-key.ts";
import type { Span } from "./read.ts";
import { decodeFrame } from "./record.ts";
import type { Segments } from "./segments.ts";
import type { Batch } from "./spec.ts";
import type { Store } from "./store.ts";

export class KeyIndex {
  /** What no row tells yet. */
  readonly #fresh = new Map<string, number>();

  constructor(
    readonly store: Store,
    readonly segments: Segments,
  ) {}

  /**
   * Refuses a batch whose key has a newer record than it expects, among those that can still be read. The Worker has seen to it that
   * there is one key.
   */
  refusal(
    { terms, bytes }: Batch,
    isOn: boolean,
    span: Pick<Span, "head" | "dense">,
  ): { ok: false; refusal: Refusal } | undefined {
    const expected = terms.expectedKeyOffset;
    if (expected === undefined) return undefined;
    if (!isOn) {
      return refuse("key-index-off", "create the stream with keyIndex: true to append with expectedKeyOffset");
    }
    const opened = readHeader(bytes, 0);
    if (!opened.ok) return opened;
    let key: string | undefined;
    decodeFrame(opened.value, (record) => {
      key ??= record.key;
    });
    if (key === undefined) return refuse("bad-key", "a batch with expectedKeyOffset needs a key");
    const holds = (last: number | undefined) => last === undefined || (expected !== "none" && last <= expected);
    const fresh = this.#fresh.get(key);
    const noted = fresh ?? this.store.lastOfKey(key);
    if (noted === undefined || holds(noted)) return undefined;
    // Only where it would be refused it is looked whether that record is still there.
    const actual = fresh ?? newestOfKey(this.segments, span, key, noted);
    if (holds(actual)) return undefined;
    const detail = `the last record of the key is at offset ${actual}; read it and try again`;
    return refuse("expected-key-offset", detail, { actual });
  }

  learn(frame: Frame): void {
    decodeFrame(frame, ({ key }, offset) => {
      if (key !== undefined) this.#fresh.set(key, offset);
    });
  }

  /** Writes down what it has learnt, a row for each key. */
  save(): void {
    for (const [key, offset] of this.#fresh) this.store.setLastOfKey(key, offset);
    this.#fresh.clear();
  }
}
