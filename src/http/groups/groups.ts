/** `…/groups[/{group}]`: definitions, status, and what an operator may do. */
import { masked } from "../../../schemas/credentials.ts";
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { type GroupConfig, groupConfig, groupPatch, pauseBody, seekBody } from "../../../schemas/group.ts";
import { streamName } from "../../../schemas/names.ts";
import { listQuery } from "../../../schemas/stream.ts";
import type { Group, Match, Pause } from "../../catalog/group.ts";
import { descendants } from "../../catalog/map.ts";
import type { Change, How } from "../../catalog/writing.ts";
import { targetProblem } from "../../delivery/push.ts";
import type { Status } from "../../delivery/status.ts";
import { check } from "../../lib/check.ts";
import { type From, noPlace, positionOf, readFrom } from "../../log/position.ts";
import { catalog, type Env } from "../../objects/stubs.ts";
import { askAny, lookup, stub } from "../lookup.ts";
import { query, readJson, readPatch } from "../parse.ts";
import { answer, json, problem } from "../problem.ts";
import { partly } from "../several.ts";
import { howOf } from "../streams.ts";
import { askAll, atOnce, type GroupRoute, groupRoute, noPartition, rememberGroup } from "./route.ts";

/** A group in a path. */
export interface Names {
  readonly namespace: string;
  readonly stream: string;
  readonly group: string;
}

const time = (ms: number) => new Date(ms).toISOString();

const pausedBecause = (pause: Pause | undefined) =>
  pause === undefined ? {} : { pausedBecause: { reason: pause.reason, at: time(pause.at) } };

const view = (names: Omit<Names, "group">, { name, id, config, paused, because, created, updated }: Group) => ({
  namespace: names.namespace,
  stream: names.stream,
  group: name,
  groupId: id,
  config: shown(config),
  paused,
  ...pausedBecause(because),
  createdAt: time(created),
  updatedAt: time(updated),
});

/** Tells whether a group is as it was read. It changes with what a partition is told anew, too. */
const tagOf = ({ id, version }: Pick<Group, "id" | "version">) => `"${id}.${version}"`;

const shownGroup = (names: Names, group: Group, status = 200) =>
  json(view(names, group), status, { etag: tagOf(group) });

/** The group that a change is about, by the tag that was read; undefined where it is about any. */
function matchOf({ headers }: Request): Result<Match | undefined> {
  const condition = headers.get("if-match")?.trim();
  if (condition === undefined) return ok(undefined);
  const [, id, version] = /^"([0-9a-f]+)\.(\d+)"$/.exec(condition) ?? [];
  if (id !== undefined) return ok({ id, version: Number(version) });
  return refuse("invalid", "headers: If-Match: send one ETag, as the group was answered with it", { path: "if-match" });
}

/** Credentials are for the receiver's eyes. */
const shown = (config: GroupConfig): GroupConfig =>
  config.push === null ? config : { ...config, push: masked(config.push) };

