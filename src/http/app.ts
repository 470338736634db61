/** The routes. A handler parses, calls, answers; what no route knows is answered here too. */
import { type Context, Hono } from "hono";
import type { Refusal, Result } from "../../schemas/errors.ts";
import { defaults, limits, version } from "../../schemas/limits.ts";
import type { Right } from "../../schemas/ticket.ts";
import type { Env } from "../objects/stubs.ts";
import { append } from "./append.ts";
import { authenticate, denial, type Principal } from "./auth.ts";
import { conditionProblem, unknownTo } from "./conditions.ts";
import { docsPage } from "./docs.ts";
import { dumpPartition, dumpPlace, dumpStream } from "./dump.ts";
import { eraseRecords, getErasure } from "./erasures.ts";
import * as attempts from "./groups/attempts.ts";
import * as groups from "./groups/groups.ts";
import * as lanes from "./groups/lanes.ts";
import * as letters from "./groups/letters.ts";
import { live as groupLive } from "./groups/live.ts";
import { receive } from "./groups/receive.ts";
import { ack, extend, nack, release } from "./groups/settle.ts";
import { testGroup } from "./groups/trial.ts";
import { live } from "./live/connect.ts";
import { createTicket } from "./live/tickets.ts";
import { nearest } from "./nearest.ts";
import { openApi } from "./openapi.ts";
import { operations } from "./operations.ts";
import { page, pageFiles } from "./page.ts";
import { emptyQueryProblem, queryProblem } from "./parse.ts";
import { fencePartition, listPartitions, partitionFacts, trimPartition } from "./partitions.ts";
import { lostRecords, repairPartition, verifyPartition } from "./past.ts";
import { json, problem, thrown } from "./problem.ts";
import { read } from "./read/read.ts";
import * as restores from "./restore.ts";
import { roomOf, withRoom } from "./room.ts";
import { headOf } from "./sending.ts";
import { needOfSnapshots, snapshotRoutes } from "./snapshots/routes.ts";
import * as streams from "./streams.ts";

type C = Context<{ Bindings: Env }>;
type Handler = (c: C, who: Principal) => Promise<Response> | Response;

const namespaceOf = (c: C) => c.req.param("ns") as string;
const streamOf = (c: C) => c.req.param("stream") as string;
const partitionOf = (c: C) => ({
  namespace: namespaceOf(c),
  name: streamOf(c),
  partition: c.req.param("partition") as string,
});
const groupOf = (c: C) => ({ namespace: namespaceOf(c), stream: streamOf(c), group: c.req.param("group") as string });
const later = (c: C) => (work: Promise<unknown>) => c.executionCtx.waitUntil(work);

const group = "/v1/:ns/streams/:stream/groups/:group";

