/** What is asked of a delivery besides records: by an operator, and by the partitions that continue its own. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { Admin, type LaneAt, type OrderArgs, type OrderName, type OrderValue } from "../delivery/admin.ts";
import { isRestored, type PlacePage, placePage } from "../delivery/dump.ts";
import type { Unfinished } from "../delivery/heritage.ts";
import { openStore } from "../delivery/upgrade.ts";
import type { Sql } from "../lib/sql.ts";
import type { Position } from "../log/read.ts";
import { type Answer, gone } from "./answer.ts";
import type { Keeper } from "./keeper.ts";
import { fill } from "./pull.ts";
import type { HeritageCall } from "./rpc.ts";
import { partition } from "./stubs.ts";

/** It may set something going. */
export async function operate<N extends OrderName>(
  keeper: Keeper,
  order: N,
  ...args: OrderArgs<N>
): Promise<Answer<OrderValue<N>>> {
  const { core } = keeper;
  if (order === "status") await keeper.look();
  if (order === "lanes") await keeper.filler.learnLanes();
  const admin = new Admin(core);
  const ofLane = order === "skipLane" || order === "resumeLane";
  const lane = ofLane ? admin.laneAt(args[0] as LaneAt) : undefined;
  // What is skipped must be at hand, and of what is resumed it must be known which record it is.
  if (lane !== undefined && !lane.held && (order === "skipLane" || !lane.exact)) {
    const brought = await fill(() => keeper.filler.bring(lane));
    if (!brought.ok) return brought;
  }
  if (keeper.stopped) return gone;
  const fulfil = admin[order] as (...args: unknown[]) => Result<OrderValue<N>>;
  const answer = fulfil.call(admin, ...args, Date.now());
  // What became a letter as it was read again, and is shown, is one after a crash, too.
  if (core.state.spec.config.durable && core.state.letters.changed) core.state.save();
  if (order === "resume") keeper.pusher.reset();
  keeper.kick();
  keeper.arm();
  return answer;
}

/** Moves the place, where the log has it. `heirs`: the partitions that continue this one, at any remove. */
export async function seek(keeper: Keeper, position: Position, heirs: readonly number[]): Promise<Answer<number>> {
  const { logId, partition: number } = keeper.core.state.spec;
  const offset = await partition(keeper.env, logId, number, undefined).order("locate", position);
  if (keeper.stopped) return gone;
  if (!offset.ok) return offset;
  new Admin(keeper.core).seek(offset.value, heirs, Date.now());
  const told = await keeper.inherit(true).then(
    () => true,
    () => false,
  );
  keeper.kick();
  if (told) return offset;
  return refuse(
    "unavailable",
    "the place has moved, and a partition that continues this one is yet to hear of it; ask again",
  );
}

/** What this delivery has unfinished, for one that continues it and waits for that. */
export async function unfinished(keeper: Keeper, { heir, held, after }: HeritageCall): Promise<Answer<Unfinished>> {
  const { core, filler, heritage, inheriting } = keeper;
  inheriting.addHeir(heir);
  if (core.state.known === undefined) await keeper.look();
  // Those that continue it wait for all of it to be read, though it may give nothing out for long.
  await filler.fill(() => heritage.left.caughtUp);
  if (keeper.stopped) return gone;
  return ok(held === undefined ? heritage.unfinished(after) : heritage.finished(held));
}

/** The place as its rows have it, with what is only in memory; undefined where there is none. */
export function dumped(keeper: Keeper | undefined, sql: Sql, after?: string): PlacePage | undefined {
  keeper?.core.state.save();
  keeper?.core.state.settleFloor();
  const store = openStore(sql);
  return store?.place() === undefined ? undefined : placePage(store, after);
}

/** The one that it continues has news. A place that was restored hears them when a delivery is made of it: it would not know them. */
export async function inherit(keeper: Keeper | undefined, sql: Sql, again: boolean): Promise<void> {
  if (keeper === undefined && isRestored(sql)) throw new Error("it is not in use yet");
  await keeper?.inherit(again);
}
