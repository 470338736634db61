/**
 * Forgetting records of a key, or of a subject, below an offset, in everything that a delivery has of them. They count as
 * finished: a lease of one is over, whoever has it, and what is read from then on are tombstones. What was said of them
 * goes with them, in memory and in the rows.
 */
import type { Target } from "../../schemas/erasure.ts";
import { type DeliveryStep, deliveryPlaces, isOf } from "../log/forgetting.ts";
import { decodeRecord } from "../log/record.ts";
import { Admin } from "./admin.ts";
import type { Delivery } from "./delivery.ts";
import { type Item, type Lane, ownBytes } from "./item.ts";
import type { Sought, Survivors } from "./sought.ts";
import type { State } from "./state.ts";

export interface Forgetting {
  readonly target: Target;
  /** Records below it are concerned. */
  readonly to: number;
  /** What is known of records that are not at hand. */
  readonly sought: Sought;
}

type Step = (delivery: Delivery, what: Forgetting, now: number) => number;

/** What stands in the place of a reason of which nobody knows any more which record it was about. */
export const forgottenReason = "forgotten, with a record that may have been the one";

/** Steps that are not the core's. */
export type Others = Readonly<
  Record<Exclude<DeliveryStep, keyof typeof steps>, (what: Forgetting, now: number) => void>
>;

const steps = { letters, lanes, window, leases, incident } as const satisfies Partial<Record<DeliveryStep, Step>>;

/** How many records there were at hand; and lanes that are left with none, of keys that may have no record any more. */
export interface Forgot {
  readonly count: number;
  readonly emptied: readonly Lane[];
}

export function forget(delivery: Delivery, what: Forgetting, others: Others, now: number): Forgot {
  const { state } = delivery;
  state.forgotten.note(what.to);
  const before = [...state.lanes.byId.values()].filter(({ from }) => from < what.to);
  let count = 0;
  for (const step of Object.keys(deliveryPlaces) as DeliveryStep[]) {
    if (step in steps) count += steps[step as keyof typeof steps](delivery, what, now);
    else others[step as keyof Others](what, now);
  }
  delivery.admitOnly(now);
  delivery.redriving.feed(now);
  // What they were is in older rows too.
  state.renew();
  state.letters.pages.release();
  for (const lane of before) if (state.lanes.byId.get(lane.id) !== lane) clear(lane);
  return { count, emptied: before.filter((lane) => isEmpty(state, lane)) };
}

/** Whether a lane stands at no record that is known. What an incident names stays. */
const isEmpty = ({ lanes }: State, lane: Lane): boolean =>
  lanes.byId.get(lane.id) === lane &&
  lane.kind === "key" &&
  lane.queue.length === 0 &&
  !lane.exact &&
  !lanes.only?.has(lane.key as string);

/** A lane without records goes, and its key with it. False where it is yet to be looked for them, up to where it reads. */
export function dropEmpty({ state }: Delivery, { lane, from, found }: Survivors): boolean {
  const { lanes, cursor, horizon } = state;
  if (found || !isEmpty(state, lane)) return true;
  if (from < Math.max(cursor, horizon, lane.read)) return false;
  if (lanes.unread.has(lane)) state.incident.forget(state.generation);
  lanes.remove(lane);
  clear(lane);
  state.unsaved++;
  state.renew();
  return true;
}

/** Lists that it stands in come to it later: it may wait among others for its time. */
const clear = (lane: Lane): void => void Object.assign(lane, { key: undefined, tries: [] });

function letters(delivery: Delivery, { target, to }: Forgetting, now: number): number {
  const offsets = delivery.state.letters.of(target, to);
  if (offsets.length > 0) new Admin(delivery).discard(offsets, now);
  return offsets.length;
}

function lanes(delivery: Delivery, what: Forgetting, now: number): number {
  const { lanes } = delivery.state;
  let count = 0;
  for (const lane of [...lanes.byId.values()]) {
    const isKeys = lane.kind === "key" && "key" in what.target;
    // What it has finished where the window has yet to come are tombstones there, which are no lane's.
    if (isKeys && lane.key === what.target.key && lane.from <= what.to) lane.ahead = 0;
    if (lanes.byId.get(lane.id) !== lane || lane.from >= what.to) continue;
    if (!isKeys) count += recordsOf(delivery, lane, what, now);
    else if (lane.key === what.target.key) count += laneOf(delivery, lane, what, now);
  }
  return count;
}

