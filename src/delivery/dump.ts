/** A group's place on a partition, out of its rows and into others. Leases are left behind: their records go out again. */
import type { PlaceDump } from "../../schemas/dump.ts";
import { lanesProblem } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { assert } from "../lib/assert.ts";
import type { Sql } from "../lib/sql.ts";
import type { Position } from "../log/read.ts";
import { LaneLog } from "./lane-log.ts";
import { LetterPages } from "./letter-pages.ts";
import type { DeliverySpec } from "./spec.ts";
import { type LaneRow, type LetterRow, Store } from "./store.ts";
import { openStore } from "./upgrade.ts";

/** What goes with one call. `after`: where there is more, it goes on there. */
export interface PlacePage {
  readonly place?: Omit<PlaceDump, "group" | "partition" | "done" | "acked"> & {
    readonly done: Uint8Array;
    readonly acked: Uint8Array;
  };
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
  for (const lane of kind === "letter" ? [] : new LaneLog(store).load()) {
    if (lane.id <= from) continue;
    lanes.push(lane);
    bytes += lane.tries.length + (lane.key?.length ?? 0) + 100;
    if (bytes >= pageBytes) return { ...place, lanes, letters, after: `lane:${lane.id}` };
  }
  for (const letter of new LetterPages(store).after(kind === "letter" ? from : -1)) {
    letters.push(letter);
    bytes += letter.body.length + letter.tries.length + 200;
    if (bytes >= pageBytes) return { ...place, lanes, letters, after: `letter:${letter.offset}` };
  }
  return { ...place, lanes, letters };
}

function placeOf(store: Store): NonNullable<PlacePage["place"]> {
  const place = store.place();
  assert(place !== undefined, "a delivery has a place");
  const [lost, unheard] = [store.meta("lost"), store.meta("unheard")];
  return {
    floor: place.floor,
    era: place.era,
    done: place.done,
    acked: place.acked,
    paused: store.meta("paused") ?? null,
    heritage: (store.meta("heritage") as "holding" | "done" | undefined) ?? null,
    forwarded: Number(store.meta("forwarded") ?? 0),
    ...(lost === undefined ? {} : { lost }),
    ...(unheard === undefined ? {} : { unheard }),
  };
}

/** What has come of a place: where it stands, and whether all of it is there. */
export interface Placed {
  readonly complete: boolean;
  readonly floor: number | undefined;
}

const placedIn = (store: Store | undefined): Placed => ({
  complete: store?.meta(whole) !== undefined,
  floor: store?.place()?.floor,
});

/**
 * Takes parts of a place, as often as they come, and says what there is of it. `owner`: the namespace that restores it.
 * Without parts it only says.
 */
export function takePlace(sql: Sql, owner: string, parts: readonly PlacePart[]): Result<Placed> {
  if (parts.length === 0) return ok(placedIn(openStore(sql)));
  const store = new Store(sql);
  const known = store.meta(mark) ?? (store.meta("spec") === undefined ? owner : "");
  if (known !== owner) return refuse("conflict", "the group lives on elsewhere; restore the stream with a new id");
  const problem = lanesProblem(lanesAfter(store, parts));
  if (problem !== undefined) return problem;
  let complete = true;
  sql.transaction(() => {
    store.setMeta(mark, owner);
    for (const part of parts) if ("place" in part) setPlace(store, part.place);
    setRows(store, parts);
    for (const part of parts) if ("settled" in part) complete = settled(store, part.settled);
  });
  if (!complete) return refuse("restore-gap", "the place has not all its lanes and dead letters; send them again");
  return ok(placedIn(store));
}

/** All lanes of a place, once those that come are there. */
function lanesAfter(store: Store, parts: readonly PlacePart[]): LaneRow[] {
  const lanes = parts.flatMap((part) => ("lanes" in part ? part.lanes : []));
  if (lanes.length === 0) return [];
  return [...new Map([...new LaneLog(store).load(), ...lanes].map((row) => [row.id, row])).values()];
}

/** Lanes and letters; those that are there already are replaced. */
function setRows(store: Store, parts: readonly PlacePart[]): void {
  const lanes = parts.flatMap((part) => ("lanes" in part ? part.lanes : []));
  const letters = parts.flatMap((part) => ("letter" in part ? [part.letter] : []));
  if (lanes.length > 0) {
    const log = new LaneLog(store);
    const all = lanesAfter(store, parts);
    log.load();
    log.save(lanes, [], all.length, () => all);
    log.flush();
  }
  if (letters.length > 0) {
    const pages = new LetterPages(store);
    for (const letter of letters) pages.put(letter);
    pages.flush();
  }
}

function settled(store: Store, { lanes, letters }: { lanes: number; letters: number }): boolean {
  const placed = store.place() !== undefined;
  const all = placed && new LaneLog(store).load().length === lanes && new LetterPages(store).count === letters;
  if (all) store.setMeta(whole, "1");
  return all;
}

function setPlace(store: Store, place: NonNullable<PlacePage["place"]>): void {
  const { paused, heritage, forwarded, lost, unheard, acked, floor, era, done } = place;
  store.setPlace({ floor, era, done, acked, generation: 0, redeliveries: 0, recent: "[]" });
  if (paused !== null) store.setMeta("paused", paused);
  if (heritage !== null) store.setMeta("heritage", heritage);
  if (lost !== undefined) store.setMeta("lost", lost);
  if (unheard !== undefined) store.setMeta("unheard", unheard);
  if (forwarded > 0) store.setMeta("forwarded", String(forwarded));
}

/** Where a delivery begins that is yet to be made: where the place stands that was restored, or as its group says. */
export function beginsAt(sql: Sql, spec: DeliverySpec): Position {
  const store = openStore(sql);
  const floor = store?.meta(mark) === undefined ? undefined : store.place()?.floor;
  return floor === undefined ? spec.start : { at: "offset", offset: floor };
}

/** Whether a place was restored, or is being so, of which no delivery has been made yet. */
export const isRestored = (sql: Sql): boolean => openStore(sql)?.meta(mark) !== undefined;

/** The lowest offset that a delivery which is yet to be made may want: any, where its place has been restored. */
export const floorBefore = (sql: Sql): number => (isRestored(sql) ? 0 : Number.MAX_SAFE_INTEGER);

/** Makes a delivery of the place that has been restored; false where none has. */
export function adopt(sql: Sql, spec: DeliverySpec): boolean {
  const store = openStore(sql);
  if (store?.meta(mark) === undefined) return false;
  sql.transaction(() => {
    store.setMeta("format", "2");
    store.setMeta("spec", JSON.stringify(spec));
    store.dropMeta(mark);
    store.dropMeta(whole);
  });
  return true;
}

/** True where what is stored is not the group's, or not this namespace's. */
export function isAnothers(sql: Sql, groupId: string, owner: string): boolean {
  const store = openStore(sql);
  const text = store?.meta("spec");
  if (text === undefined) return (store?.meta(mark) ?? owner) !== owner;
  const spec: DeliverySpec = JSON.parse(text);
  return spec.groupId !== groupId || spec.namespace !== owner;
}
