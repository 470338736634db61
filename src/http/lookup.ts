/**
 * Streams as this Worker knows them. What is cached may be old: a partition answers `moved` to a caller that routes by
 * another version than its own, and then the catalog is asked again. No request waits for the catalog otherwise, but the first:
 * nothing that a partition would not notice is known here, except limits that were changed.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { PartitionRange } from "../../schemas/stream.ts";
import { active } from "../catalog/map.ts";
import type { Stream } from "../catalog/stream.ts";
import type { Answer } from "../objects/answer.ts";
import type { PartitionRpc } from "../objects/rpc.ts";
import { catalog, type Env, partition } from "../objects/stubs.ts";
import { Known } from "./known.ts";
import { thrown } from "./problem.ts";

export interface Route {
  readonly namespace: string;
  readonly stream: Stream;
  /** Partitions that take appends, by their ranges. */
  readonly ranges: readonly PartitionRange[];
  /** The catalog could not be asked whether there is a newer one. */
  readonly old?: true;
}

/** Growth seals partitions before the new map is out: for that moment a caller waits. */
const attemptsMax = 12;
const pauseMs = 50;

const known = new Known<Route>();

export async function lookup(env: Env, namespace: string, name: string, fresh = false): Promise<Result<Route>> {
  const ask = () => catalog(env, namespace).stream(name);
  const route = fresh ? undefined : known.get(`${namespace}/${name}`, async () => routed(namespace, await ask()));
  if (route !== undefined) return ok(route);
  try {
    return remember(namespace, name, await ask());
  } catch (error) {
    return thrown(error);
  }
}

/** How long the catalog is waited for by one who could do without. */
const patienceMs = 2_000;

/**
 * The newest that can be had: the catalog's, or, where that cannot be asked, what is known. Partitions that have been split since
 * say so themselves.
 */
export async function lookupNewest(env: Env, namespace: string, name: string): Promise<Result<Route>> {
  const asking = lookup(env, namespace, name, true);
  const asked = await Promise.race([asking, scheduler.wait(patienceMs)]);
  if (asked !== undefined && (asked.ok || !away.has(asked.refusal.code))) return asked;
  const route = await lookup(env, namespace, name);
  return route.ok ? ok({ ...route.value, old: true }) : route;
}

/** What a call that threw is answered with. */
const away: ReadonlySet<string> = new Set(["unavailable", "overloaded", "internal"]);

export function forget(namespace: string, name: string): void {
  known.delete(`${namespace}/${name}`);
}

export function remember(namespace: string, name: string, stream: Result<Stream>): Result<Route> {
  const route = routed(namespace, stream);
  if (route.ok) known.set(`${namespace}/${name}`, route.value);
  else forget(namespace, name);
  return route;
}

function routed(namespace: string, stream: Result<Stream>): Result<Route> {
  if (!stream.ok) return stream;
  return ok({ namespace, stream: stream.value, ranges: active(stream.value.map).sort((a, b) => a.from - b.from) });
}

export const stub = (env: Env, route: Route, number: number): PartitionRpc =>
  partition(env, route.stream.logId, number, route.stream.config.placement);

/** The caller's route is not the stream's any more: what was asked has to be routed anew. */
export interface Rerouted {
  readonly ok: false;
  readonly rerouted: Route;
}

/** Asks one partition once. One that does not exist yet is created on the way, one that moved says so. */
export async function ask<T>(
  env: Env,
  route: Route,
  number: number,
  call: (partition: PartitionRpc, version: number) => Promise<Answer<T>>,
): Promise<Result<T> | Rerouted> {
  const { namespace, stream } = route;
  let version = stream.version;
  try {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const answer = await call(stub(env, route, number), version);
      if (answer.ok || "refusal" in answer) return answer;
      if (attempt > 2) await scheduler.wait(pauseMs * attempt);
      // Behind us, or not there: the catalog brings it up to date. Ahead of us: we are the ones to catch up.
      const behind = answer.moved < version;
      const now = behind
        ? remember(namespace, stream.name, await catalog(env, namespace).open(stream.name, number))
        : await lookup(env, namespace, stream.name, true);
      if (!now.ok) return now;
      if (now.value.stream.logId !== stream.logId) return { ok: false, rerouted: now.value };
      if (!sameMap(now.value, route)) return { ok: false, rerouted: now.value };
      version = now.value.stream.version;
    }
  } catch (error) {
    return thrown(error);
  }
  return refuse("unavailable", `partition ${number} is being moved; try again in a moment`);
}

const sameMap = (a: Route, b: Route) => a.stream.map.length === b.stream.map.length;

/** As `ask`, for questions that any version of the stream answers. A deleted and recreated stream is another log. */
export async function askAny<T>(
  env: Env,
  route: Route,
  number: number,
  call: (partition: PartitionRpc) => Promise<Answer<T>>,
): Promise<Result<T>> {
  const answer = await ask(env, route, number, call);
  if (!("rerouted" in answer)) return answer;
  if (answer.rerouted.stream.logId === route.stream.logId) return askAny(env, answer.rerouted, number, call);
  return refuse("wrong-log", "the stream was deleted and created again meanwhile; read the new one");
}
