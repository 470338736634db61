/** Lanes: what waits apart, and is set going again. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { laneBody, lanesQuery } from "../../../schemas/group.ts";
import type { LaneView } from "../../delivery/admin.ts";
import { encodeText } from "../../lib/bytes.ts";
import type { Env } from "../../objects/stubs.ts";
import { isRepeat } from "../operation.ts";
import { query, readJson } from "../parse.ts";
import { answer, problem } from "../problem.ts";
import { countedBody, type Later } from "../sending.ts";
import type { Names } from "./groups.ts";
import { idOf, pageBytes, showTry, time } from "./letters.ts";
import { askDelivery, groupRoute, noPartition } from "./route.ts";

/** A page, by partition and number: it ends where it is full, in lanes or in bytes. */
export async function listLanes(request: Request, env: Env, names: Names, later: Later): Promise<Response> {
  const terms = query(lanesQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { partition: only, after, limit } = terms.value;
  if (only !== undefined && !target.value.partitions.includes(only)) return problem(noPartition(only).refusal);
  const from = after === undefined ? { partition: 0, number: -1 } : idOf(after);
  const found: object[] = [];
  let last: string | undefined;
  let more = false;
  let bytes = 0;
  for (const partition of target.value.partitions) {
    if (more) break;
    if (only === undefined ? partition < from.partition : partition !== only) continue;
    const behind = partition === from.partition ? from.number : -1;
    const room = { lanes: bytes < pageBytes ? limit - found.length : 0, bytes: pageBytes - bytes };
    const some = await askDelivery(env, target.value, partition, (one) =>
      one.admin("lanes", behind, room.lanes, room.bytes),
    );
    if (some?.ok === false) return problem(some.refusal);
    for (const lane of some?.value.lanes ?? []) {
      const shown = showLane(lane, partition);
      last = shown.lane;
      bytes += JSON.stringify(shown).length;
      found.push(shown);
    }
    // Asked for none, a partition says whether it has any.
    more = some?.value.more ?? false;
  }
  const body = JSON.stringify({ lanes: found, ...(more ? { after: last } : {}) });
  return new Response(countedBody(encodeText(`${body}\n`), later), { headers: { "content-type": "application/json" } });
}

const showLane = ({ lane, due, tries, ...rest }: LaneView, partition: number) => ({
  lane: `${partition}.${lane}`,
  partition,
  ...rest,
  ...(due === undefined ? {} : { dueAt: time(due) }),
  tries: tries.map(showTry),
});

export async function orderLane(request: Request, env: Env, names: Names, order: "resume" | "skip"): Promise<Response> {
  const body = await readJson(request, laneBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { lane, offset } = body.value;
  const { partition, number } = idOf(lane);
  if (!target.value.partitions.includes(partition)) return problem(noPartition(partition).refusal);
  const at = offset === undefined ? number : { lane: number, offset };
  const done = await askDelivery(env, target.value, partition, (one) =>
    order === "resume" ? one.admin("resumeLane", at) : one.admin("skipLane", at),
  );
  const found: Result<boolean> = done ?? refuse("lane-not-found", `there is no lane ${lane}`);
  const isOver = isRepeat(request) && !found.ok && found.refusal.code === "lane-not-found";
  return answer(isOver ? ok(false) : found, (changed) => ({ lane, order, changed }));
}
