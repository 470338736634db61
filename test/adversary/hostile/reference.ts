/** What the service says of itself: /openapi.json, and the table of codes of /docs. */
import type { Json } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import type { Share } from "./plan.ts";
import type { Schema } from "./schema.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly schema: Schema;
}

export interface Operation {
  readonly method: string;
  /** With `{names}`. */
  readonly path: string;
  readonly parameters: readonly Parameter[];
  /** Of a JSON body. */
  readonly body?: Schema;
  readonly bodyTypes: readonly string[];
  /** By status, the codes of its refusals. */
  readonly refusals: ReadonlyMap<number, ReadonlySet<string>>;
  /** Nobody needs a token. */
  readonly open: boolean;
}

/** What a code means, wherever it comes. */
export interface Meaning {
  readonly status: number;
  readonly retryable: boolean;
  readonly clean: boolean;
}

export interface Reference {
  readonly operations: readonly Operation[];
  readonly codes: ReadonlyMap<string, Meaning>;
  /** The methods of each path. */
  readonly methods: ReadonlyMap<string, ReadonlySet<string>>;
}

export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

export async function reference(round: Round): Promise<Reference> {
  const document = (await round.call("GET", "/openapi.json")).json as Json;
  const operations = Object.entries(document.paths as Json).flatMap(([path, methods]) =>
    Object.entries(methods as Json).map(([method, one]) => operationOf(path, method.toUpperCase(), one as Json)),
  );
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of operations) methods.set(path, (methods.get(path) ?? new Set()).add(method));
  const codes = codesIn((await round.call("GET", "/docs")).body.toString());
  if (operations.length < 10 || codes.size < 10) throw new Error("the reference cannot be read");
  return { operations, methods, codes };
}

function operationOf(path: string, method: string, one: Json): Operation {
  const refusals = Object.entries(one.responses as Record<string, Json>)
    .filter(([status]) => Number(status) >= 400)
    .map(([status, { description }]) => {
      const codes = [...description.matchAll(/`([a-z-]+)`:/g)].map(([, code]) => code as string);
      return [Number(status), new Set(codes)] as const;
    });
  const content = one.requestBody?.content ?? {};
  return {
    method,
    path,
    parameters: one.parameters,
    bodyTypes: Object.keys(content),
    ...(content["application/json"]?.schema && { body: content["application/json"].schema }),
    refusals: new Map(refusals),
    open: one.security?.length === 0,
  };
}

/** A row a code: its name, its status, what it means, whether to retry, whether something may have been written. */
function codesIn(page: string): Map<string, Meaning> {
  const codes = new Map<string, Meaning>();
  for (const row of page.split('<tr id="').slice(1)) {
    const [, code, status, , retry, written] = row.split("<td>");
    if (code === undefined || written === undefined) continue;
    const isBlank = (cell: string | undefined) => /^\s*(<|$)/.test(cell ?? "");
    const name = row.slice(0, row.indexOf('"'));
    codes.set(name, { status: Number(status), retryable: !isBlank(retry), clean: isBlank(written) });
  }
  return codes;
}

/** The one of a list that is meant. */
export function at<T>(list: readonly T[], share: Share, nameOf: (one: T) => string): T {
  const found = typeof share === "string" ? list.find((one) => nameOf(one) === share) : undefined;
  return found ?? (list[Math.min(Math.floor(Number(share) * list.length), list.length - 1)] as T);
}
