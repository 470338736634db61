/** A record on its way to a member. */

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

/** One attempt that failed. Times are ms since 1970. */
export interface Try {
  readonly attempt: number;
  readonly at: number;
  readonly member: string;
  readonly reason: string;
}

export interface Lane {
  readonly id: number;
  /** `key`: all records of a key. `single`: one record. `whole`: one record of a partition in order, which stays in the window. */
  readonly kind: "key" | "single" | "whole";
  readonly key: string | undefined;
  /** Its first unfinished record. Of a key's records, those before it are finished. */
  from: number;
  /** Where reading its records goes on. */
  read: number;
  /** `open`: goes on. `retry`: tries again at `due`. `parked`: until somebody resumes it. `held`: until the partition that was split has finished the key. */
  state: "open" | "retry" | "parked" | "held";
  attempts: number;
  due: number;
  tries: Try[];
  /** The record at `from` is being redriven from the dead letters. */
  redriven: boolean;
  /** Records of it at hand, in order. */
  queue: Item[];
  /** Records behind those that the window has passed over, as far as it has been seen since the object woke. */
  held: number;
  dirty: boolean;
  stored: boolean;
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
