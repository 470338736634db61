/** Requests that /openapi.json allows, and the same with one odd place. */
import type { Json } from "../frame/http.ts";
import type { Ground } from "./ground.ts";
import { nameOf, type Operation, type Parameter } from "./reference.ts";
import { forbids, forbidsInQuery, least, membersOf } from "./schema.ts";
import { plain, type Value } from "./values.ts";
import { inHeader, type Sent } from "./wire.ts";

export interface Request {
  readonly method: string;
  readonly path: Readonly<Record<string, string>>;
  readonly query: readonly (readonly [string, string])[];
  readonly headers: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** Bodies that get further than the least that the schema allows. */
const bodies: Readonly<Record<string, (ground: Ground) => Json>> = {
  "POST …/records": () => ({ records: [{ key: "k1", data: "stray" }] }),
  "POST …/trim": () => ({ beforeOffset: 1 }),
  "PUT …/fence": () => ({ token: "fence" }),
  "POST …/repair": () => ({ mode: "isolate" }),
  "POST …/erasures": () => ({ key: "k1" }),
  "POST …/receive": () => ({ max: 1 }),
  "POST …/ack": ({ receipt }) => ({ receipts: [receipt] }),
  "POST …/nack": ({ receipt }) => ({ receipts: [receipt] }),
  "POST …/release": ({ receipt }) => ({ receipts: [receipt] }),
  "POST …/extend": ({ receipt }) => ({ receipts: [receipt], ackTimeoutMs: 43_200_000 }),
  "POST …/seek": () => ({ to: "latest" }),
  "POST …/redrive": () => ({ all: true }),
  "POST …/discard": () => ({ all: true }),
  "POST …/snapshots/{snapshot}": () => ({ partition: 0, holder: "hostile", seconds: 1, offset: 1 }),
};

const lastOf = (path: string) => path.slice(path.lastIndexOf("/"));

function bodyOf(operation: Operation, ground: Ground): Json {
  const { method, path, body } = operation;
  const made = bodies[`${method} …${lastOf(path)}`] ?? bodies[`${method} …/snapshots${lastOf(path)}`];
  if (made !== undefined) return made(ground);
  return body === undefined ? undefined : least(body);
}

/** Where the last name of a path is a word. */
const words: readonly (readonly [path: string, names: Readonly<Record<string, string>>])[] = [
  ["POST /v1/{ns}/streams/{stream}/snapshots/{snapshot}", { snapshot: "lease" }],
  ["POST /v1/{ns}/streams/{stream}/snapshots/{snapshot}/uploads/{upload}/{part}", { part: "complete" }],
];

export function right(operation: Operation, ground: Ground): Request {
  const named = words.find(([name]) => name === nameOf(operation))?.[1];
  const body = bodyOf(operation, ground);
  const needsPartition = operation.path.includes("/snapshots") && operation.method !== "POST";
  return {
    method: operation.method,
    path: { ...ground.names, ...named },
    query: needsPartition || operation.path.includes("/uploads") ? [["partition", "0"]] : [],
    headers: body === undefined ? [] : [["content-type", "application/json"]],
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
}

/** A place where something odd may stand. */
export type Place =
  | { readonly in: "path" | "query" | "header"; readonly name: string; readonly parameter?: Parameter }
  | { readonly in: "twice"; readonly name: string }
  | { readonly in: "body"; readonly path: readonly string[] }
  /** The whole body, or a member less. */
  | { readonly in: "whole" }
  | { readonly in: "missing"; readonly path: readonly string[] };

export function placesOf(operation: Operation): Place[] {
  const own = operation.parameters.map((parameter): Place => ({ in: parameter.in, name: parameter.name, parameter }));
  const twice = own
    .filter(({ in: where }) => where === "query")
    .map((one): Place => ({ ...one, in: "twice" }) as Place);
  const found: Place[] = [...own, ...twice, { in: "query", name: "unheard-of" }];
  const { body } = operation;
  if (body === undefined) return found;
  const members = membersOf(body);
  found.push({ in: "whole" }, ...members.map((path): Place => ({ in: "body", path })));
  found.push({ in: "body", path: ["unheardOf"] }, { in: "body", path: ["__proto__"] });
  found.push(...members.map((path): Place => ({ in: "missing", path })));
  return found;
}

export const placeName = (place: Place): string =>
  "path" in place ? `${place.in} ${place.path.join(".")}` : "name" in place ? `${place.in} ${place.name}` : place.in;

export interface Odd {
  readonly request: Request;
  /** /openapi.json says that it is not allowed. */
  readonly forbidden: boolean;
}

/** Undefined where the value cannot stand there. */
export function odd(operation: Operation, place: Place, value: Value, ground: Ground): Odd | undefined {
  const request = right(operation, ground);
  const text = plain(value);
  switch (place.in) {
    case "path":
      return { request: { ...request, path: { ...request.path, [place.name]: text } }, forbidden: false };
    case "query": {
      const query = [...request.query.filter(([name]) => name !== place.name), [place.name, text] as const];
      const known = place.parameter;
      return { request: { ...request, query }, forbidden: known !== undefined && forbidsInQuery(known.schema, text) };
    }
    case "twice":
      return {
        request: { ...request, query: [...request.query, [place.name, "0"], [place.name, text]] },
        forbidden: false,
      };
    case "header":
      // A length that is none makes another kind of request, of which `breakers` has some.
      if (!inHeader(text) || place.name === "Content-Length") return undefined;
      return { request: { ...request, headers: [...request.headers, [place.name, text]] }, forbidden: false };
    default:
      return oddBody(operation, place, value, request);
  }
}

const hole = "hostile-hole";

function oddBody(operation: Operation, place: Place, value: Value, request: Request): Odd | undefined {
  if (operation.body === undefined || request.body === undefined) return undefined;
  let body = value.json;
  if (place.in === "missing") {
    body = JSON.stringify(without(JSON.parse(request.body), place.path));
  } else if (place.in === "body") {
    // What is put there may be no JSON.
    body = JSON.stringify(put(JSON.parse(request.body), place.path)).replace(JSON.stringify(hole), () => value.json);
  }
  return { request: { ...request, body }, forbidden: isForbidden(operation, body) };
}

function isForbidden(operation: Operation, body: string): boolean {
  // An empty body counts as none; where anything goes, it need not be JSON.
  if (body.trim() === "" || operation.bodyTypes.includes("*/*")) return false;
  try {
    return operation.body !== undefined && forbids(operation.body, JSON.parse(body));
  } catch (error) {
    return error instanceof SyntaxError;
  }
}

function put(from: Json, [name, ...rest]: readonly string[]): Json {
  if (name === undefined) return hole;
  if (/^\d+$/.test(name)) return [put(Array.isArray(from) ? from[0] : undefined, rest)];
  const members = from !== null && typeof from === "object" && !Array.isArray(from) ? from : {};
  const inner = put(Object.hasOwn(members, name) ? members[name] : undefined, rest);
  return Object.fromEntries([...Object.entries(members), [name, inner]]);
}

function without(from: Json, [name, ...rest]: readonly string[]): Json {
  if (from === null || typeof from !== "object") return from;
  if (Array.isArray(from)) return from.map((one) => without(one, rest));
  return Object.fromEntries(
    Object.entries(from).flatMap(([key, value]) =>
      key !== name ? [[key, value]] : rest.length === 0 ? [] : [[key, without(value, rest)]],
    ),
  );
}

/** As it goes over the wire. */
export function sentOf(operation: Operation, request: Request, authorization?: string): Sent {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encoded(request.path[name] ?? name));
  const query = request.query.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join("&");
  const auth = authorization === undefined ? [] : [["authorization", authorization] as const];
  return {
    method: request.method,
    path: query === "" ? path : `${path}?${query}`,
    headers: [...auth, ...request.headers],
    ...(request.body !== undefined && { body: Buffer.from(request.body) }),
  };
}

/** What is a text of percent signs already stays as it is. */
function encoded(text: string): string {
  if (/^[\w.~-]*(%[0-9a-zA-Z]{1,2}[\w.~-]*)+$/.test(text)) return text;
  return encodeURIComponent(text.toWellFormed());
}
