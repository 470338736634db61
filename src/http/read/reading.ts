/** Understanding a read: every parameter checked against the others and against the stream, before anything is fetched. */
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { type ReadQuery, readQuery } from "../../../schemas/record.ts";
import { type From, positionOf } from "../../log/position.ts";
import type { ReadCall } from "../../objects/answer.ts";
import { readThrough } from "../../objects/cold.ts";
import { archiveReader, type Env } from "../../objects/stubs.ts";
import { askAny, lookup, type Route } from "../lookup.ts";
import { query } from "../parse.ts";
import { Source } from "./source.ts";
import { type Format, filterOf, formatOf, fromOf, partitionsOf } from "./terms.ts";

/** Bytes fetched at a time by a read without an end. Two of them are in memory: one being sent, one being made. */
const streamedPageBytes = 1_048_576;
/** A page that is merged asks each partition for its share, and no less than this. */
const shareBytesMin = 65_536;
/** A read that has been understood. */
export interface Reading {
  readonly url: URL;
  /** `from` as it was written. */
  readonly start: string;
  readonly route: Route;
  readonly query: ReadQuery;
  readonly format: Format;
  readonly from: From;
  readonly sources: readonly Source[];
  readonly backward: boolean;
  /** The answer may be long: it is not held in memory. */
  readonly toTail: boolean;
}

export async function understand(
  request: Request,
  env: Env,
  namespace: string,
  name: string,
): Promise<Result<Reading>> {
  const url = new URL(request.url);
  const parsed = query(readQuery, url, ["type", "source", "tag"]);
  if (!parsed.ok) return parsed;
  const terms = parsed.value;
  const format = formatOf(request.headers.get("accept"));
  if (!format.ok) return format;
  // A browser that lost its connection says where it was.
  const last = format.value === "events" ? request.headers.get("last-event-id") : null;
  const from = fromOf(last ?? terms.from);
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
  const page = ["limit", "maxBytes", "wait"].find((name) => url.searchParams.has(name));
  if (format.value === "events" && page !== undefined) {
    return refuse("invalid", `query: ${page}: is for pages; events go on until they are closed`, { path: page });
  }
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
    const where = { logId: route.value.stream.logId, partition, blobs: archiveReader(env) };
    const call = (call: ReadCall) =>
      askAny(env, route.value, partition, (stub) => readThrough(where, call, (call) => stub.read(call)));
    return new Source(partition, positionOf(from.value, partition, backward), sourceTerms, call);
  });
  return ok({
    url,
    start: last ?? terms.from,
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
  if (format === "events" && terms.direction === "backward") {
    return { code: "not-acceptable", detail: "events go forward; accept application/json to read backward" };
  }
  if (terms.maxBytes === "all" && terms.direction === "backward") {
    return invalid("maxBytes", "'all' is read forward");
  }
  return undefined;
}
