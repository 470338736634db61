/** Everything that somebody may show who has no right token, and what it is worth. */
import { createHmac } from "node:crypto";
import type { Ground } from "./ground.ts";
import { type Credential, type Right, rights, type Way } from "./plan.ts";
import type { Sent } from "./wire.ts";

const base64Url = (text: string) => Buffer.from(text).toString("base64url");

/** A ticket as the service's own, made by whoever has not its key. */
function forged(ticket: string, change: (payload: Record<string, unknown>) => void, alg: string, key: string | null) {
  const payload = JSON.parse(Buffer.from(ticket.split(".")[1] ?? "e30", "base64url").toString() || "{}");
  change(payload);
  const head = `${base64Url(JSON.stringify({ alg, typ: "JWT" }))}.${base64Url(JSON.stringify(payload))}`;
  if (key === null) return `${head}.`;
  return `${head}.${createHmac("sha256", key).update(head).digest("base64url")}`;
}

/** Other rights under the old signature. */
function widened(ticket: string): string {
  const [head = "", payload = "", signature = ""] = ticket.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString() || "{}");
  return [head, base64Url(JSON.stringify({ ...claims, rights: [...rights, "admin"] })), signature].join(".");
}

const everything = (payload: Record<string, unknown>) => {
  payload.rights = [...rights, "admin"];
  payload.exp = 9_999_999_999;
};

/** Bound to nothing, for ever. */
const endless = (payload: Record<string, unknown>) => {
  everything(payload);
  for (const name of ["exp", "namespace", "stream"]) delete payload[name];
};

/** What `credential` is; undefined: nothing is shown. */
export function shown(credential: Credential, ground: Ground): string | undefined {
  const { token } = ground.round.service;
  const ticket = ground.ticket("read");
  switch (credential) {
    case "none":
      return undefined;
    case "empty":
      return "";
    case "wrong":
    case "basic":
      return `${token.slice(0, -1)}?`;
    case "cut":
      return token.slice(0, -1);
    case "longer":
      return `${token}t`;
    case "bare":
    case "doubled":
    case "token-as-ticket":
      return token;
    case "garbage-ticket":
      return "a.b.c";
    case "cut-ticket":
      return ticket.slice(0, -4);
    case "widened-ticket":
      return widened(ticket);
    case "unsigned-ticket":
      return forged(ticket, everything, "none", null);
    case "own-key-ticket":
      return forged(ticket, everything, "HS256", "");
    case "token-key-ticket":
      return forged(ticket, everything, "HS256", token);
    case "endless-ticket":
      return forged(ticket, endless, "HS256", "millrace");
    case "expired-ticket":
      return ground.ticket("short");
    default:
      return ground.ticket(credential);
  }
}

/** What the holder of it may do. */
export const rightOf = (credential: Credential): Right | undefined => rights.find((right) => right === credential);

/** It is genuine, and for something else. */
export const isElsewhere = (credential: Credential): boolean => credential.startsWith("other-");

/** Shown in that way. What a way cannot carry goes in a header. */
export function bearing(sent: Sent, credential: Credential, way: Way, ground: Ground): Sent {
  const value = shown(credential, ground);
  if (value === undefined) return sent;
  const header = (text: string): Sent => ({ ...sent, headers: [["authorization", text], ...sent.headers] });
  if (credential === "basic") return header(`Basic ${Buffer.from(value).toString("base64")}`);
  if (credential === "bare") return header(value);
  if (credential === "doubled") {
    const twice = [`Bearer ${value}?`, `Bearer ${value}`].map((text) => ["authorization", text] as const);
    return { ...sent, headers: [...twice, ...sent.headers] };
  }
  if (way === "query" || credential === "token-as-ticket") {
    const joined = sent.path.includes("?") ? "&" : "?";
    return { ...sent, path: `${sent.path}${joined}ticket=${encodeURIComponent(value)}` };
  }
  if (way === "header" || value === "") return header(`Bearer ${value}`);
  const isTicket = value.split(".").length === 3;
  const protocol = isTicket ? `millrace.ticket.${value}` : `millrace.token.${base64Url(value)}`;
  return { ...sent, headers: [["sec-websocket-protocol", `millrace.v1, ${protocol}`], ...sent.headers] };
}
