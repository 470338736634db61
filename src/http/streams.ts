import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { namespaceName, streamName } from "../../schemas/names.ts";
import {
  deleteNamespaceQuery,
  listQuery,
  type StreamConfig,
  type StreamPut,
  type StreamView,
  streamConfig,
  streamPatch,
  streamPutQuery,
} from "../../schemas/stream.ts";
import type { Stream } from "../catalog/stream.ts";
import { type Change, exists, type How } from "../catalog/writing.ts";
import { check } from "../lib/check.ts";
import { archive, bindArchive, catalog, type Env, namespaceRegistry } from "../objects/stubs.ts";
import { remember } from "./lookup.ts";
import { query, readJson, readPatch } from "./parse.ts";
import { answer, json, problem } from "./problem.ts";

const archiveOff = refuse("archive-off", `the deployment has no archive; ${bindArchive}, or leave 'archive' out`);

const time = (ms: number) => new Date(ms).toISOString();

export const streamView = (namespace: string, stream: Stream): StreamView => ({
  namespace,
  stream: stream.name,
  logId: stream.logId,
  config: stream.config,
  mapVersion: stream.version,
  createdAt: time(stream.created),
  updatedAt: time(stream.updated),
});

/** `drops`: undefined where that is not known. */
const putView = (namespace: string, stream: Stream, drops: number | undefined): StreamPut => ({
  ...streamView(namespace, stream),
  ...(drops === 0 ? {} : { drops: drops ?? null }),
});

/** What was always there has no time of its creation. */
const namespaceView = (namespace: string, since: number) => ({
  namespace,
  ...(since === 0 ? {} : { createdAt: time(since) }),
});

/** The names in a path, checked before anything is asked of an object of that name. */
export function named(namespace: string, stream?: string): Refusal | undefined {
  const problems = [check(namespaceName, namespace, "namespace")];
  if (stream !== undefined) problems.push(check(streamName, stream, "stream"));
  for (const result of problems) if (!result.ok) return result.refusal;
  return undefined;
}

export async function listNamespaces(request: Request, env: Env): Promise<Response> {
  const terms = query(listQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { items, after } = await namespaceRegistry(env).namespaces(terms.value);
  return json({
    namespaces: items.map(({ name, created }) => namespaceView(name, created)),
    ...(after === undefined ? {} : { after }),
  });
}

export async function putNamespace(request: Request, env: Env, namespace: string): Promise<Response> {
  const how = howOf(request);
  if (!how.ok) return problem(how.refusal);
  const { created, since } = await catalog(env, namespace).create();
  // Listed last, and again by a retry.
  if (namespace !== "default") await namespaceRegistry(env).relist(namespace);
  if (!created && how.value === "create") return problem(exists(`the namespace '${namespace}'`).refusal);
  return json(namespaceView(namespace, since), created ? 201 : 200);
}

export async function getNamespace(env: Env, namespace: string): Promise<Response> {
  return answer(await catalog(env, namespace).describe(), (since) => namespaceView(namespace, since));
}

export async function deleteNamespace(request: Request, env: Env, namespace: string): Promise<Response> {
  const terms = query(deleteNamespaceQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const done = await catalog(env, namespace).destroyNamespace(terms.value.force);
  // A retry finds it gone, and perhaps still listed.
  if (done.ok || done.refusal.code === "namespace-not-found") await namespaceRegistry(env).relist(namespace);
  return done.ok ? new Response(null, { status: 204 }) : problem(done.refusal);
}

export async function listStreams(request: Request, env: Env, namespace: string): Promise<Response> {
  const terms = query(listQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const listed = await catalog(env, namespace).streams(terms.value);
  return answer(listed, ({ items, after }) => ({
    streams: items.map((stream) => streamView(namespace, stream)),
    ...(after === undefined ? {} : { after }),
  }));
}

export async function putStream(request: Request, env: Env, namespace: string, name: string): Promise<Response> {
  const how = howOf(request);
  if (!how.ok) return problem(how.refusal);
  const change = await readJson(request, streamConfig);
  return change.ok ? writeStream(request, env, { namespace, name }, change.value, how.value) : problem(change.refusal);
}

export async function patchStream(request: Request, env: Env, namespace: string, name: string): Promise<Response> {
  const change = await readPatch(request, streamPatch);
  return change.ok ? writeStream(request, env, { namespace, name }, change.value, "patch") : problem(change.refusal);
}

async function writeStream(
  request: Request,
  env: Env,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  change: Change<StreamConfig>,
  how: How,
): Promise<Response> {
  const terms = query(streamPutQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  if (change.archive === true && archive(env) === undefined) return problem(archiveOff.refusal);
  if (terms.value.dryRun === "true") {
    const planned = await catalog(env, namespace).order("plan", name, change, how);
    return answer(planned, ({ stream, drops }) => putView(namespace, stream, drops));
  }
  const asked = catalog(env, namespace);
  const put = await (how === "put" ? asked.put(name, change as Partial<StreamConfig>) : asked.write(name, change, how));
  if (!put.ok) return problem(put.refusal);
  const { stream, created, drops } = put.value;
  remember(namespace, name, { ok: true, value: stream });
  return json(putView(namespace, stream, drops), created ? 201 : 200);
}

/** How a definition is to be put: `If-None-Match: *` asks that there is none yet. */
export function howOf({ headers }: Request): Result<How> {
  const condition = headers.get("if-none-match");
  if (condition === null) return ok("put");
  if (condition.trim() === "*") return ok("create");
  const detail =
    "headers: If-None-Match: send * to create it only where there is none; to change what you have read send If-Match, of a group";
  return refuse("invalid", detail, { path: "if-none-match" });
}

export async function getStream(env: Env, namespace: string, name: string): Promise<Response> {
  const stream = await catalog(env, namespace).stream(name);
  remember(namespace, name, stream);
  return answer(stream, (value) => streamView(namespace, value));
}

export async function deleteStream(env: Env, namespace: string, name: string): Promise<Response> {
  const done = await catalog(env, namespace).drop(name);
  remember(namespace, name, refuse("stream-not-found", ""));
  return done.ok ? new Response(null, { status: 204 }) : problem(done.refusal);
}
