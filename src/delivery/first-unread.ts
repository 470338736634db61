/** How old the first record is that a group is yet to read: looked for page by page, past what was trimmed or is damaged. */
import type { Filter } from "../log/filter.ts";
import type { Piece } from "../log/read.ts";
import { itemsOf } from "./page.ts";
import type { State } from "./state.ts";

export class FirstUnread {
  /** Where it is looked for next; undefined where there is nothing more to be looked for. */
  from: number | undefined;
  /** Where the log begins, where that was found out. */
  head = 0;

  constructor(
    readonly state: State,
    readonly filter: Filter | undefined,
  ) {
    state.unread = undefined;
    this.from = state.done.gapFrom(state.cursor);
  }

  /** The records `[from, to)` were read from where it was looked for. `upToDate`: there are none behind them. */
  take(page: { readonly pieces: readonly Piece[]; readonly to: number; readonly upToDate: boolean }): void {
    const { state, filter, from = page.to } = this;
    const items = itemsOf(page.pieces, from, page.to, filter, false).items;
    // What ended ahead of the window is not waited for.
    state.unread = items.find(({ offset }) => !state.done.has(offset))?.timestamp;
    // A page of nothing has gone over as much as a read may, and is not followed by another.
    const isOver = state.unread !== undefined || page.upToDate || page.pieces.length === 0 || page.to <= from;
    this.from = isOver ? undefined : page.to;
  }

  /** The log begins at `head` by now. */
  trimmed(head: number): void {
    this.head = head;
    this.from = this.from === undefined || head <= this.from ? undefined : this.state.done.gapFrom(head);
  }
}
