/** A group's place on a partition, out of its rows and into others. Leases are left behind: their records go out again. */
import type { PlaceDump } from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import type { Position } from "../log/read.ts";
import type { DeliverySpec } from "./spec.ts";
import { type LaneRow, type LetterRow, Store } from "./store.ts";

/** What goes with one call. `after`: where there is more, it goes on there. */
export interface PlacePage {
  readonly place?: Omit<PlaceDump, "group" | "partition" | "done"> & { readonly done: Uint8Array };
  readonly lanes: readonly LaneRow[];
  readonly letters: readonly LetterRow[];
  readonly after?: string;
}

/** The same on the way back. */
export type PlacePart =
  | { readonly place: NonNullable<PlacePage["place"]> }
  | { readonly lanes: readonly LaneRow[] }
  | { readonly letter: LetterRow }
  | { readonly settled: { readonly lanes: number; readonly letters: number } };

/** Bytes of a page, about. One page is one moment; a place that needs more may be at several. */
const pageBytes = 4_194_304;
const lettersPerQuery = 16;
/** Rows of `meta` while a place is being restored: by whom, and that all of it is there. */
const mark = "restoring";
const whole = "restored";

/**
 * Everything, in an order in which what changes between two pages is repeated rather than lost: first the progress, then
 * the lanes, then the letters that they leave.
 */
export function placePage(store: Store, after = ""): PlacePage {
  const [kind, text] = after.split(":");
  const from = Number(text ?? -1);
  let bytes = 0;
  const lanes: LaneRow[] = [];
  const letters: LetterRow[] = [];
  const place = after === "" ? { place: placeOf(store) } : {};
  for (const lane of kind === "letter" ? [] : store.lanes()) {
    if (lane.id <= from) continue;
    lanes.push(lane);
    bytes += lane.tries.length + (lane.key?.length ?? 0) + 100;
    if (bytes >= pageBytes) return { ...place, lanes, letters, after: `lane:${lane.id}` };
  }
  for (let last = kind === "letter" ? from : -1; ; ) {
    const some = store.letters(last, lettersPerQuery);
    for (const letter of some) {
      letters.push(letter);
      last = letter.offset;
      bytes += letter.body.length + letter.tries.length + 200;
      if (bytes >= pageBytes) return { ...place, lanes, letters, after: `letter:${last}` };
    }
    if (some.length < lettersPerQuery) return { ...place, lanes, letters };
  }
}

function placeOf(store: Store): NonNullable<PlacePage["place"]> {
  const progress = store.progress();
  assert(progress !== undefined, "a delivery has a place");
  return {
    floor: progress.floor,
    era: progress.era,
    done: progress.done,
    paused: store.meta("paused") ?? null,
    heritage: (store.meta("heritage") as "holding" | "done" | undefined) ?? null,
    forwarded: Number(store.meta("forwarded") ?? 0),
  };
}

/**
 * Takes parts of a place, as often as they come, and says whether all of it is there. `owner`: the namespace that restores
 * it. Without parts it only says.
 */
export function takePlace(sql: Sql, owner: string, parts: readonly PlacePart[]): Result<boolean> {
  if (parts.length === 0) return ok(Store.open(sql)?.meta(whole) !== undefined);
  const store = new Store(sql);
  const known = store.meta(mark) ?? (store.meta("spec") === undefined ? owner : "");
  if (known !== owner) return refuse("conflict", "the group lives on elsewhere; restore the stream with a new id");
  let complete = true;
  sql.transaction(() => {
    store.setMeta(mark, owner);
    for (const part of parts) {
      if ("lanes" in part) for (const lane of part.lanes) store.setLane(lane);
      else if ("letter" in part) store.setLetter(part.letter);
      else if ("place" in part) setPlace(store, part.place);
      else complete = settled(store, part.settled);
    }
  });
  if (!complete) return refuse("restore-gap", "the place has not all its lanes and dead letters; send them again");
  return ok(store.meta(whole) !== undefined);
}

function settled(store: Store, { lanes, letters }: { lanes: number; letters: number }): boolean {
  const all = store.progress() !== undefined && store.lanes().length === lanes && store.countLetters() === letters;
  if (all) store.setMeta(whole, "1");
  return all;
}

function setPlace(store: Store, place: NonNullable<PlacePage["place"]>): void {
  const { paused, heritage, forwarded, ...progress } = place;
  store.setProgress(progress);
  if (paused !== null) store.setMeta("paused", paused);
  if (heritage !== null) store.setMeta("heritage", heritage);
  if (forwarded > 0) store.setMeta("forwarded", String(forwarded));
}

/** Where a delivery begins that is yet to be made: where the place stands that was restored, or as its group says. */
export function beginsAt(sql: Sql, spec: DeliverySpec): Position {
  const store = Store.open(sql);
  const floor = store?.meta(mark) === undefined ? undefined : store.progress()?.floor;
  return floor === undefined ? spec.start : { at: "offset", offset: floor };
}

/** Makes a delivery of the place that has been restored; false where none has. */
export function adopt(sql: Sql, spec: DeliverySpec): boolean {
  const store = Store.open(sql);
  if (store?.meta(mark) === undefined) return false;
  sql.transaction(() => {
    store.setMeta("format", "1");
    store.setMeta("spec", JSON.stringify(spec));
    store.dropMeta(mark);
    store.dropMeta(whole);
  });
  return true;
}

/** True where what is stored is not the group's, or not this namespace's. */
export function isAnothers(sql: Sql, groupId: string, owner: string): boolean {
  const store = Store.open(sql);
  const text = store?.meta("spec");
  if (text === undefined) return (store?.meta(mark) ?? owner) !== owner;
  const spec: DeliverySpec = JSON.parse(text);
  return spec.groupId !== groupId || spec.namespace !== owner;
}
