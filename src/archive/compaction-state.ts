/**
 * How far a log is compacted: what is written down between the steps of a pass, and what follows from it. Pure.
 *
 *     head ──────── settled ──────── clean ──────── to ──────── tail
 *      deletions here │ an older value │ new: the   │ not yet
 *      have nothing   │ may be in what │ keys are   │
 *      left to delete │ was passed over│ learnt     │
 *
 * A pass learns the keys of `[from, to)`, and goes over everything below `to`. Whatever it could not read, or was not
 * allowed to rewrite, it passes over, and that may come back: an older value in it is still there. So a deletion is done
 * only where a pass that learnt it left nothing out, and it is kept for its grace from then on: until then somebody may
 * have read the older value. That everything below an offset was settled, and when, stays true whatever comes later.
 */

/** Of each deletion below `to` the older values were gone by `at`, in ms since 1970. */
export interface Settled {
  readonly to: number;
  readonly at: number;
}

export interface Pass {
  /** The keys of `[from, to)` are learnt, and everything below `at` was gone over against them. */
  readonly from: number;
  readonly to: number;
  readonly at: number;
  /** What was left out before is looked at first: without it, the pass need not begin so early. */
  readonly probe?: number;
  /** The lowest offset of what was left out. */
  readonly passed?: number;
}

export interface State {
  /** What is below was gone over against all keys below, but for what was left out. */
  readonly clean: number;
  /** Both fields ascend. */
  readonly settled?: readonly Settled[];
  /** The lowest offset of what was left out since, where it is known. */
  readonly owed?: number;
  /** What was left out could be read, and then could not: the next pass is for what is new. */
  readonly newFirst?: boolean;
  readonly pass?: Pass;
}

/** Times that are written down: those that lie near each other become one, the later. */
const settledMax = 32;

/** As it was written. What is said there of a pass of another form is not known here: that pass begins anew. */
export function readState(text: string | undefined): State {
  if (text === undefined) return { clean: 0 };
  const { clean, settled, owed, newFirst, pass }: State = JSON.parse(text);
  return {
    clean,
    ...(settled && { settled }),
    ...(owed !== undefined && { owed }),
    ...(newFirst && { newFirst }),
    ...(pass && { pass }),
  };
}

/** The end of what is settled. */
export const settledTo = ({ settled = [] }: State): number => settled.at(-1)?.to ?? 0;

/** Something was left out, and a pass that begins with what is new would leave it so. */
export const owes = (state: State): boolean => settledTo(state) < state.clean;

/** A pass up to `to` begins: with what is new, or, where `again`, with everything that is not settled. */
export function begun(state: State, to: number, again: boolean): State {
  const { clean, owed } = state;
  if (!again) return { ...state, pass: { from: clean, to, at: 0 } };
  return { ...state, pass: { from: settledTo(state), to, at: 0, ...(owed !== undefined && { probe: owed }) } };
}

/** What was left out is at hand again, or is still not: then the pass is for what is new. */
export function probed(state: State, atHand: boolean): State {
  if (state.pass === undefined) return state;
  const { probe: _probe, from, ...pass } = state.pass;
  return { ...state, pass: { ...pass, from: atHand ? from : state.clean } };
}

/** With more keys than fit, a pass goes so far and no further. */
export const shortened = (state: State, to: number): State =>
  state.pass === undefined ? state : { ...state, pass: { ...state.pass, to } };

/** Everything below `at` was gone over; `passed`: what lies from there on was left out. */
export function advanced(state: State, at: number, passed?: number): State {
  if (state.pass === undefined) return state;
  return leftOut({ ...state, pass: { ...state.pass, at } }, passed);
}

/** Something was left out, its keys or its records. */
export function leftOut(state: State, base: number | undefined): State {
  if (state.pass === undefined || base === undefined) return state;
  return { ...state, pass: { ...state.pass, passed: Math.min(base, state.pass.passed ?? base) } };
}

/** The pass has come to its end. */
export function ended(state: State, graceMs: number, now: number): State {
  const { clean, settled = [], owed, pass } = state;
  if (pass === undefined) return state;
  const whole = pass.from <= settledTo(state);
  // What lies below all that was left out is settled all the same.
  const to = Math.min(pass.to, pass.passed ?? pass.to);
  const known = whole && to > settledTo(state) ? thinned([...settled, { to, at: now }], graceMs, now) : settled;
  const left = lowest(pass.passed, whole ? undefined : owed);
  return {
    clean: Math.max(clean, pass.to),
    settled: known,
    ...(left !== undefined && { owed: left }),
    ...(whole && pass.passed !== undefined && pass.to < clean && { newFirst: true }),
  };
}

/** Deletions below this offset have been there for their grace after what they deleted. */
export function graceOver({ settled = [] }: State, graceMs: number, now: number): number {
  return settled.findLast(({ at }) => at <= now - graceMs)?.to ?? 0;
}

/** Leaves out what says no more than another one does, and then what says little more. */
function thinned(all: readonly Settled[], graceMs: number, now: number): Settled[] {
  const rising: Settled[] = [];
  // The clock may have gone back; what was settled by then was settled by a later time, too.
  for (const { to, at } of all) rising.push({ to, at: Math.max(at, rising.at(-1)?.at ?? at) });
  const over = rising.findLastIndex(({ at }) => at <= now - graceMs);
  const kept = rising.slice(Math.max(over, 0));
  while (kept.length > settledMax) {
    let near = 0;
    for (let at = 1; at + 1 < kept.length; at++) {
      if (kept[at + 1].at - kept[at].at < kept[near + 1].at - kept[near].at) near = at;
    }
    kept.splice(near, 1);
  }
  return kept;
}

const lowest = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.min(one, other);