/** Every route below `/v1`, with the handlers of its methods. */
export const routes: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  "/v1": { GET: (c) => streams.listNamespaces(c.req.raw, c.env) },
  "/v1/config": { GET: () => json({ version, limits, defaults }) },
  "/v1/:ns": {
    GET: (c) => streams.getNamespace(c.env, namespaceOf(c)),
    PUT: (c) => streams.putNamespace(c.req.raw, c.env, namespaceOf(c)),
    DELETE: (c) => streams.deleteNamespace(c.req.raw, c.env, namespaceOf(c)),
  },
  "/v1/:ns/streams": { GET: (c) => streams.listStreams(c.req.raw, c.env, namespaceOf(c)) },
  "/v1/:ns/streams/:stream": {
    GET: (c) => streams.getStream(c.env, namespaceOf(c), streamOf(c)),
    PUT: (c) => streams.putStream(c.req.raw, c.env, namespaceOf(c), streamOf(c)),
    PATCH: (c) => streams.patchStream(c.req.raw, c.env, namespaceOf(c), streamOf(c)),
    DELETE: (c) => streams.deleteStream(c.env, namespaceOf(c), streamOf(c)),
  },
  "/v1/:ns/streams/:stream/records": {
    GET: (c, who) =>
      read({
        env: c.env,
        until: who.until,
        namespace: namespaceOf(c),
        name: streamOf(c),
        request: c.req.raw,
        later: (work) => later(c)(work),
      }),
    POST: (c) => append(c.req.raw, c.env, namespaceOf(c), streamOf(c), later(c)),
  },
  "/v1/:ns/streams/:stream/live": { GET: (c, who) => live(c.req.raw, c.env, who, namespaceOf(c), streamOf(c)) },
  "/v1/:ns/streams/:stream/tickets": {
    POST: (c, who) => createTicket(c.req.raw, c.env, who, namespaceOf(c), streamOf(c)),
  },
  "/v1/:ns/streams/:stream/partitions": { GET: (c) => listPartitions(c.env, namespaceOf(c), streamOf(c)) },
  "/v1/:ns/streams/:stream/partitions/:partition": { GET: (c) => partitionFacts(c.env, partitionOf(c)) },
  "/v1/:ns/streams/:stream/partitions/:partition/trim": {
    POST: (c) => trimPartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/partitions/:partition/fence": {
    PUT: (c) => fencePartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/partitions/:partition/verify": {
    POST: (c) => verifyPartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/partitions/:partition/repair": {
    GET: (c) => lostRecords(c.env, partitionOf(c)),
    POST: (c) => repairPartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/erasures": {
    POST: (c) => eraseRecords(c.req.raw, c.env, namespaceOf(c), streamOf(c)),
  },
  "/v1/:ns/streams/:stream/erasures/:erasure": {
    GET: (c) => getErasure(c.env, namespaceOf(c), streamOf(c), c.req.param("erasure") as string),
  },
  "/v1/:ns/streams/:stream/partitions/:partition/dump": {
    GET: (c) => dumpPartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/partitions/:partition/restore": {
    GET: (c) => restores.restoreStand(c.env, partitionOf(c)),
    POST: (c) => restores.restorePartition(c.req.raw, c.env, partitionOf(c)),
  },
  "/v1/:ns/streams/:stream/dump": { GET: (c) => dumpStream(c.env, partitionOf(c)) },
  "/v1/:ns/streams/:stream/restore": { POST: (c) => restores.restoreStream(c.req.raw, c.env, partitionOf(c)) },
  "/v1/:ns/streams/:stream/restore/finish": { POST: (c) => restores.restoreFinish(c.req.raw, c.env, partitionOf(c)) },
  [`${group}/dump`]: { GET: (c) => dumpPlace(c.req.raw, c.env, { ...partitionOf(c), ...groupOf(c) }) },
  [`${group}/restore`]: {
    POST: (c) => restores.restoreGroup(c.req.raw, c.env, { ...partitionOf(c), ...groupOf(c) }),
  },
  "/v1/:ns/streams/:stream/groups": { GET: (c) => groups.listGroups(c.req.raw, c.env, namespaceOf(c), streamOf(c)) },
  [group]: {
    GET: (c) => groups.getGroup(c.env, groupOf(c)),
    PUT: (c) => groups.putGroup(c.req.raw, c.env, groupOf(c)),
    PATCH: (c) => groups.patchGroup(c.req.raw, c.env, groupOf(c)),
    DELETE: (c) => groups.deleteGroup(c.env, groupOf(c)),
  },
  [`${group}/status`]: { GET: (c) => groups.groupStatus(c.env, groupOf(c)) },
  [`${group}/receive`]: { POST: (c, who) => receive(c.req.raw, c.env, groupOf(c), later(c), who.until) },
  [`${group}/ack`]: { POST: (c) => ack(c.req.raw, c.env, groupOf(c)) },
  [`${group}/nack`]: { POST: (c) => nack(c.req.raw, c.env, groupOf(c)) },
  [`${group}/release`]: { POST: (c) => release(c.req.raw, c.env, groupOf(c)) },
  [`${group}/extend`]: { POST: (c) => extend(c.req.raw, c.env, groupOf(c)) },
  [`${group}/live`]: { GET: (c, who) => groupLive(c.req.raw, c.env, who, groupOf(c)) },
  [`${group}/pause`]: { POST: (c) => groups.pauseGroup(c.req.raw, c.env, groupOf(c), true) },
  [`${group}/resume`]: { POST: (c) => groups.pauseGroup(c.req.raw, c.env, groupOf(c), false) },
  [`${group}/test`]: { POST: (c) => testGroup(c.req.raw, c.env, groupOf(c)) },
  [`${group}/seek`]: { POST: (c) => groups.seekGroup(c.req.raw, c.env, groupOf(c)) },
  [`${group}/lanes`]: { GET: (c) => lanes.listLanes(c.req.raw, c.env, groupOf(c), later(c)) },
  [`${group}/lanes/resume`]: { POST: (c) => lanes.orderLane(c.req.raw, c.env, groupOf(c), "resume") },
  [`${group}/lanes/skip`]: { POST: (c) => lanes.orderLane(c.req.raw, c.env, groupOf(c), "skip") },
  [`${group}/dead-letters`]: { GET: (c) => letters.listLetters(c.req.raw, c.env, groupOf(c), later(c)) },
  [`${group}/dead-letters/redrive`]: { POST: (c) => letters.redrive(c.req.raw, c.env, groupOf(c)) },
  [`${group}/dead-letters/discard`]: { POST: (c) => letters.discard(c.req.raw, c.env, groupOf(c)) },
  [`${group}/attempts`]: { GET: (c) => attempts.listAttempts(c.req.raw, c.env, groupOf(c), later(c)) },
  ...ofSnapshots(),
};

