/** What a query is to get, by the model: where it begins, and every record from there on, in its order. */
import { isFiltered, matches, merged, type Stored } from "./model.ts";
import type { Filter, From, Query } from "./plan.ts";
import type { Bookmark, ScriptRun } from "./script.ts";
import { newestSnapshot } from "./snapshots.ts";

export interface Range {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

export interface Target {
  readonly partition: number | null;
  readonly filter: Filter;
  /** Undefined: it is left out. */
  readonly from: string | undefined;
  readonly records: readonly Stored[];
  /** What can be read of that filter, whatever the place. */
  readonly all: readonly Stored[];
  /** It is below the head: the first answer is 410, with these. */
  readonly gone: readonly Range[];
  /** Backward, everything down to 0 is gone. */
  readonly backward: boolean;
  /** Under a filter the place may have moved past what was trimmed. */
  readonly perhapsGone: boolean;
  /** Above the tail. */
  readonly past: boolean;
}

const forms: readonly ((at: number) => string)[] = [
  (at) => new Date(at).toISOString(),
  (at) => new Date(at + 2 * 3_600_000).toISOString().replace("Z", "000900+02:00"),
  (at) => new Date(at - 23 * 3_600_000 - 59 * 60_000).toISOString().replace("Z", "-23:59"),
  (at) => new Date(at).toISOString().toLowerCase(),
];

export function targetOf(
  run: ScriptRun,
  query: Pick<Query, "partition" | "filter" | "from" | "backward">,
): Target | undefined {
  const { from, backward } = query;
  if (from.at === "bookmark") return atBookmark(run, run.share(run.bookmarks, from.share), backward);
  const partition = query.partition === null ? null : (run.share(run.model.numbers, query.partition / 8) as number);
  const all = run.model.readable(partition, query.filter);
  const base = { partition, filter: query.filter, all, backward, gone: [], perhapsGone: false, past: false };
  if (from.at === "offset")
    return partition === null ? undefined : atOffset(run, { ...base, partition }, from.share, backward);
  if (backward) {
    const reversed = [...all].reverse();
    return { ...base, from: from.at === "default" ? undefined : "latest", records: reversed };
  }
  return { ...base, ...forward(run, all, from) };
}

function forward(
  run: ScriptRun,
  all: readonly Stored[],
  from: From,
): { from: string | undefined; records: readonly Stored[] } {
  switch (from.at) {
    case "default":
      return { from: undefined, records: all };
    case "snapshot": {
      const place = (partition: number) => newestSnapshot(run.model, partition)?.offset ?? 0;
      return { from: "snapshot", records: all.filter((one) => one.offset >= place(one.partition)) };
    }
    case "latest":
      return { from: "latest", records: [] };
    case "newest":
      return { from: `-${from.count}`, records: all.slice(-from.count) };
    case "time": {
      const everything = [...run.model.stored.values()].sort(merged);
      const at = (run.share(everything, from.share)?.at ?? Date.now()) + from.plusMs;
      const form = forms[from.form % forms.length] as (at: number) => string;
      return { from: form(at), records: all.filter((one) => one.at >= at) };
    }
    default:
      return { from: "earliest", records: all };
  }
}

function atOffset(
  run: ScriptRun,
  base: Omit<Target, "from" | "records"> & { partition: number },
  share: number,
  backward: boolean,
) {
  const { partition, all } = base;
  const head = run.model.head(partition);
  const tail = run.model.tail(partition);
  const offset = Math.floor(share * (tail + (backward ? 0 : 2)));
  const from = String(offset);
  if (backward) {
    if (offset < head) return { ...base, from, records: [], gone: [{ partition, from: 0, to: offset + 1 }] };
    if (tail === head) return undefined;
    return { ...base, from, records: all.filter((one) => one.offset <= offset).reverse() };
  }
  const records = all.filter((one) => one.offset >= offset);
  if (offset > tail) return { ...base, from, records, past: true };
  return { ...base, from, records, gone: offset < head ? [{ partition, from: offset, to: head }] : [] };
}

function atBookmark(run: ScriptRun, mark: Bookmark | undefined, backward: boolean): Target | undefined {
  if (mark === undefined) return undefined;
  const { partition, filter, cursor, places } = mark;
  const numbers = partition === null ? run.model.numbers : [partition];
  const place = (number: number) => places.get(number) ?? 0;
  const all = run.model.readable(partition, filter);
  const below = numbers.filter((number) => place(number) < run.model.head(number));
  const filtered = isFiltered(filter);
  const perhapsGone = filtered && below.length > 0;
  const base = { partition, filter, from: cursor, all, backward, perhapsGone, past: false };
  if (!backward) {
    const gone = below.map((number) => ({ partition: number, from: place(number), to: run.model.head(number) }));
    return { ...base, gone, records: all.filter((one) => one.offset >= place(one.partition)) };
  }
  const gone = below.map((number) => ({ partition: number, from: 0, to: place(number) }));
  return {
    ...base,
    // At 0 nothing is missing; a filter may have taken it further.
    gone: filtered ? gone : gone.filter(({ to }) => to > 0),
    records: all.filter((one) => one.offset < place(one.partition)).reverse(),
  };
}

export const inTarget = (target: Target, one: Stored) =>
  (target.partition === null || one.partition === target.partition) && matches(one, target.filter);
