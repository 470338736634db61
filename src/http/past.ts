/** A stream's past: forgetting, checking and repairing what is stored. */
import { eraseBody, type LostRange, type RepairCall, repairBody } from "../../schemas/erasure.ts";
import { ok, type Refusal, type Result } from "../../schemas/errors.ts";
import { verifyQuery } from "../../schemas/record.ts";
import type { ObjectFault } from "../archive/verify.ts";
import { lineage } from "../catalog/map.ts";
import { encodeText, hex } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { Report } from "../log/verify.ts";
import { checkedObject } from "../objects/checked-object.ts";
import { surelyGone } from "../objects/out-of-reach.ts";
import type { Expected, Known } from "../objects/past.ts";
import { archive, catalog, type Env } from "../objects/stubs.ts";
import { newId } from "../objects/telling.ts";
import type { Blobs } from "../platform/blobs.ts";
import { faultTold } from "../platform/fault-told.ts";
import { summedUp } from "../platform/summed.ts";
import { askAny, lookup, type Route, stub } from "./lookup.ts";
import { query, readJson } from "./parse.ts";
import { type Names, ofPartition, targetOf } from "./partitions.ts";
import { json, problem, thrown } from "./problem.ts";

/** Bytes that one call to a partition verifies: the calls in between let others in. */
const verifyBytes = 33_554_432;
/** Bytes after which a verification answers, and says where to go on: a request has so much time. */
const verifyAnswerBytes = 536_870_912;

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
  const known = await requestsOf(env, route.value, numbers, id);
  if (!known.ok) return problem(known.refusal);
  // One that is repeated is still what it was: partitions that came to be since have nothing that it concerns.
  const before = askedOf(known.value);
  const asked = before.size === 0 ? numbers : numbers.filter((number) => before.has(number));
  // One whose database is lost is made anew, and answers for what the bucket has.
  const taken = joined(
    await Promise.all(
      asked.map((number) => askAny(env, route.value, number, (one) => one.order("erase", id, target, asked))),
    ),
  );
  return taken.ok ? json(shownErasure(id, taken.value), 202) : problem(taken.refusal);
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

/** What those of the partitions say of a request that know it. */
async function requestsOf(env: Env, route: Route, partitions: readonly number[], id: string): Promise<Result<Known[]>> {
  try {
    const answers = await Promise.all(partitions.map((number) => stub(env, route, number).order("erasure", id)));
    const known = joined(answers.filter((answer) => answer.ok || "refusal" in answer));
    return known.ok ? ok(known.value.filter((one) => one !== undefined)) : known;
  } catch (error) {
    return thrown(error);
  }
}

/** All values, or the first refusal. */
function joined<T>(answers: readonly Result<T>[]): Result<T[]> {
  const refused = answers.find((answer) => !answer.ok);
  return refused ?? ok(answers.flatMap((answer) => (answer.ok ? [answer.value] : [])));
}

export async function repairPartition(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, repairBody);
  if (!body.ok) return problem(body.refusal);
  const target = await targetOf(env, names);
  if (!target.ok) return problem(target.refusal);
  const { route, number } = target.value;
  // Whoever asks again learns what it has lost, too. Of a rebuild the partition keeps the answer.
  const before = body.value.mode === "rebuild" ? ok([]) : await askAny(env, route, number, (one) => one.order("lost"));
  if (!before.ok) return problem(before.refusal);
  const lost: LostRange[] = [];
  let end: number | undefined;
  for (let rest: RepairCall | undefined = { from: 0, ...body.value }; rest !== undefined; ) {
    const now: RepairCall = rest;
    const step: Result<{ lost: LostRange[]; next?: number; to?: number }> = await askAny(env, route, number, (one) =>
      one.order("repair", now),
    );
    if (!step.ok) return problem(step.refusal);
    const { next, to } = step.value;
    if (next !== undefined && next <= now.from) return problem(standsStill(number, next));
    lost.push(...step.value.lost);
    end = to;
    rest = next === undefined ? undefined : { ...now, from: next, ...(to === undefined ? {} : { to }) };
  }
  // The database that was lost had the list of groups that follow the partition.
  const followed =
    body.value.mode === "rebuild"
      ? await catalog(env, names.namespace).order("refollow", names.name, number)
      : ok(undefined);
  if (!followed.ok) return problem(followed.refusal);
  const known = [...within(before.value, body.value.from ?? 0, end ?? 0), ...lost].sort((a, b) => a.from - b.from);
  return json({ partition: number, lost: known, to: end });
}

/** What of ranges that were lost before lies in `[from, to)`. */
const within = (ranges: readonly LostRange[], from: number, to: number) =>
  ranges
    .map((range) => ({ ...range, from: Math.max(range.from, from), to: Math.min(range.to, to), before: true }))
    .filter((range) => range.from < range.to);

/** Whoever goes on from where it was would do so for ever. */
const standsStill = (partition: number, offset: number): Refusal => ({
  code: "internal",
  detail: `partition ${partition} comes no further than offset ${offset}`,
});

/** What a repair before has made holes. */
export const lostRecords = (env: Env, names: Names) =>
  ofPartition(
    env,
    names,
    (one) => one.order("lost"),
    (lost, partition) => ({ partition, lost }),
  );

