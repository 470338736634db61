/** `GET …/records`: one partition, one key, or the whole stream; a page, or everything up to the tail. */
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { type ReadQuery, readQuery } from "../../../schemas/record.ts";
import type { ReadCall } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { askAny, lookup, type Route } from "../lookup.ts";
import { query } from "../parse.ts";
import { problem } from "../problem.ts";
import { pageAnswer, streamAnswer } from "./answer.ts";
import { framesAnswer } from "./frames.ts";
import { Merge } from "./merge.ts";
import { Source } from "./source.ts";
import { type Format, type From, filterOf, formatOf, fromOf, partitionsOf, positionOf } from "./terms.ts";

/** Bytes fetched at a time by a read without an end. Two of them are in memory: one being sent, one being made. */
const streamedPageBytes = 1_048_576;
/** A page that is merged asks each partition for its share, and no less than this. */
const shareBytesMin = 65_536;
/** A merged wait asks every partition; those that got nothing are left waiting, which must not last. */
const mergedWaitMsMax = 2_000;

/** A read that has been understood. */
export interface Reading {
  readonly url: URL;
  readonly route: Route;
  readonly query: ReadQuery;
  readonly format: Format;
  readonly from: From;
  readonly sources: readonly Source[];
  readonly backward: boolean;
  /** The answer may be long: it is not held in memory. */
  readonly toTail: boolean;
}

export async function read(request: Request, env: Env, namespace: string, name: string): Promise<Response> {
  const reading = await understand(request, env, namespace, name);
  if (!reading.ok) return problem(reading.refusal);
  const { format, sources } = reading.value;
  if (format === "frames") return framesAnswer(reading.value, request);
  const merge = new Merge(sources, reading.value.backward);
  const fetched = await firstFetch(merge, reading.value.query.wait * 1_000);
  if (!fetched.ok) return problem(fetched.refusal);
  return reading.value.toTail ? streamAnswer(reading.value, merge) : pageAnswer(reading.value, merge, request);
}

async function understand(request: Request, env: Env, namespace: string, name: string): Promise<Result<Reading>> {
  const url = new URL(request.url);
  const parsed = query(readQuery, url, ["type", "source", "tag"]);
  if (!parsed.ok) return parsed;
  const terms = parsed.value;
  const format = formatOf(request.headers.get("accept"));
  if (!format.ok) return format;
  const from = fromOf(terms.from);
  if (!from.ok) return from;
  const filter = filterOf(terms);
  if (!filter.ok) return filter;
  const route = await routeFor(env, namespace, name, from.value);
  if (!route.ok) return route;
  const partitions = partitionsOf(terms, route.value);
  if (!partitions.ok) return partitions;
  const problem = contradiction(terms, format.value, from.value, partitions.value.length);
  if (problem !== undefined) return { ok: false, refusal: problem };
  const backward = terms.direction === "backward";
  const toTail = terms.maxBytes === "all";
  const share = Math.floor((terms.maxBytes === "all" ? streamedPageBytes : terms.maxBytes) / partitions.value.length);
  const sources = partitions.value.map((partition) => {
    const sourceTerms = {
      backward,
      limit: toTail ? Number.MAX_SAFE_INTEGER : terms.limit,
      bytesMax: Math.max(share, Math.min(shareBytesMin, limits.pageBytesMax)),
      toTail,
      filter: filter.value,
    };
    const call = (call: ReadCall) => askAny(env, route.value, partition, (stub) => stub.read(call));
    return new Source(partition, positionOf(from.value, partition, backward), sourceTerms, call);
  });
  return ok({
    url,
    route: route.value,
    query: terms,
    format: format.value,
    from: from.value,
    sources,
    backward,
    toTail,
  });
}

/** The stream, as new as the cursor: the cursor of a log that is not the stream's is refused. */
async function routeFor(env: Env, namespace: string, name: string, from: From): Promise<Result<Route>> {
  const route = await lookup(env, namespace, name);
  if (!route.ok || "position" in from) return route;
  const known = (route: Route) =>
    route.stream.logId === from.cursor.logId &&
    [...from.cursor.offsets.keys()].every((partition) => partition < route.stream.map.length);
  if (known(route.value)) return route;
  const fresh = await lookup(env, namespace, name, true);
  if (!fresh.ok || known(fresh.value)) return fresh;
  return refuse("wrong-log", "the cursor belongs to a stream that was deleted; read this one from earliest", {
    logId: fresh.value.stream.logId,
  });
}

function contradiction(terms: ReadQuery, format: Format, from: From, partitions: number): Refusal | undefined {
  const invalid = (path: string, detail: string): Refusal => ({
    code: "invalid",
    detail: `query: ${path}: ${detail}`,
    facts: { path },
  });
  if (partitions > 1 && "position" in from && from.position.at === "offset") {
    return invalid("from", "an offset belongs to one partition; name it, or go on from a cursor");
  }
  if (format === "frames" && partitions > 1) {
    return {
      code: "not-acceptable",
      detail: "frames come from one partition; name it, or accept application/x-ndjson",
    };
  }
  if (format === "frames" && terms.direction === "backward") {
    return { code: "not-acceptable", detail: "frames are read forward; accept application/json to read backward" };
  }
  if (terms.maxBytes === "all" && terms.direction === "backward") {
    return invalid("maxBytes", "'all' is read forward");
  }
  return undefined;
}

async function firstFetch(merge: Merge, waitMs: number): Promise<Result<undefined>> {
  const [first, ...others] = merge.sources;
  if (others.length === 0) return first.fetch(merge.backward ? 0 : waitMs);
  const until = Date.now() + waitMs;
  for (;;) {
    const fetched = await merge.fetch(0);
    const left = until - Date.now();
    const idle = merge.sources.every((source) => source.ended && source.entry === undefined);
    if (!fetched.ok || !idle || left <= 0 || merge.backward) return fetched;
    const { terms } = first;
    const call = { ...terms, waitMs: Math.min(left, mergedWaitMsMax) };
    await Promise.race(merge.sources.map((source) => source.read({ ...call, from: source.from })));
    for (const source of merge.sources) source.ended = false;
  }
}
