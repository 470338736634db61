/** A condition that is sent and not looked at would be one that holds: where a route does not know it, it is refused. */
import type { Refusal } from "../../schemas/errors.ts";
import type { Operation } from "./operation.ts";

/** Those that a change may depend on. RFC 9110 has `If-Modified-Since` and `If-Range` for reads alone: elsewhere they say nothing. */
export const conditions = ["If-Match", "If-None-Match", "If-Unmodified-Since"] as const;

type Condition = (typeof conditions)[number];

/** Those that a method of a route does not look at; none of a read, which changes nothing. */
export const unknownTo = (method: string, { headers = {} }: Operation): readonly Condition[] =>
  method === "GET" ? [] : conditions.filter((name) => !Object.hasOwn(headers, name));

/** Refuses a request that brings one of them. */
export function conditionProblem({ headers, method }: Request, unknown: readonly Condition[]): Refusal | undefined {
  const sent = unknown.find((name) => headers.has(name));
  if (sent === undefined) return undefined;
  const known = conditions.filter((name) => !unknown.includes(name)).join(" and ");
  const instead = known === "" ? "" : `; it does at ${known}`;
  const detail = `headers: ${sent}: this ${method} does not look at it, and changes nothing that depends on it: leave it out${instead}`;
  return { code: "invalid", detail, facts: { path: sent.toLowerCase() } };
}
