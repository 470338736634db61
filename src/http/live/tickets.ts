/** `POST …/tickets`: what a browser may show instead of a token. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { ticketBody } from "../../../schemas/ticket.ts";
import type { Env } from "../../objects/stubs.ts";
import { type Principal, writeTicket } from "../auth.ts";
import { lookup } from "../lookup.ts";
import { readJson } from "../parse.ts";
import { answer } from "../problem.ts";

/** Nobody can give away what they do not have. */
export async function createTicket(request: Request, env: Env, who: Principal, namespace: string, stream: string) {
  return answer(await made(request, env, who, namespace, stream), (ticket) => ticket, 201);
}

async function made(
  request: Request,
  env: Env,
  who: Principal,
  namespace: string,
  stream: string,
): Promise<Result<{ ticket: string; expiresAt: string }>> {
  const body = await readJson(request, ticketBody);
  if (!body.ok) return body;
  const { rights, expiresInSeconds } = body.value;
  const missing = rights.filter((right) => !who.rights.includes(right));
  if (missing.length > 0) return refuse("forbidden", `you may not ${missing.join(", ")} yourself`, { missing });
  if (who.stream !== undefined) return refuse("forbidden", "a ticket cannot make tickets; use a token");
  // Tickets are signed with what the root token makes.
  if (!env.MILLRACE_ROOT_TOKEN)
    return refuse("not-configured", "the deployment has no root token; it can sign no ticket");
  const route = await lookup(env, namespace, stream);
  if (!route.ok) return route;
  const expires = Date.now() + expiresInSeconds * 1_000;
  const ticket = await writeTicket(env, { rights, namespace, stream }, expires);
  return ok({ ticket, expiresAt: new Date(expires).toISOString() });
}