interface Found {
  readonly partition: number;
  chunks: number;
  records: number;
  bytes: number;
  objects: number;
  damaged: { chunk?: number; object?: string; from: number; to: number; reason: string }[];
  next?: number;
}

/** Reads a partition's chunks, then its objects, and adds up what was found; `next` says where to go on. */
export async function verifyPartition(request: Request, env: Env, names: Names): Promise<Response> {
  const terms = query(verifyQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const target = await targetOf(env, names);
  if (!target.ok) return problem(target.refusal);
  const { route, number } = target.value;
  const found: Found = { partition: number, chunks: 0, records: 0, bytes: 0, objects: 0, damaged: [] };
  for (let from: number | undefined = terms.value.from; from !== undefined; ) {
    const start: number = from;
    const step: Result<Report> = await askAny(env, route, number, (one) => one.order("verify", start, verifyBytes));
    if (!step.ok) return problem(step.refusal);
    found.chunks += step.value.chunks;
    found.records += step.value.records;
    found.bytes += step.value.bytes;
    found.damaged.push(...step.value.damaged);
    from = step.value.next;
    if (from !== undefined && from <= start) return problem(standsStill(number, from));
    if (from === undefined || found.bytes < verifyAnswerBytes) continue;
    found.next = from;
    break;
  }
  const objects = await verifyObjects(env, route, number, terms.value.from, found);
  if (!objects.ok) return problem(objects.refusal);
  const snapshots = found.next === undefined ? await verifySnapshots(env, route, number, found) : ok(undefined);
  if (!snapshots.ok) return problem(snapshots.refusal);
  return json({ ...found, intact: found.damaged.length === 0 });
}

async function verifyObjects(
  env: Env,
  route: Route,
  number: number,
  start: number,
  found: Found,
): Promise<Result<undefined>> {
  const blobs = archive(env);
  const dense = route.stream.config.offsets === "assigned";
  for (let from = start; ; ) {
    const objects = await askAny(env, route, number, (one) => one.order("objects", from));
    if (!objects.ok) return objects;
    let replaced = false;
    for (const expected of objects.value) {
      if (found.next !== undefined && expected.base >= found.next) return ok(undefined);
      if (found.bytes >= verifyAnswerBytes) {
        found.next = expected.base;
        return ok(undefined);
      }
      const faults = await verifyOne(blobs, expected, dense, found);
      if (!faults.ok) return faults;
      if (faults.value.length > 0 && (await isReplaced(env, route, number, expected))) {
        // It was rewritten meanwhile: what took its place is looked at instead.
        replaced = true;
        break;
      }
      found.damaged.push(...faults.value.map((fault) => ({ object: expected.key, ...fault })));
      from = expected.next;
    }
    if (objects.value.length === 0 && !replaced) return ok(undefined);
  }
}

/** At the end, as they are no part of the log: each as it was stored, where its sum is known. */
async function verifySnapshots(env: Env, route: Route, number: number, found: Found): Promise<Result<undefined>> {
  const blobs = archive(env);
  const list = await askAny(env, route, number, (one) => one.order("snapshots"));
  if (!list.ok || blobs === undefined) return list.ok ? ok(undefined) : list;
  for (const { offset, id, bytes, crc } of list.value) {
    const kept = await askAny(env, route, number, (one) => one.order("snapshotAt", offset, id));
    // It was replaced meanwhile, or has gone.
    if (!kept.ok) continue;
    const { key } = kept.value;
    try {
      const object = await blobs.open(key);
      const gone = object === undefined ? await surelyGone(blobs, key) : ok(undefined);
      if (!gone.ok) return gone;
      const sum = object === undefined ? undefined : await summedUp(object.body);
      found.objects++;
      found.bytes += sum?.bytes ?? 0;
      const sound = sum?.bytes === bytes && (crc === null || sum.crc === crc);
      const reason = sum === undefined ? "the snapshot's object is missing" : "the snapshot is not what was stored";
      if (!sound) found.damaged.push({ object: key, from: offset, to: offset, reason });
    } catch (error) {
      return faultTold("the snapshots could not be read", error);
    }
  }
  return ok(undefined);
}

async function isReplaced(env: Env, route: Route, number: number, { base, key }: Expected): Promise<boolean> {
  const now = await askAny(env, route, number, (one) => one.order("objects", base));
  return now.ok && now.value[0]?.key !== key;
}

async function verifyOne(
  blobs: Blobs | undefined,
  expected: Expected,
  dense: boolean,
  found: Found,
): Promise<Result<readonly ObjectFault[]>> {
  const checked = await checkedObject(blobs, expected.key, expected, dense);
  if (!checked.ok) return checked;
  const { bytes, faults, prev } = checked.value;
  found.objects++;
  found.bytes += bytes;
  // Of one that is another's, or changed, it is said once.
  if (faults.length > 0) return ok(faults);
  const { base: from, next: to, follows } = expected;
  if (follows === undefined || prev === undefined || follows.some((sha) => hex(sha) === hex(prev))) return ok([]);
  return ok([{ from, to, reason: "the object does not continue the one before it" }]);
}
