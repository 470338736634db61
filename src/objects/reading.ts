/** A read that waits where there is nothing yet. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Log } from "../log/log.ts";
import type { Page } from "../log/read.ts";
import type { PageAnswer, ReadCall } from "./answer.ts";
import type { Waiters } from "./waiters.ts";

/** Undefined where the log is not there, or went away. */
export async function readWaiting(
  current: () => Log | undefined,
  call: ReadCall,
  waiters: Waiters,
): Promise<Result<PageAnswer> | undefined> {
  const until = Date.now() + call.waitMs;
  let terms = call;
  for (;;) {
    const log = current();
    if (log === undefined) return undefined;
    const promise = call.promise === undefined ? 0 : log.promise(call.promise);
    const page = log.read(terms);
    if (!page.ok) return page;
    const left = until - Date.now();
    if (page.value.pieces.length > 0 || !page.value.upToDate || left <= 0 || log.sealed) {
      return ok({ ...answerOf(log, page.value, promise), ...tellOf(log, call, page.value.from) });
    }
    if (waiters.size >= limits.waitersMax) {
      return refuse("too-many", `the partition holds ${limits.waitersMax} waiting readers; read without wait`);
    }
    terms = { ...terms, from: { at: "offset", offset: page.value.to } };
    await waiters.wait(left);
  }
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
