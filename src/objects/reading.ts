/** A read that waits where there is nothing yet. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Log } from "../log/log.ts";
import type { Page } from "../log/read.ts";
import type { PageAnswer, ReadCall } from "./answer.ts";
import type { ReadWaits } from "./read-waits.ts";

/** Undefined where the log is not there, or went away. A wait that is ended answers with where it stands. */
export async function readWaiting(
  current: () => Log | undefined,
  call: ReadCall,
  waits: ReadWaits,
): Promise<Result<PageAnswer> | undefined> {
  let until = Date.now() + call.waitMs;
  let terms = call;
  let began: number | undefined;
  for (;;) {
    const log = current();
    if (log === undefined) return undefined;
    const promise = call.promise === undefined ? 0 : log.promise(call.promise);
    const page = log.read(terms);
    if (!page.ok) return refused(log, call, page.refusal);
    began ??= page.value.from;
    const left = until - Date.now();
    if (page.value.pieces.length > 0 || !page.value.upToDate || left <= 0 || log.sealed) {
      const whole = call.backward === true ? page.value : { ...page.value, from: began };
      return ok({ ...answerOf(log, whole, promise), ...tellOf(log, call, whole.from) });
    }
    if (waits.size >= limits.waitersMax) {
      return refuse("too-many", `the partition holds ${limits.waitersMax} waiting readers; read without wait`);
    }
    terms = { ...terms, from: { at: "offset", offset: page.value.to } };
    if (await waits.wait(left, call.wait)) until = 0;
  }
}

/** Whoever comes too late may begin with the newest snapshot. A group's deliveries have no use for it. */
function refused(log: Log, { follower }: ReadCall, refusal: Refusal): Result<PageAnswer> {
  if (refusal.code !== "trimmed" || follower !== undefined) return { ok: false, refusal };
  const snapshot = log.segments.snapshots.usable(log.span.head) ?? null;
  return { ok: false, refusal: { ...refusal, facts: { ...refusal.facts, snapshot } } };
}

/** A page, and where the log stands. */
export function answerOf(log: Log, page: Page, promise: number): PageAnswer {
  const { head, tail } = log.span;
  return { ...page, head, tail, sealed: log.sealed, promise };
}

/** What a reader is told of the newest snapshot: it could begin with that. A group's deliveries have no use for it. */
function tellOf(log: Log, { from, backward, follower }: ReadCall, start: number): Pick<PageAnswer, "snapshot"> {
  const snapshot = follower === undefined ? log.segments.snapshots.usable(log.span.head) : undefined;
  if (from.at === "snapshot") return { snapshot: snapshot ?? null };
  return snapshot !== undefined && backward !== true && start < snapshot.offset ? { snapshot } : {};
}
