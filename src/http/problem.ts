import { errors, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { pointerTo } from "../lib/check.ts";
import { countedBody } from "./sending.ts";

/** Base of the problems' types: where the reference has the code, which stays the same for good. */
export const problemBase = "/docs#";

/** Seconds after which a refused request is worth repeating. */
const retryAfterSeconds = "1";

/** A refusal as `application/problem+json` (RFC 9457). */
export function problem(refusal: Refusal, headers: Record<string, string> = {}): Response {
  const { status, title, retryable, clean } = errors[refusal.code];
  const { path, pointer } = refusal.facts ?? {};
  // What was found in a body behind its schema names its field as one.
  const isField =
    typeof path === "string" && path !== "" && pointer === undefined && refusal.detail.startsWith("body: ");
  const body = {
    type: problemBase + refusal.code,
    title,
    status,
    detail: refusal.detail,
    code: refusal.code,
    retryable,
    clean,
    ...refusal.facts,
    ...(isField ? { pointer: pointerTo(path.split(".")) } : {}),
  };
  return new Response(countedBody(`${JSON.stringify(body)}\n`), {
    status,
    headers: {
      "content-type": "application/problem+json",
      ...(status === 401 ? { "www-authenticate": 'Bearer realm="millrace"' } : {}),
      ...(status === 429 || status === 503 ? { "retry-after": retryAfterSeconds } : {}),
      ...headers,
    },
  });
}

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(countedBody(`${JSON.stringify(body)}\n`), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });

/** Answers with the value, shown as JSON, or with the refusal. */
export const answer = <T>(result: Result<T>, show: (value: T) => unknown = (value) => value, status = 200): Response =>
  result.ok ? json(show(result.value), status) : problem(result.refusal);

/** What a call to an object throws when the object, or the way to it, failed. */
export function thrown(error: unknown): { ok: false; refusal: Refusal } {
  const { overloaded, retryable, message } = error as { overloaded?: boolean; retryable?: boolean; message?: string };
  if (overloaded) return refuse("overloaded", "the partition has too much to do; try again with a pause");
  if (retryable) return refuse("unavailable", "the partition could not be reached; try again");
  console.error("unexpected:", message);
  return refuse("internal", "the request failed for a reason that is ours; it may have been done");
}
