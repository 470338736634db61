/** Groups as this Worker knows them, and asking their deliveries. What is cached may be old: a delivery that is gone says so. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import type { Group } from "../../catalog/group.ts";
import { deliveriesOf } from "../../catalog/groups.ts";
import type { Answer } from "../../objects/answer.ts";
import type { DeliveryRpc } from "../../objects/rpc.ts";
import { catalog, delivery, type Env } from "../../objects/stubs.ts";
import { Known } from "../known.ts";
import { lookup, lookupNewest, type Route } from "../lookup.ts";
import { thrown } from "../problem.ts";
import { changed, partly } from "../several.ts";

export interface GroupRoute {
  readonly route: Route;
  readonly group: Group;
  /** Partitions that the group reads: all of them, sealed ones too. */
  readonly partitions: readonly number[];
}

interface KnownGroup {
  readonly group: Group;
  readonly logId: string;
}
const known = new Known<KnownGroup>();

const idOf = (namespace: string, stream: string, name: string) => `${namespace}/${stream}/${name}`;

export async function groupRoute(
  env: Env,
  namespace: string,
  stream: string,
  name: string,
  /** `newest`: fresh as far as it can be had, and else as it is known. */
  fresh: boolean | "newest" = false,
): Promise<Result<GroupRoute>> {
  const route = await (fresh === "newest"
    ? lookupNewest(env, namespace, stream)
    : lookup(env, namespace, stream, fresh));
  if (!route.ok) return route;
  const { logId } = route.value.stream;
  const ask = () => catalog(env, namespace).group(stream, name);
  const found =
    fresh && !route.value.old
      ? undefined
      : known.get(idOf(namespace, stream, name), async () => ofLog(logId, await ask()));
  if (found?.logId === logId) return ok(routed(route.value, found.group));
  try {
    const group = await ask();
    rememberGroup(namespace, stream, name, logId, group);
    return group.ok ? ok(routed(route.value, group.value)) : group;
  } catch (error) {
    return thrown(error);
  }
}

export function rememberGroup(
  namespace: string,
  stream: string,
  name: string,
  logId: string,
  group: Result<Group>,
): void {
  const id = idOf(namespace, stream, name);
  if (group.ok) known.set(id, { group: group.value, logId });
  else known.delete(id);
}

const ofLog = (logId: string, group: Result<Group>): Result<KnownGroup> =>
  group.ok ? ok({ group: group.value, logId }) : group;

const routed = (route: Route, group: Group): GroupRoute => ({
  route,
  group,
  partitions: route.stream.map.map(({ partition }) => partition),
});

/** Asks one delivery. Undefined where the partition holds nothing yet, so that nobody was told to begin there. */
export async function askDelivery<T>(
  env: Env,
  target: GroupRoute,
  partition: number,
  call: (delivery: DeliveryRpc) => Promise<Answer<T>>,
): Promise<Result<T> | undefined> {
  try {
    const id = deliveriesOf(target.route.stream.logId, target.group.id);
    const answer = await call(delivery(env, id, partition));
    return answer.ok || "refusal" in answer ? answer : undefined;
  } catch (error) {
    return thrown(error);
  }
}

/** Sees to it that a partition, and the group's delivery on it, is there: somebody waits for what will be appended. */
export async function openPartition(env: Env, target: GroupRoute, partition: number): Promise<Result<undefined>> {
  const { namespace, stream } = target.route;
  // A partition that was split before it held anything never will.
  if (stream.map[partition]?.sealed) return ok(undefined);
  try {
    const opened = await catalog(env, namespace).open(stream.name, partition);
    return opened.ok ? ok(undefined) : opened;
  } catch (error) {
    return thrown(error);
  }
}

/**
 * Asks every delivery of a group; those that are not there yet are left out. A refusal is the answer, and no clean one where another
 * has done what was asked.
 */
export async function askAll<T>(
  env: Env,
  target: GroupRoute,
  call: (delivery: DeliveryRpc) => Promise<Answer<T>>,
  only?: number,
): Promise<Result<{ partition: number; value: T }[]>> {
  const partitions = only === undefined ? target.partitions : [only];
  if (only !== undefined && !target.partitions.includes(only)) return noPartition(only);
  const found: { partition: number; value: T }[] = [];
  for (let at = 0; at < partitions.length; at += atOnce) {
    const some = partitions.slice(at, at + atOnce);
    const answers = await Promise.all(some.map((partition) => askDelivery(env, target, partition, call)));
    const there: Result<{ partition: number; value: T }>[] = [];
    for (const [index, answer] of answers.entries()) {
      if (answer !== undefined) there.push(answer.ok ? ok({ partition: some[index], value: answer.value }) : answer);
    }
    const all = changed(there);
    if (!all.ok) return found.length === 0 ? all : { ok: false, refusal: partly(all.refusal) };
    found.push(...all.value);
  }
  return ok(found);
}

/** Partitions that are asked at the same time. */
export const atOnce = 64;

export const noPartition = (partition: number) =>
  refuse("partition-not-found", `the stream has no partition ${partition}; read …/partitions for those there are`);
