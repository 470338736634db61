/** A stream's past: checking and repairing what is stored. */
import { type LostRange, type RepairCall, repairBody } from "../../schemas/erasure.ts";
import { ok, type Refusal, type Result } from "../../schemas/errors.ts";
import { verifyQuery } from "../../schemas/record.ts";
import type { ObjectFault } from "../archive/verify.ts";
import { hex } from "../lib/bytes.ts";
import type { Damage, Report } from "../log/verify.ts";
import { checkedObject } from "../objects/checked-object.ts";
import { surelyGone } from "../objects/out-of-reach.ts";
import type { Expected } from "../objects/past.ts";
import { archive, catalog, type Env } from "../objects/stubs.ts";
import type { Blobs } from "../platform/blobs.ts";
import { faultTold } from "../platform/fault-told.ts";
import { summedUp } from "../platform/summed.ts";
import { askAny, type Route } from "./lookup.ts";
import { query, readJson } from "./parse.ts";
import { type Names, ofPartition, targetOf } from "./partitions.ts";
import { json, problem } from "./problem.ts";
import { partly } from "./several.ts";

/** Bytes that one call to a partition verifies: the calls in between let others in. */
const verifyBytes = 33_554_432;
/** Bytes after which a verification answers, and says where to go on: a request has so much time. */
const verifyAnswerBytes = 536_870_912;

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
    // What steps before it made holes are holes.
    if (!step.ok) return problem(end === undefined ? step.refusal : partly(step.refusal));
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
  if (!followed.ok) return problem(partly(followed.refusal));
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
  damaged: Damage[];
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
