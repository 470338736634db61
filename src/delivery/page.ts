/** The records of a page of the log, as a group wants them. */
import type { Filter } from "../log/filter.ts";
import { eachItem } from "../log/items.ts";
import type { Piece } from "../log/read.ts";
import { keyOf } from "../log/record.ts";
import { type Holding, type Item, newItem } from "./item.ts";

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
    const holding: Holding = { bytes: piece.body.length, items: 0 };
    bytes += piece.body.length;
    eachItem(piece.body, { from, to, filter }, ({ bytes, from, to, offset, timestamp, checked }) => {
      const key = byKey ? keyOf(bytes, from, to) : undefined;
      items.push(newItem({ offset, timestamp, key, bytes, from, to, checked }, holding));
    });
  }
  return { items, bytes, damaged };
}
