/**
 * A delivery forgets records. Of those that it knows by their offsets alone the log is asked first what they are; then
 * everything goes in one run, so that nothing comes between. Repeated, it is the same.
 */
import type { Target } from "../../schemas/erasure.ts";
import { ok } from "../../schemas/errors.ts";
import { dropEmpty, forget as forgetIn } from "../delivery/forget.ts";
import type { Lane } from "../delivery/item.ts";
import { Sought, Survivors } from "../delivery/sought.ts";
import type { Filter } from "../log/filter.ts";
import type { Page } from "../log/read.ts";
import { type Answer, gone, type PageAnswer } from "./answer.ts";
import { readThrough } from "./cold.ts";
import type { Keeper } from "./keeper.ts";
import { archiveReader, partition } from "./stubs.ts";

const pageRecords = 10_000;
const pageBytes = 1_048_576;

/** Answers how many records that were at hand there were. `last`: the log has nothing of them any more. */
export async function forget(keeper: Keeper, target: Target, to: number, last: boolean): Promise<Answer<number>> {
  const { core, attempts, heritage } = keeper;
  const sought = new Sought(target, to);
  await learn(keeper, sought);
  if (keeper.stopped) return gone;
  const now = Date.now();
  const { count, emptied } = forgetIn(
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
  for (const lane of emptied) await settle(keeper, lane, sought);
  keeper.kick();
  keeper.arm();
  return ok(count);
}

/** Reads until all is known: what is at hand may be given up meanwhile. */
async function learn(keeper: Keeper, sought: Sought): Promise<void> {
  const wanted = () => sought.wanted(keeper.core.state, keeper.attempts.spans);
  for (let span = wanted(); span !== undefined && !keeper.stopped; span = wanted()) {
    const [from, to] = span;
    const page = pageOf(await read(keeper, from), from, to);
    // Behind the tail there is nothing.
    sought.take(page.upToDate ? { ...page, to: Math.max(page.to, to) } : page);
  }
}

/** A lane that has nothing at hand goes, unless there is something of its key that stays. */
async function settle(keeper: Keeper, lane: Lane, sought: Sought): Promise<void> {
  for (
    const left = new Survivors(lane, sought, keeper.core.state);
    !keeper.stopped && !dropEmpty(keeper.core, left);
  ) {
    const { from, filter } = left;
    left.take(pageOf(await read(keeper, from, filter), from, Number.MAX_SAFE_INTEGER));
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
