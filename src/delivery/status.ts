/** How far a delivery is, as an operator sees it. */
import type { Delivery } from "./delivery.ts";
import type { Lane } from "./item.ts";
import type { State } from "./state.ts";
import type { Lost, Paused } from "./told.ts";

/** How far a group is on one partition. Times are ms since 1970. */
export interface Status {
  readonly partition: number;
  /** First record that is not finished. */
  readonly head: number;
  /** Next record to be read. */
  readonly cursor: number;
  readonly tail: number;
  /** Records that are not finished. */
  readonly lag: number;
  readonly oldestUnacked: number | undefined;
  readonly inFlight: number;
  readonly redeliveries: number;
  readonly lanes: {
    readonly retrying: number;
    readonly parked: number;
    readonly others: number;
    readonly full: boolean;
  };
  readonly deadLetters: number;
  readonly members: readonly { readonly member: string; readonly inFlight: number }[];
  readonly paused: Paused | undefined;
  /** The partition that this one continues is not finished; `keys`: all but so many of its keys are. */
  readonly waitsFor: { readonly partition: number; readonly keys?: number } | undefined;
  readonly lost: readonly Lost[];
  readonly rowsWritten: number;
}

export function statusOf(delivery: Delivery, now: number): Status {
  const { state } = delivery;
  const lanes = [...state.lanes.byId.values()];
  const lag = lagOf(state);
  const unread = state.leases.unread(now);
  const members = new Map(state.leases.members());
  for (const [member, count] of unread.members) members.set(member, (members.get(member) ?? 0) + count);
  const count = (of: Lane["state"]) => lanes.filter((lane) => lane.state === of).length;
  return {
    partition: state.spec.partition,
    head: state.head,
    cursor: state.cursor,
    tail: state.known ?? state.cursor,
    lag,
    oldestUnacked: lag === 0 ? undefined : oldestOf(state),
    inFlight: state.leases.size + unread.count,
    redeliveries: state.redeliveries,
    lanes: {
      retrying: count("retry"),
      parked: count("parked"),
      others: lanes.length - count("retry") - count("parked"),
      full: lanes.length >= delivery.reader.lanesMax,
    },
    deadLetters: state.letters.count,
    members: [...members].map(([member, inFlight]) => ({ member, inFlight })),
    paused: state.paused,
    waitsFor: waitsFor(state),
    lost: state.lost.all,
    rowsWritten: state.sql.rowsWritten(),
  };
}

/** What the window holds, what lanes hold and have behind them, and what is yet to be read and not known as finished. */
function lagOf(state: State): number {
  const { known, cursor, done, acked, window, lanes, letters, missing } = state;
  // Letters that are on their way again, and have no lane yet.
  let apart = letters.pages.redriven;
  for (const { kind, from, queue, behind, ahead, redriven } of lanes.byId.values()) {
    if (redriven) apart--;
    if (kind === "whole") {
      // A letter holds its place, though its record is gone.
      if (from >= cursor && missing.has(from) && letters.get(from) !== undefined) apart++;
      continue;
    }
    // In an incident lanes go beyond the window: what they have there counts as unread, but for what they have finished,
    // and for what the window had left to them before a restart.
    const beyond = kind === "key" && queue.length > 0 && queue[queue.length - 1].offset >= cursor;
    const within = (offset: number) => offset < cursor || done.has(offset);
    apart += behind - ahead + (beyond ? queue.filter(({ offset }) => within(offset)).length : queue.length);
  }
  // What was acked where every lane has read was finished already.
  const read = Math.min(cursor, ...[...lanes.unread].map(({ from }) => from));
  const ahead = Math.max(0, (known ?? cursor) - cursor) - missingIn(state, cursor, known ?? cursor);
  const unread = ahead - done.countFrom(cursor) - acked.countFrom(read);
  return Math.max(0, unread + window.size + apart);
}

/** Offsets that hold no record, and are not counted as finished either. */
function missingIn({ missing, done, acked }: State, start: number, end: number): number {
  let count = 0;
  for (const range of missing) {
    const [from, to] = [Math.max(range[0], start), Math.min(range[1], end)];
    if (from < to) count += to - from - done.countWithin(from, to) - acked.countWithin(from, to);
  }
  return count;
}

function oldestOf(state: State): number | undefined {
  const { window, lanes, unread } = state;
  let oldest = window.first()?.timestamp ?? unread;
  for (const lane of lanes.byId.values()) {
    const first = lane.queue[0]?.timestamp ?? lane.time;
    if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
  }
  return oldest;
}

function waitsFor(state: State): Status["waitsFor"] {
  const { spec, inherits, heldKeys } = state;
  if (spec.parent === undefined || (!inherits && heldKeys === undefined)) return undefined;
  return { partition: spec.parent, ...(inherits || heldKeys === undefined ? {} : { keys: heldKeys.size }) };
}
