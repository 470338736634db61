/**
 * A delivery forgets records. Of those that it knows by their offsets alone the log is asked first what they are; then
 * everything goes in one run, so that nothing comes between. Repeated, it is the same.
 */
import type { Target } from "../../schemas/erasure.ts";
import { ok, type Result } from "../../schemas/errors.ts";
import { forget as forgetIn } from "../delivery/forget.ts";
import { Sought } from "../delivery/sought.ts";
import type { Filter } from "../log/filter.ts";
import type { Page } from "../log/read.ts";
import type { Answer, PageAnswer } from "./answer.ts";
import { readThrough } from "./cold.ts";
import type { Keeper } from "./keeper.ts";
import { archiveReader, partition } from "./stubs.ts";

const pageRecords = 10_000;
const pageBytes = 1_048_576;

/** Answers how many records that were at hand there were. `last`: the log has nothing of them any more. */
export async function forget(keeper: Keeper, target: Target, to: number, last: boolean): Promise<Result<number>> {
  const { core, attempts, heritage } = keeper;
  const sought = new Sought(target, to);
  await learn(keeper, sought);
  const now = Date.now();
  const count = forgetIn(
    core,
    { target, to, sought },
    {
      // As long as the partition before this one may have them, order is kept.
      heritage: () => {
        if (last && "key" in target) heritage.released([target.key], now);
      },
      attempts: () => attempts.forget((span) => sought.mayHave(span)),
    },
    now,
  );
  keeper.kick();
  keeper.arm();
  return ok(count);
}

/** Reads until all is known: what is at hand may be given up meanwhile. */
async function learn(keeper: Keeper, sought: Sought): Promise<void> {
  const { state } = keeper.core;
  const { target } = sought;
  for (;;) {
    const span = sought.wanted(state, keeper.attempts.spans);
    if (span !== undefined) {
      const [from, to] = span;
      const page = pageOf(await read(keeper, from), from, to);
      // Behind the tail there is nothing.
      sought.take(page.upToDate ? { ...page, to: Math.max(page.to, to) } : page);
      continue;
    }
    const later = "key" in target ? sought.wantedLater(state) : undefined;
    if (later === undefined || !("key" in target)) return;
    const filter = { key: target.key };
    sought.takeLater(pageOf(await read(keeper, later, filter), later, Number.MAX_SAFE_INTEGER), filter);
  }
}

function read({ core, env }: Keeper, offset: number, filter?: Filter): Promise<Answer<PageAnswer>> {
  const { logId, partition: number } = core.state.spec;
  const from = { at: "offset", offset } as const;
  const more = filter === undefined ? {} : { filter };
  const terms = { from, limit: pageRecords, bytesMax: pageBytes, waitMs: 0, ...more };
  const where = { logId, partition: number, blobs: archiveReader(env) };
  return readThrough(where, terms, (call) => partition(env, logId, number, undefined).read(call));
}

/** What was read from an offset on. What the log has not, or has no more, is nothing, up to where it was asked for. */
function pageOf(answer: Answer<PageAnswer>, from: number, to: number): Page {
  if (answer.ok) return { ...answer.value, from };
  const none = { from, to, pieces: [], upToDate: true };
  if ("moved" in answer || answer.refusal.code === "past-tail") return none;
  if (answer.refusal.code !== "trimmed") throw new Error(answer.refusal.detail);
  return { ...none, to: Number(answer.refusal.facts?.head), upToDate: false };
}