function ofSnapshots(): Record<string, Record<string, Handler>> {
  const word = (c: C, name: string) => c.req.param(name) ?? "";
  const asked = (c: C) => ({
    request: c.req.raw,
    env: c.env,
    names: {
      namespace: namespaceOf(c),
      stream: streamOf(c),
      snapshot: word(c, "snapshot"),
      upload: word(c, "upload"),
      part: word(c, "part"),
    },
  });
  return Object.fromEntries(
    Object.entries(snapshotRoutes).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, route]) => [method, (c: C) => route(asked(c))])),
    ]),
  );
}

export const app = new Hono<{ Bindings: Env }>();

app.get("/healthz", () => json({ status: "ok", version }));
for (const path of Object.keys(pageFiles)) app.get(path, (c) => page(c.env, path));
app.get("/openapi.json", () => openApi());
app.get("/docs", () => docsPage());
// One entry a path, and none that another has a parameter for: else the router falls back to its slowest form.
const config = "/v1/config";
const answers = Object.fromEntries(Object.keys(routes).map((path) => [path, answering(path)]));
const { [config]: ofConfig, "/v1/:ns": ofNamespace, ...others } = answers;
app.all("/v1/:ns", (c) => (c.req.path === config ? ofConfig(c) : ofNamespace(c)));
for (const [path, answer] of Object.entries(others)) app.all(path, answer);

function answering(path: string): (c: C) => Promise<Response> | Response {
  const methods = routes[path];
  const allow = [...Object.keys(methods), ...("GET" in methods ? ["HEAD"] : [])].join(", ");
  const terms = Object.fromEntries(Object.keys(methods).map((method) => [method, termsOf(path, method)]));
  return (c) => {
    const method = c.req.method === "HEAD" ? "GET" : c.req.method;
    if (Object.hasOwn(methods, method)) {
      const answer = guarded(c, methods[method], terms[method]);
      return c.req.method === "HEAD" ? Promise.resolve(answer).then(headOf) : answer;
    }
    const detail = `${c.req.path} knows ${allow}, not ${c.req.method}${insteadOf(path, c.req)}`;
    return problem({ code: "method-not-allowed", detail, facts: { allow } }, { allow });
  };
}
/** Where a POST of a list, or of one of its members, goes: a thing is made by its name, records go below their stream. */
function insteadOf(path: string, { method, path: asked }: C["req"]): string {
  if (method !== "POST") return "";
  const made = Object.keys(routes).find(
    (one) => "PUT" in routes[one] && one.startsWith(`${path}/:`) && !one.includes("/", path.length + 2),
  );
  if (made !== undefined) return `; PUT ${asked}/{${made.slice(path.length + 2)}} creates one`;
  return "POST" in (routes[`${path}/records`] ?? {}) ? `; POST ${asked}/records appends` : "";
}

