import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { fenceBody, trimBody } from "../../schemas/record.ts";
import { momentOf } from "../../schemas/time.ts";
import type { Facts } from "../log/facts.ts";
import type { Answer } from "../objects/answer.ts";
import type { PartitionRpc } from "../objects/rpc.ts";
import type { Env } from "../objects/stubs.ts";
import { askAny, lookup, type Route } from "./lookup.ts";
import { readJson } from "./parse.ts";
import { answer, problem } from "./problem.ts";

export async function listPartitions(env: Env, namespace: string, name: string): Promise<Response> {
  const route = await lookup(env, namespace, name, true);
  return answer(route, ({ stream }) => ({ mapVersion: stream.version, partitions: stream.map }));
}

/** Facts, or a change, of one partition. */
export async function ofPartition<T>(
  env: Env,
  names: { namespace: string; name: string; partition: string },
  call: (partition: PartitionRpc) => Promise<Answer<T>>,
  show: (value: T, number: number, route: Route) => unknown,
): Promise<Response> {
  const target = await targetOf(env, names);
  if (!target.ok) return problem(target.refusal);
  const { route, number } = target.value;
  return answer(await askAny(env, route, number, call), (value) => show(value, number, route));
}

export interface Names {
  readonly namespace: string;
  readonly name: string;
  readonly partition: string;
}

export async function targetOf(
  env: Env,
  { namespace, name, partition }: Names,
): Promise<Result<{ route: Route; number: number }>> {
  const route = await lookup(env, namespace, name);
  if (!route.ok) return route;
  const number = /^\d{1,7}$/.test(partition) ? Number(partition) : -1;
  const known = (route: Route) => number >= 0 && number < route.stream.map.length;
  if (known(route.value)) return ok({ route: route.value, number });
  const fresh = await lookup(env, namespace, name, true);
  if (!fresh.ok || known(fresh.value)) return fresh.ok ? ok({ route: fresh.value, number }) : fresh;
  const last = fresh.value.stream.map.length - 1;
  return refuse("partition-not-found", `the stream has no partition '${partition}'; its partitions are 0 to ${last}`);
}

function shown({ firstTimestamp, lastTimestamp, ...facts }: Facts, partition: number) {
  const time = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());
  return { partition, ...facts, firstTimestamp: time(firstTimestamp), lastTimestamp: time(lastTimestamp) };
}

export const partitionFacts = (env: Env, names: Names) => ofPartition(env, names, (stub) => stub.order("facts"), shown);

export async function trimPartition(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, trimBody);
  if (!body.ok) return problem(body.refusal);
  const before =
    "beforeOffset" in body.value
      ? { at: "offset" as const, offset: body.value.beforeOffset }
      : { at: "time" as const, time: momentOf(body.value.beforeTime, Date.now()) as number };
  return ofPartition(env, names, (stub) => stub.order("trim", before), shown);
}

export async function fencePartition(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, fenceBody);
  if (!body.ok) return problem(body.refusal);
  const { token, expected } = body.value;
  return ofPartition(env, names, (stub) => stub.order("fence", token, expected), shown);
}
