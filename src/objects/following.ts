/** A delivery on the list of those whom its partition tells of appends: it begins there, and makes sure later that it still is. */

import { ok } from "../../schemas/errors.ts";
import { beginsAt } from "../delivery/dump.ts";
import type { DeliverySpec } from "../delivery/spec.ts";
import { objectSql } from "../platform/sql.ts";
import type { Answer } from "./answer.ts";
import type { Keeper } from "./keeper.ts";
import { type Env, partition } from "./stubs.ts";

/** The offset at which a delivery begins that is yet to be made. */
export const begun = (
  env: Env,
  id: string,
  storage: DurableObjectStorage,
  spec: DeliverySpec,
): Promise<Answer<number>> =>
  partition(env, spec.logId, spec.partition, undefined).follow(id, beginsAt(objectSql(storage), spec));

/** A partition whose database was lost knows nobody who follows it, and its tail may be another one. */
export async function followAgain(env: Env, id: string, keeper: Keeper): Promise<Answer<undefined>> {
  const { state } = keeper.core;
  const { logId, partition: number } = state.spec;
  const start = await partition(env, logId, number, undefined).follow(id, { at: "earliest" });
  if (!start.ok) return start;
  state.known = undefined;
  keeper.kick();
  return ok(undefined);
}
