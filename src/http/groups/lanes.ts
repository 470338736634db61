/** Lanes: what waits apart, and is set going again. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { laneBody, lanesQuery } from "../../../schemas/group.ts";
import type { LaneView } from "../../delivery/admin.ts";
import type { Env } from "../../objects/stubs.ts";
import { isRepeat } from "../operation.ts";
import { readJson } from "../parse.ts";
import { answer, problem } from "../problem.ts";
import type { Later } from "../sending.ts";
import type { Names } from "./groups.ts";
import { showTry, time } from "./letters.ts";
import { idOf, type List, listPage } from "./pages.ts";
import { askDelivery, groupRoute, noPartition } from "./route.ts";

const lanes: List<"lanes", LaneView> = {
  name: "lanes",
  query: lanesQuery,
  ask: (one, behind, room) => one.admin("lanes", behind, room.items, room.bytes),
  numberOf: ({ lane }) => lane,
  show: (writer, lane, partition) => writer.text(JSON.stringify(showLane(lane, partition))),
};

export const listLanes = (request: Request, env: Env, names: Names, later: Later): Promise<Response> =>
  listPage(request, env, names, later, lanes);

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
