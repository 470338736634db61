/**
 * Who asks, and what they may do. The root token may do everything; a ticket is for one stream and a short time, for
 * those who should not hold a token: browsers. Either goes where a bearer's token goes. A WebSocket from a browser has no
 * headers of its own, so that either may come as a subprotocol; only a ticket may stand in a URL, which ends up in logs.
 */
import { jwtVerify, SignJWT } from "jose";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { rights as every, type Right } from "../../schemas/ticket.ts";
import { fromBase64 } from "../lib/base64.ts";
import type { Env } from "../objects/stubs.ts";
import { derived } from "../platform/derived.ts";

export interface Principal {
  readonly rights: readonly Right[];
  /** Undefined: every one. */
  readonly namespace?: string;
  readonly stream?: string;
  /** Until then, in ms since 1970; undefined: for good. What it has opened ends then. */
  readonly until?: number;
}

const root: Principal = { rights: every };

const tokenProtocol = "millrace.token.";
const ticketProtocol = "millrace.ticket.";

const vouched = new WeakMap<Request, Principal>();

/** Lets a request in that comes from inside: its sender is known by other means than a token. */
export function vouch(request: Request, principal: Principal): Request {
  vouched.set(request, principal);
  return request;
}

/** At once for a token; a ticket's signature takes a moment. */
export function authenticate(request: Request, env: Env): Result<Principal> | Promise<Result<Principal>> {
  const known = vouched.get(request);
  if (known !== undefined) return ok(known);
  const expected = env.MILLRACE_ROOT_TOKEN;
  if (!expected) {
    return refuse(
      "not-configured",
      "set the secret MILLRACE_ROOT_TOKEN (wrangler secret put MILLRACE_ROOT_TOKEN) to serve",
    );
  }
  const { headers } = request;
  const header = headers.get("authorization");
  if (header !== null) {
    if (!/^bearer /i.test(header))
      return refuse("unauthorized", `the header Authorization is of another form; send '${headerForm}'`);
    const given = header.slice("bearer ".length);
    return holder(given, expected, "the token is not valid");
  }
  const protocols = protocolsOf(headers);
  const token = protocols.find((one) => one.startsWith(tokenProtocol));
  if (token !== undefined) {
    const given = fromBase64Url(token.slice(tokenProtocol.length));
    return holder(given, expected, "the token in the subprotocol is not valid");
  }
  const offered = protocols.find((one) => one.startsWith(ticketProtocol))?.slice(ticketProtocol.length);
  if (offered !== undefined) return holder(offered, expected, "the ticket in the subprotocol is not valid");
  const ticket = request.url.includes("ticket=") ? new URL(request.url).searchParams.get("ticket") : null;
  if (ticket !== null) return readTicket(ticket, expected);
  return refuse("unauthorized", `send the header '${headerForm}'`);
}

const headerForm = "Authorization: Bearer <token>";

/** Who holds a token or a ticket: they are told apart by what they are, wherever one may stand that the other may. */
function holder(given: string, expected: string, wrong: string): Result<Principal> | Promise<Result<Principal>> {
  if (same(given, expected)) return ok(root);
  return given.split(".").length === 3 ? readTicket(given, expected) : refuse("unauthorized", wrong);
}

/** The subprotocols that a WebSocket's client offers. */
export const protocolsOf = (headers: Headers): string[] =>
  (headers.get("sec-websocket-protocol") ?? "").split(",").map((one) => one.trim());

/** Compares in a time that tells nothing of where the two differ. */
function same(token: string, expected: string): boolean {
  let difference = token.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) difference |= token.charCodeAt(i) ^ expected.charCodeAt(i);
  return difference === 0;
}

function fromBase64Url(text: string): string {
  try {
    return new TextDecoder().decode(fromBase64(text.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return "";
  }
}

/** The key of the last root token that was met: there is one. */
let signing: { readonly token: string; readonly key: Promise<Uint8Array> } | undefined;

/** Tickets are signed by a key that is made of the root token: a new token voids them. */
function keyOf(token: string): Promise<Uint8Array> {
  if (signing?.token !== token) signing = { token, key: derived(token, "millrace ticket") };
  return signing.key;
}

const issuer = "millrace";
/** Without any of them a ticket would be good for ever, or everywhere. */
const requiredClaims = ["exp", "namespace", "stream", "rights"];

export async function writeTicket(
  env: Env,
  { rights, namespace, stream }: Principal,
  expires: number,
): Promise<string> {
  return new SignJWT({ rights, namespace, stream })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setExpirationTime(Math.ceil(expires / 1_000))
    .sign(await keyOf(env.MILLRACE_ROOT_TOKEN as string));
}

async function readTicket(ticket: string, token: string): Promise<Result<Principal>> {
  try {
    const terms = { issuer, algorithms: ["HS256"], requiredClaims };
    const { payload } = await jwtVerify(ticket, await keyOf(token), terms);
    return principalOf(payload) ?? refuse("unauthorized", "the ticket is not valid");
  } catch (error) {
    const expired = (error as { code?: string }).code === "ERR_JWT_EXPIRED";
    if (expired) return refuse("ticket-expired", "the ticket has expired; ask for a new one");
    return refuse("unauthorized", "the ticket is not valid");
  }
}

function principalOf({ exp = 0, namespace, stream, rights }: Record<string, unknown> & { exp?: number }) {
  if (typeof namespace !== "string" || typeof stream !== "string" || !Array.isArray(rights)) return undefined;
  const known = every.filter((right) => rights.includes(right));
  return ok({ rights: known, namespace, stream, until: exp * 1_000 });
}

/** Why somebody may not do what a route does, if so. */
export function denial(who: Principal, need: readonly Right[], namespace?: string, stream?: string) {
  const elsewhere =
    (who.namespace !== undefined && who.namespace !== namespace) || (who.stream !== undefined && who.stream !== stream);
  if (elsewhere) return refuse("forbidden", `it is for ${who.stream ?? "every stream"} of ${who.namespace} only`);
  if (need.some((right) => who.rights.includes(right))) return undefined;
  return refuse("forbidden", `it allows to ${who.rights.join(", ")}, and this takes ${need.join(" or ")}`, { need });
}
