/** A record on its way to a member, and the lanes that records which failed go in. */

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
  /** Attempts made that count. */
  attempt: number;
  /** Those that ended while it stood in the window; in a lane they are the lane's. */
  tries: Try[] | undefined;
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
  /** Of its lease. What was known of the lease before a restart, and the same nack again, are known by it. */
  readonly generation?: number;
  readonly nacked?: true;
}

export interface Lane {
  readonly id: number;
  /** `key`: all records of a key. `single`: one record. `whole`: one record of a partition in order, which stays in the window. */
  readonly kind: "key" | "single" | "whole";
  readonly key: string | undefined;
  /** Its first unfinished record; where not `exact`, the first place where that may be. Of a key's records, those before it are finished. */
  from: number;
  exact: boolean;
  /** Where reading its records goes on. */
  read: number;
  /** `open`: goes on. `retry`: tries again at `due`. `parked`: until somebody resumes it. */
  state: "open" | "retry" | "parked";
  /** Until the partition that was split has finished the key. */
  held: boolean;
  attempts: number;
  due: number;
  tries: Try[];
  /** The record at `from` is being redriven from the dead letters. */
  redriven: boolean;
  /** Receipts up to this generation are of before that. */
  voided: number;
  /** Records of it at hand, in order. */
  queue: Item[];
  /** Records behind those that the window has passed over below `counted`, and that are not finished. */
  behind: number;
  counted: number;
  /** Records of it that it has finished where the window has yet to come. */
  ahead: number;
  /** Timestamp of its first unfinished record, where that is known. */
  time: number | undefined;
  /** It stands among those that may go on; or among those that wait, since then due at this time. */
  listed: boolean;
  timed: number | undefined;
  stored: boolean;
}

/** Offset of a lane's first unfinished record, where that is known: at its place there may be a record of another key. */
export const recordOf = ({ exact, from }: Lane): number | undefined => (exact ? from : undefined);

export type Content = Pick<Item, "offset" | "timestamp" | "key" | "bytes" | "from" | "to" | "checked">;

export const newItem = (content: Content, holding?: Holding): Item => ({
  ...content,
  state: "waiting",
  attempt: 0,
  tries: undefined,
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

/** Failed so often, a record goes in turn behind the others: it may fail for ever, and costs no more than its own key. */
const wornAfter = 2;

export const isWorn = ({ attempt }: Item): boolean => attempt >= wornAfter;

/** `untried`: it has never failed. `tried`: it has, and may have been unlucky. `worn`: it has more often. */
export type Wear = "untried" | "tried" | "worn";

export const wearOf = (item: Item): Wear => (isWorn(item) ? "worn" : item.attempt > 0 ? "tried" : "untried");

/** What was tried of it, which its lane knows from now on. */
export function takeTries(item: Item): Try[] {
  const { tries = [] } = item;
  item.tries = undefined;
  return tries;
}

/** Tries that a lane, or a letter, keeps, and the characters of their reasons and members: ten thousand lanes are in memory. */
const triesMax = 20;
const triesCharsMax = 4_096;

/** The newest tries of both lists that are kept. */
export function lastTries(before: readonly Try[], after: readonly Try[]): Try[] {
  const all = [...before, ...after].slice(-triesMax);
  let chars = 0;
  let first = all.length;
  while (first > 0) {
    const { member, reason } = all[first - 1];
    chars += member.length + reason.length;
    if (chars > triesCharsMax && first < all.length) break;
    first--;
  }
  return all.slice(first);
}
