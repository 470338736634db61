/** What a read asks for: where from, which partitions, which records, in which format. */
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import type { ReadQuery } from "../../../schemas/record.ts";
import { lineage } from "../../catalog/map.ts";
import { media } from "../../intake/intake.ts";
import { encodeText } from "../../lib/bytes.ts";
import { murmur3 } from "../../lib/hash.ts";
import type { Filter } from "../../log/filter.ts";
import { type From, noPlace, readFrom } from "../../log/position.ts";
import { eventStream } from "../live/events.ts";
import type { Route } from "../lookup.ts";

export type Format = "json" | "ndjson" | "frames" | "events";

const formats: ReadonlyMap<string, Format> = new Map([
  [media.json, "json"],
  [media.ndjson, "ndjson"],
  ["application/ndjson", "ndjson"],
  ["application/jsonl", "ndjson"],
  [media.frames, "frames"],
  [eventStream, "events"],
]);
/** What a wildcard may mean, the first one that it may; an answer without an end is none of them. */
const usual = [media.json, media.ndjson, media.frames];
const wildcards = ["application/*", "*/*"];

interface Weighted {
  readonly type: string;
  readonly weight: number;
}

/** The best format that an Accept header names, by its weights. */
export function formatOf(accept: string | null): Result<Format> {
  if (accept === null || accept.trim() === "") return ok("json");
  const ranges = accept
    .split(",")
    .map((part) => {
      const [type, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
      const weight = parameters.find((parameter) => parameter.startsWith("q="));
      return { type, weight: weight === undefined ? 1 : Number(weight.slice(2)) };
    })
    .sort((a, b) => b.weight - a.weight);
  for (const range of ranges) {
    const format = range.weight > 0 ? givenFor(range, ranges) : undefined;
    if (format !== undefined) return ok(format);
  }
  const known = [media.json, media.ndjson, media.frames, eventStream].join(", ");
  return refuse("not-acceptable", `none of '${accept}' can be given; accept one of ${known}`);
}

/** The format for a range of types; for a wildcard one that is not named with a lesser weight, or with none. */
function givenFor({ type, weight }: Weighted, ranges: readonly Weighted[]): Format | undefined {
  if (!wildcards.includes(type)) return formats.get(type);
  const weightOf = (name: string) =>
    [name, ...wildcards].map((one) => ranges.find((range) => range.type === one)).find((range) => range)?.weight ?? 0;
  const name = usual.find((one) => weightOf(one) >= weight);
  return name === undefined ? undefined : formats.get(name);
}

/** Where it is said where a read begins: a browser that lost its connection says it in a header. */
export type StartField = "from" | "last-event-id";

/** Why a read does not begin where it is asked to. */
export const startProblem = (field: StartField, why: string): Refusal => ({
  code: "invalid",
  detail: `${field === "from" ? "query: from" : "headers: Last-Event-ID"}: ${why}`,
  facts: { path: field },
});

export function fromOf(text: string, field: StartField): Result<From> {
  const from = readFrom(text, Date.now());
  return from === undefined ? { ok: false, refusal: startProblem(field, noPlace(text)) } : ok(from);
}

export function filterOf(query: ReadQuery): Result<Filter | undefined> {
  const { key, type: types, source: sources, tag: tags, match } = query;
  const several = Math.max(types?.length ?? 0, sources?.length ?? 0, tags?.length ?? 0) > 1;
  if (several && match === undefined) {
    return refuse("invalid", "query: match: with several types, sources or tags say match=any or match=all", {
      path: "match",
    });
  }
  if (match === "all" && Math.max(types?.length ?? 0, sources?.length ?? 0) > 1) {
    return refuse("invalid", "query: match: a record has one type and one source; match=all is for tags", {
      path: "match",
    });
  }
  if (key === undefined && types === undefined && sources === undefined && tags === undefined) {
    if (match === undefined) return ok(undefined);
    return refuse("invalid", "query: match: names nothing by itself; say what is to match: key, type, source or tag", {
      path: "match",
    });
  }
  return ok({
    ...(key === undefined ? {} : { key }),
    ...(types === undefined ? {} : { types }),
    ...(sources === undefined ? {} : { sources }),
    ...(tags === undefined ? {} : { tags, tagsMatch: match ?? "any" }),
  });
}

/** The partitions that hold what is asked for: one, a key's partition and those it was split from, or all of them. */
export function partitionsOf(query: ReadQuery, route: Route): Result<number[]> {
  const { map } = route.stream;
  const { partition, key } = query;
  if (partition !== undefined) {
    if (partition < map.length) return ok([partition]);
    return refuse(
      "partition-not-found",
      `the stream has no partition ${partition}; its partitions are 0 to ${map.length - 1}`,
    );
  }
  if (key !== undefined) return ok(lineage(map, murmur3(encodeText(key))).map((range) => range.partition));
  return ok(map.map((range) => range.partition));
}

/** A read as it is asked for, each part of it by itself right. */
export interface Terms {
  readonly url: URL;
  readonly query: ReadQuery;
  readonly format: Format;
  /** `from` as it was written, or as it is without. */
  readonly start: string;
  readonly startField: StartField;
  readonly from: From;
  readonly to: From | undefined;
  readonly filter: Filter | undefined;
}

/** Which of the parts do not go together. */
export function contradiction(
  { url, query, format, from, to, startField }: Terms,
  partitions: number,
): Refusal | undefined {
  const invalid = (path: string, detail: string): Refusal => ({
    code: "invalid",
    detail: `query: ${path}: ${detail}`,
    facts: { path },
  });
  const backward = query.direction === "backward";
  if (partitions > 1 && "position" in from && from.position.at === "offset") {
    return startProblem(startField, "an offset belongs to one partition; name it, or go on from a cursor");
  }
  if (to !== undefined && backward)
    return invalid("to", "a read that goes backward ends at the head; bound it with limit");
  if (to !== undefined && query.wait > 0) return invalid("wait", "a read with an end waits for nothing; leave one out");
  if (to !== undefined && partitions > 1 && "position" in to && to.position.at === "offset") {
    return invalid("to", "an offset belongs to one partition; name it, or end at a time or a cursor");
  }
  if (format === "frames" && partitions > 1) return { code: "not-acceptable", detail: severalPartitions };
  if (format === "frames" && backward) {
    return { code: "not-acceptable", detail: "frames are read forward; accept application/json to read backward" };
  }
  if (format === "events" && backward) {
    return { code: "not-acceptable", detail: "events go forward; accept application/json to read backward" };
  }
  if (query.maxBytes === "all" && backward) return invalid("maxBytes", "'all' is read forward");
  const page = ["to", "limit", "maxBytes", "wait"].find((name) => url.searchParams.has(name));
  if (format === "events" && page !== undefined) {
    return invalid(page, "is for pages; events go on until they are closed");
  }
  return undefined;
}

/** Why frames cannot be had. */
export const severalPartitions = "frames come from one partition; name it, or accept application/x-ndjson";
