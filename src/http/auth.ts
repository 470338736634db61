/**
 * Who asks. For now one root token, which may do everything; scoped tokens will be looked up here, and what they may do
 * will be in the principal.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
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
  if (!/^bearer /i.test(header) || !same(header.slice("bearer ".length), expected)) {
    return refuse("unauthorized", "the token is not valid");
  }
  return ok(root);
}

/** Compares in a time that tells nothing of where the two differ. */
function same(token: string, expected: string): boolean {
  let difference = token.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) difference |= token.charCodeAt(i) ^ expected.charCodeAt(i);
  return difference === 0;
}
