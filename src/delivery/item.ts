/** A record on its way to a member. */
import type { Filter } from "../log/filter.ts";
import { matches } from "../log/filter.ts";
import { flags, readHeaders } from "../log/frame.ts";
import type { Piece } from "../log/read.ts";
import { decodeRecord, eachPlaced, keyOf } from "../log/record.ts";
import type { Lane } from "./lanes.ts";

/** A chunk's bytes in memory, for as long as `items` of the window lie in them. */
export interface Holding {
  readonly bytes: number;
  items: number;
}

export interface Item {
  readonly offset: number;
  readonly timestamp: number;
  /** Records of one key are one lane. Undefined where the record has none, or the group's order is not by key. */
  readonly key: string | undefined;
  bytes: Uint8Array;
  from: number;
  to: number;
  readonly checked: boolean;
  /** `waiting`: not its turn. `ready`: may be leased. `done`: finished, or no more here. */
  state: "waiting" | "ready" | "leased" | "done";
  /** Attempts made. */
  attempt: number;
  /** Where it waits apart from the others, because it, or an earlier one of its key, failed. */
  lane: Lane | undefined;
  /** The next record of its key in the window. */
  next: Item | undefined;
  holding: Holding | undefined;
}

/** What a page of the log holds for a group: its records, and what could not be read. */
export interface Page {
  readonly items: Item[];
  readonly bytes: number;
  /** Offsets `[from, to)` that are damaged, and passed over. */
  readonly damaged: readonly { readonly from: number; readonly to: number }[];
}

/** The records `[from, to)` of pieces that a partition handed out, and whose checksums it has checked. */
export function itemsOf(
  pieces: readonly Piece[],
  from: number,
  to: number,
  filter: Filter | undefined,
  byKey: boolean,
): Page {
  const items: Item[] = [];
  const damaged: { from: number; to: number }[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    if ("damaged" in piece) {
      damaged.push({ from: piece.damaged.from, to: piece.damaged.to });
      continue;
    }
    const frames = readHeaders(piece.body);
    if (!frames.ok) continue;
    const holding: Holding = { bytes: piece.body.length, items: 0 };
    bytes += piece.body.length;
    for (const frame of frames.value) {
      const checked = (frame.flags & flags.checked) !== 0;
      eachPlaced(frame, (at, end, offset, timestamp) => {
        if (offset < from || offset >= to) return;
        if (filter !== undefined && !matches(filter, decodeRecord(frame.bytes, at, end))) return;
        const key = byKey ? keyOf(frame.bytes, at, end) : undefined;
        items.push(newItem({ offset, timestamp, key, bytes: frame.bytes, from: at, to: end, checked }, holding));
      });
    }
  }
  return { items, bytes, damaged };
}

export type Content = Pick<Item, "offset" | "timestamp" | "key" | "bytes" | "from" | "to" | "checked">;

export const newItem = (content: Content, holding?: Holding): Item => ({
  ...content,
  state: "waiting",
  attempt: 0,
  lane: undefined,
  next: undefined,
  holding,
});

/** Gives an item bytes of its own, so that it does not keep a chunk of others in memory. */
export function ownBytes(item: Item): void {
  if (item.from === 0 && item.to === item.bytes.length) return;
  item.bytes = item.bytes.slice(item.from, item.to);
  item.to -= item.from;
  item.from = 0;
}