/** The lane of the key: all its records below the offset go at once, those too that are yet to be read. */
function laneOf({ state, reader }: Delivery, lane: Lane, { to }: Forgetting, now: number): number {
  const { lanes, leases, cursor } = state;
  const gone = lane.queue.filter(({ offset }) => offset < to);
  const left = lane.queue.slice(gone.length);
  lanes.empty(lane);
  lanes.fill(lane, left);
  for (const item of gone) {
    leases.end(item);
    item.state = "done";
    wipe(item);
  }
  state.unsaved++;
  leases.endRestored(lane.from);
  if (left.length === 0) lane.read = Math.max(lane.read, Math.min(to, cursor));
  // Those that were counted are over; of those behind the request it learns when it reads.
  if (lane.counted <= Math.max(to, lane.read)) lane.behind = 0;
  reader.lanes.advance(lane, now);
  return gone.length;
}

/** Of another lane those of its records that are concerned. */
function recordsOf(delivery: Delivery, lane: Lane, what: Forgetting, now: number): number {
  const { state, endings } = delivery;
  const { lanes } = state;
  let count = 0;
  for (let hit: boolean | undefined = true; hit; ) {
    // What stands at a letter is that letter's record, which was looked at.
    const over = lanes.byId.get(lane.id) !== lane || !lane.exact || lane.from >= what.to;
    if (over || lane.redriven || lane.state === "parked") break;
    const item = lane.kind === "whole" ? state.window.items.get(lane.from) : lane.queue[0];
    hit = item === undefined ? what.sought.is(lane.from) : isHit(item, what);
    if (hit) {
      count++;
      state.leases.endRestored(lane.from);
      if (item === undefined) endings.finishAhead(lane, now);
      else finish(delivery, item, now);
    } else if (hit === undefined && lane.tries.length > 0) {
      lane.tries = lane.tries.map((one) => ({ ...one, reason: forgottenReason }));
      lanes.changed.add(lane);
    }
  }
  const behind = lane.queue.slice(1).filter((item) => isHit(item, what));
  if (behind.length === 0) return count;
  const left = lane.queue.filter((item) => !behind.includes(item));
  lanes.empty(lane);
  lanes.fill(lane, left);
  for (const item of behind) {
    state.finishedBy(lane, item.offset);
    item.state = "done";
    wipe(item);
  }
  state.unsaved++;
  return count + behind.length;
}

function window(delivery: Delivery, what: Forgetting, now: number): number {
  const { window, lanes } = delivery.state;
  const hits = [...window.items.values()].filter((item) => isHit(item, what));
  for (const item of hits) finish(delivery, item, now);
  // A chunk that one of them lay in would stay in memory for the others.
  window.compact();
  for (const { queue } of lanes.byId.values()) for (const item of queue) if (isShared(item)) own(item);
  for (const item of window.items.values()) if (isShared(item)) own(item);
  return hits.length;
}

/** Of before a restart, and not read again: what is there now is a tombstone, which nobody need have. */
function leases({ state }: Delivery, { to, sought }: Forgetting): number {
  const { leases, lanes, letters, cursor, done, acked } = state;
  for (const offset of new Set([...leases.restored.keys(), ...leases.tried.unread()])) {
    // What becomes of a letter on its way again is for the letter to say.
    if (offset >= to || letters.get(offset) !== undefined) continue;
    const hit = sought.is(offset);
    const lease = leases.restored.get(offset);
    if (hit === undefined) {
      leases.tried.blank(offset, forgottenReason);
      if (lease?.nacked !== undefined) lease.nacked = { ...lease.nacked, reason: forgottenReason };
    }
    if (hit !== true) continue;
    leases.endRestored(offset);
    leases.tried.drop(offset);
    if (lanes.at(offset) === undefined && offset >= cursor && !done.has(offset)) acked.add(offset);
  }
  leases.owe();
  return 0;
}

/** It names keys that it let through, also when it is over. */
function incident({ state }: Delivery, { target }: Forgetting): number {
  const { only } = state.lanes;
  if ("key" in target ? !only?.has(target.key) : only === undefined)
    state.incident.unname("key" in target ? target.key : undefined);
  return 0;
}

function finish({ endings }: Delivery, item: Item, now: number): void {
  endings.finish(item, now);
  wipe(item);
}

function isHit({ offset, bytes, from, to: end }: Item, { target, to }: Forgetting): boolean {
  return offset < to && isOf(target, decodeRecord(bytes, from, end));
}

/** Lists that it stands in come to it later. A record that has no field at all takes its place there. */
function wipe(item: Item): void {
  Object.assign(item, { key: undefined, bytes: new Uint8Array(2), from: 0, to: 2, tries: undefined });
}

const isShared = ({ bytes }: Item): boolean => bytes.buffer.byteLength > bytes.length;

/** Bytes of its own, where they are a part of others': of a page of letters, or of a chunk. */
function own(item: Item): void {
  if (item.from === 0 && item.to === item.bytes.length) item.bytes = item.bytes.slice();
  else ownBytes(item);
}