const known = [...Object.keys(routes), "/healthz", "/openapi.json", "/docs"];
app.notFound((c) => {
  const near = nearest(c.req.path, known);
  const meant = near === undefined ? "" : `; the one that comes nearest is ${near}`;
  return problem({
    code: "unknown-route",
    detail: `${c.req.method} ${c.req.path} is no route${meant}; see /docs for those there are`,
    ...(near === undefined ? {} : { facts: { nearest: near } }),
  });
});
app.onError((error) => problem(thrown(error).refusal));

/** Token first, then the names in the path, and the query's encoding: nobody without a token learns what exists. */
function guarded(c: C, handler: Handler, terms: Terms): Promise<Response> | Response {
  const who = authenticate(c.req.raw, c.env);
  return who instanceof Promise
    ? who.then((who) => admitted(c, handler, terms, who))
    : admitted(c, handler, terms, who);
}

function admitted(c: C, handler: Handler, { need, bare, within, room, ignored }: Terms, who: Result<Principal>) {
  if (!who.ok) return problem(who.refusal);
  const namespace = within ? c.req.param("ns") : undefined;
  const stream = c.req.param("stream");
  const denied = denial(who.value, need, namespace, stream);
  if (denied !== undefined) return problem(denied.refusal);
  const { url } = c.req.raw;
  const refusal: Refusal | undefined =
    (namespace === undefined ? undefined : streams.named(namespace, stream)) ??
    queryProblem(url) ??
    (bare ? emptyQueryProblem(url) : undefined) ??
    conditionProblem(c.req.raw, ignored);
  if (refusal !== undefined) return problem(refusal);
  return room === undefined ? handler(c, who.value) : withRoom(room(c.req.raw), () => handler(c, who.value));
}

interface Terms {
  /** Any of the rights that the route takes. */
  readonly need: readonly Right[];
  /** It has no parameters; of one that has, the handler reads them. */
  readonly bare: boolean;
  /** It is in a namespace. */
  readonly within: boolean;
  /** Conditions that it does not look at. */
  readonly ignored: ReturnType<typeof unknownTo>;
  /** What its answer takes of the room for those that are large. */
  readonly room: ((request: Request) => number) | undefined;
}

function termsOf(path: string, method: string): Terms {
  const operation = operations[path][method];
  const bare = operation.query === undefined;
  const ignored = unknownTo(method, operation);
  return { need: needOf(path, method), bare, within: path.includes("/:ns"), room: roomOf(operation), ignored };
}

/** Any of the rights that a route takes. */
function needOf(path: string, method: string): readonly Right[] {
  const snapshots = needOfSnapshots(path, method);
  if (snapshots !== undefined) return snapshots;
  if (path.endsWith("/streams/:stream/live")) return ["read", "append"];
  if (path.endsWith("/tickets")) return ["read", "append", "consume"];
  if (/\/(dump|restore)$/.test(path)) return ["admin"];
  if (path.endsWith("/records")) return [method === "GET" ? "read" : "append"];
  if (path.startsWith(group) && /\/(receive|ack|nack|release|extend|live)$/.test(path)) return ["consume"];
  return [method === "GET" ? "read" : "admin"];
}
