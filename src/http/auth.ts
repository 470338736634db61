/**
 * Who asks. For now one root token, which may do everything; scoped tokens will be looked up here, and what they may do
 * will be in the principal.
 */
import { timingSafeEqual } from "node:crypto";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { encodeText } from "../lib/bytes.ts";
import type { Env } from "../objects/stubs.ts";

export interface Principal {
  readonly rights: "root";
}

const root: Principal = { rights: "root" };

export function authenticate(request: Request, env: Env): Result<Principal> {
  const expected = env.MILLRACE_ROOT_TOKEN;
  if (!expected) {
    return refuse(
      "not-configured",
      "set the secret MILLRACE_ROOT_TOKEN (wrangler secret put MILLRACE_ROOT_TOKEN) to serve",
    );
  }
  const header = request.headers.get("authorization");
  if (header === null) return refuse("unauthorized", "send the header 'Authorization: Bearer <token>'");
  const [scheme, token] = header.split(" ", 2);
  if (scheme.toLowerCase() !== "bearer" || token === undefined || !same(token, expected)) {
    return refuse("unauthorized", "the token is not valid");
  }
  return ok(root);
}

/** Compares in a time that tells nothing of where the two differ. */
function same(token: string, expected: string): boolean {
  const a = encodeText(token);
  const b = encodeText(expected);
  return a.length === b.length && timingSafeEqual(a, b);
}