export async function listGroups(request: Request, env: Env, namespace: string, stream: string): Promise<Response> {
  const terms = query(listQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const listed = await catalog(env, namespace).groups(stream, terms.value);
  return answer(listed, ({ items, after }) => ({
    groups: items.map((group) => view({ namespace, stream }, group)),
    ...(after === undefined ? {} : { after }),
  }));
}

export async function getGroup(env: Env, names: Names): Promise<Response> {
  const group = await catalog(env, names.namespace).group(names.stream, names.group);
  return group.ok ? shownGroup(names, group.value) : problem(group.refusal);
}

export async function putGroup(request: Request, env: Env, names: Names): Promise<Response> {
  const name = check(streamName, names.group, "group");
  if (!name.ok) return problem(name.refusal);
  const how = howOf(request);
  if (!how.ok) return problem(how.refusal);
  const match = matchOf(request);
  if (!match.ok) return problem(match.refusal);
  const change = await readJson(request, groupConfig);
  if (!change.ok) return problem(change.refusal);
  const problems = problemOf(change.value, names, env);
  if (problems !== undefined) return problem(problems.refusal);
  const beyond = await beyondTail(env, names, change.value.start);
  if (beyond !== undefined) return problem(beyond);
  return writeGroup(env, names, change.value as Partial<GroupConfig>, how.value, match.value);
}

export async function patchGroup(request: Request, env: Env, names: Names): Promise<Response> {
  const match = matchOf(request);
  if (!match.ok) return problem(match.refusal);
  const change = await readPatch(request, groupPatch);
  if (!change.ok) return problem(change.refusal);
  const problems = problemOf(change.value as Named, names, env);
  if (problems !== undefined) return problem(problems.refusal);
  return writeGroup(env, names, change.value, "patch", match.value);
}

async function writeGroup(
  env: Env,
  names: Names,
  change: Change<GroupConfig>,
  how: How,
  match: Match | undefined,
): Promise<Response> {
  const { stream, group: name } = names;
  const asked = catalog(env, names.namespace);
  const put = await (how === "put" && match === undefined
    ? asked.putGroup(stream, name, change as Partial<GroupConfig>)
    : asked.writeGroup(stream, name, change, how, match));
  if (!put.ok) return problem(put.refusal);
  const route = await lookup(env, names.namespace, names.stream);
  if (route.ok)
    rememberGroup(names.namespace, names.stream, names.group, route.value.stream.logId, ok(put.value.group));
  return shownGroup(names, put.value.group, put.value.created ? 201 : 200);
}

/** Of a group that is yet to be: why it cannot begin where it is to, because the log has not come that far. */
async function beyondTail(env: Env, names: Names, start: string | number | undefined): Promise<Refusal | undefined> {
  const from = readFrom(String(start));
  if (start === undefined || from === undefined) return undefined;
  if ("position" in from && from.position.at !== "offset") return undefined;
  const known = await catalog(env, names.namespace).group(names.stream, names.group);
  const route = await lookup(env, names.namespace, names.stream, true);
  if (known.ok || !route.ok) return undefined;
  const { map } = route.value.stream;
  // That it is another stream's place, or one of several partitions, the catalog says.
  if ("position" in from ? map.length > 1 : from.cursor.logId !== route.value.stream.logId) return undefined;
  for (const { partition } of map) {
    const offset = await askAny(env, route.value, partition, (one) =>
      one.order("locate", positionOf(from, partition, false)),
    );
    if (!offset.ok) return offset.refusal;
  }
  return undefined;
}

/** What of a change can be wrong in ways that its schema does not know. Of a patch, null is a default, which is right. */
interface Named {
  readonly start?: string | number | null | undefined;
  readonly push?: { readonly url?: string | null | undefined } | null | undefined;
  readonly deadLetterStream?: string | null | undefined;
}

function problemOf({ start, push, deadLetterStream }: Named, { stream }: Names, env: Env) {
  if (deadLetterStream === stream) {
    const detail = `body: deadLetterStream: '${stream}' is the group's own stream, whose dead letters would die again; name another`;
    return refuse("invalid", detail, { path: "deadLetterStream" });
  }
  if (start != null && readFrom(String(start), Date.now()) === undefined) {
    return refuse("invalid", `body: start: ${noPlace(String(start))}`, { path: "start" });
  }
  if (push?.url) {
    const why = targetProblem(push.url, Boolean(env.MILLRACE_PUSH_PRIVATE));
    if (why !== undefined) return refuse("bad-target", `body: push.url: ${why}`, { path: "push.url" });
  }
  return undefined;
}

export async function deleteGroup(env: Env, names: Names): Promise<Response> {
  const done = await catalog(env, names.namespace).dropGroup(names.stream, names.group);
  rememberGroup(names.namespace, names.stream, names.group, "", refuse("group-not-found", ""));
  return done.ok ? new Response(null, { status: 204 }) : problem(done.refusal);
}

export async function groupStatus(env: Env, names: Names): Promise<Response> {
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const statuses = await askAll(env, target.value, (delivery) => delivery.admin("status"));
  if (!statuses.ok) return problem(statuses.refusal);
  const all = statuses.value.map(({ value }) => value);
  const now = Date.now();
  const sum = (of: (status: Status) => number) => all.reduce((total, status) => total + of(status), 0);
  // A partition that has just paused itself may be about to tell the others.
  const because = target.value.group.because ?? all.find(({ paused }) => paused !== undefined)?.paused;
  const oldest = Math.min(...all.map(({ oldestUnacked }) => oldestUnacked ?? Number.POSITIVE_INFINITY));
  return json({
    group: names.group,
    paused: target.value.group.paused || because !== undefined,
    ...pausedBecause(because),
    lag: sum(({ lag }) => lag),
    lagSeconds: Number.isFinite(oldest) ? Math.max(0, (now - oldest) / 1_000) : 0,
    inFlight: sum(({ inFlight }) => inFlight),
    redeliveries: sum(({ redeliveries }) => redeliveries),
    deadLetters: sum(({ deadLetters }) => deadLetters),
    lanes: {
      retrying: sum(({ lanes }) => lanes.retrying),
      parked: sum(({ lanes }) => lanes.parked),
      others: sum(({ lanes }) => lanes.others),
      full: all.some(({ lanes }) => lanes.full),
    },
    members: membersOf(all),
    partitions: all.map(({ oldestUnacked, paused, waitsFor, ...status }) => ({
      ...status,
      ...(waitsFor === undefined ? {} : { waitsFor }),
      lagSeconds: oldestUnacked === undefined ? 0 : Math.max(0, (now - oldestUnacked) / 1_000),
      ...(paused === undefined ? {} : { paused: { reason: paused.reason, at: time(paused.at) } }),
    })),
  });
}

function membersOf(all: readonly Status[]): { member: string; inFlight: number }[] {
  const members = new Map<string, number>();
  for (const status of all) {
    for (const { member, inFlight } of status.members) members.set(member, (members.get(member) ?? 0) + inFlight);
  }
  return [...members].map(([member, inFlight]) => ({ member, inFlight }));
}

/** Stops every delivery, or lets them go on. */
export async function pauseGroup(request: Request, env: Env, names: Names, paused: boolean): Promise<Response> {
  const body = await readJson(request, pauseBody);
  if (!body.ok) return problem(body.refusal);
  const reason = body.value.reason ?? "paused by an operator";
  const because = paused ? { reason, at: Date.now() } : undefined;
  const set = await catalog(env, names.namespace).setPaused(names.stream, names.group, because);
  if (!set.ok) return problem(set.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(partly(target.refusal));
  const { version } = set.value;
  // The catalog tells them too, later where they cannot be reached: what it says last holds.
  const done = await askAll(env, target.value, (one) =>
    because === undefined ? one.admin("resume", { version }) : one.admin("pause", reason, because.at, version),
  );
  return done.ok ? json(view(names, set.value)) : problem(partly(done.refusal));
}

/** Moves the group's place, on one partition or on all. */
export async function seekGroup(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, seekBody);
  if (!body.ok) return problem(body.refusal);
  const { to, partition } = body.value;
  const from = readFrom(String(to), Date.now());
  if (from === undefined) {
    return problem({ code: "invalid", detail: `body: to: ${noPlace(String(to))}`, facts: { path: "to" } });
  }
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { partitions } = target.value;
  if ("position" in from && from.position.at === "offset" && partition === undefined && partitions.length > 1) {
    const detail = "body: to: an offset belongs to one partition; name it with partition";
    return problem({ code: "invalid", detail, facts: { path: "to" } });
  }
  if ("cursor" in from && from.cursor.logId !== target.value.route.stream.logId) {
    return problem({ code: "wrong-log", detail: "the cursor belongs to a stream that was deleted" });
  }
  if (partition !== undefined && !partitions.includes(partition)) return problem(noPartition(partition).refusal);
  // What refuses one partition moves none.
  const located = await locateAll(env, target.value, from, partition === undefined ? partitions : [partition]);
  if (!located.ok) return problem(located.refusal);
  const places: { partition: number; offset: number }[] = [];
  // Partitions before those that continue them: these wait for them anew, whether they are moved themselves or not.
  for (const number of located.value) {
    // The place itself, not its offset: what is trimmed meanwhile moves the earliest.
    const heirs = descendants(target.value.route.stream.map, number);
    const moved = await askAll(env, target.value, (one) => one.seek(positionOf(from, number, false), heirs), number);
    if (!moved.ok) return problem(places.length === 0 ? moved.refusal : partly(moved.refusal));
    places.push(...moved.value.map(({ partition, value }) => ({ partition, offset: value })));
  }
  return json({ partitions: places });
}

/** The partitions that there are, where each has such a place. */
async function locateAll(
  env: Env,
  { route }: GroupRoute,
  from: From,
  partitions: readonly number[],
): Promise<Result<number[]>> {
  const places: number[] = [];
  for (let at = 0; at < partitions.length; at += atOnce) {
    const some = partitions.slice(at, at + atOnce);
    const ask = (one: number) => stub(env, route, one).order("locate", positionOf(from, one, false));
    for (const [index, place] of (await Promise.all(some.map(ask))).entries()) {
      if (place.ok) places.push(some[index]);
      else if ("refusal" in place) return place;
    }
  }
  return ok(places);
}
