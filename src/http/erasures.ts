/** Requests to forget: each goes to every partition that may have something of it, or to none. */
import { eraseBody, type Target } from "../../schemas/erasure.ts";
import { ok, type Result } from "../../schemas/errors.ts";
import { lineage } from "../catalog/map.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { Known } from "../objects/past.ts";
import { catalog, type Env } from "../objects/stubs.ts";
import { newId } from "../objects/telling.ts";
import { askAny, lookup, type Route, stub } from "./lookup.ts";
import { readJson } from "./parse.ts";
import { json, problem, thrown } from "./problem.ts";
import { changed, isClean, joined } from "./several.ts";

export async function eraseRecords(request: Request, env: Env, namespace: string, name: string): Promise<Response> {
  const body = await readJson(request, eraseBody);
  if (!body.ok) return problem(body.refusal);
  const { id = newId(), ...target } = body.value;
  const route = await lookup(env, namespace, name, true);
  if (!route.ok) return problem(route.refusal);
  const opened = await openedOf(env, namespace, name);
  if (!opened.ok) return problem(opened.refusal);
  const { map } = route.value.stream;
  const concerned = "key" in target ? lineage(map, murmur3(encodeText(target.key))) : map;
  const numbers = concerned.map(({ partition }) => partition).filter((number) => opened.value.includes(number));
  const known = await mayTake(env, route.value, opened.value, numbers, id, target);
  if (!known.ok) return problem(known.refusal);
  // One that is repeated is still what it was: partitions that came to be since have nothing that it concerns.
  const before = askedOf(known.value);
  const asked = before.size === 0 ? numbers : numbers.filter((number) => before.has(number));
  const taken = changed(
    await Promise.all(
      asked.map((number) => askAny(env, route.value, number, (one) => one.order("erase", id, target, asked))),
    ),
  );
  if (taken.ok) return json(shownErasure(id, taken.value), 202);
  const { refusal } = taken;
  if (isClean(refusal)) return problem(refusal);
  const detail = `${refusal.detail}; others may have taken the request: ask for the same again, under the id '${id}'`;
  return problem({ ...refusal, detail, facts: { ...refusal.facts, id } });
}

/**
 * What partitions know of a request, before any of them takes it: what one refuses, none has done. Those that it does not concern
 * may know its id as that of another one.
 */
async function mayTake(
  env: Env,
  route: Route,
  opened: readonly number[],
  concerned: readonly number[],
  id: string,
  target: Target,
): Promise<Result<Known[]>> {
  const others = opened.filter((number) => !concerned.includes(number));
  const [known, elsewhere] = await Promise.all([
    // One whose database is lost is made anew, and answers for what the bucket has.
    Promise.all(concerned.map((number) => askAny(env, route, number, (one) => one.order("erasure", id, target)))),
    requestsOf(env, route, others, id, target),
  ]);
  const all = joined(known);
  return all.ok && elsewhere.ok ? ok(all.value.filter((one) => one !== undefined)) : all.ok ? elsewhere : all;
}

export async function getErasure(env: Env, namespace: string, name: string, id: string): Promise<Response> {
  const route = await lookup(env, namespace, name, true);
  if (!route.ok) return problem(route.refusal);
  const numbers = route.value.stream.map.map(({ partition }) => partition);
  const known = await requestsOf(env, route.value, numbers, id);
  if (!known.ok) return problem(known.refusal);
  if (known.value.length === 0) {
    return problem({
      code: "erasure-not-found",
      detail: `there is no request '${id}' to forget records of this stream`,
    });
  }
  const told = new Set(known.value.map(({ view }) => view.partition));
  const untold = [...askedOf(known.value)].filter((number) => !told.has(number));
  if (untold.length === 0) return json(shownErasure(id, known.value));
  return problem({
    code: "conflict",
    detail: `of partition ${untold.join(", ")} nothing is known of the request '${id}': it did not come to it, or was lost with its database; ask for the same again, under the same id`,
  });
}

/** Partitions that may hold something: one that is not there, though it was opened, has lost its database. */
async function openedOf(env: Env, namespace: string, name: string): Promise<Result<number[]>> {
  try {
    return await catalog(env, namespace).order("opened", name);
  } catch (error) {
    return thrown(error);
  }
}

/** The partitions to which a request went when it was made, as far as anybody knows. */
const askedOf = (known: readonly Known[]): Set<number> => new Set(known.flatMap(({ asked = [] }) => asked));

const shownErasure = (id: string, known: readonly Known[]) => ({
  id,
  done: known.every(({ view }) => view.state === "done"),
  partitions: known.map(({ view }) => view),
});

/** What those of the partitions say of a request that know it. With a target, refuses where one would not take it. */
async function requestsOf(
  env: Env,
  route: Route,
  partitions: readonly number[],
  id: string,
  target?: Target,
): Promise<Result<Known[]>> {
  try {
    const ask = (number: number) => stub(env, route, number).order("erasure", id, target);
    const answers = await Promise.all(partitions.map(ask));
    const known = joined(answers.filter((answer) => answer.ok || "refusal" in answer));
    return known.ok ? ok(known.value.filter((one) => one !== undefined)) : known;
  } catch (error) {
    return thrown(error);
  }
}
