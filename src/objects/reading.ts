/** A read that waits where there is nothing yet. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Log } from "../log/log.ts";
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
      const { head, tail } = log.span;
      return ok({ ...page.value, head, tail, sealed: log.sealed, promise });
    }
    if (waiters.size >= limits.waitersMax) {
      return refuse("too-many", `the partition holds ${limits.waitersMax} waiting readers; read without wait`);
    }
    terms = { ...terms, from: { at: "offset", offset: page.value.to } };
    await waiters.wait(left);
  }
}
