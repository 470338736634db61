/** For receivers of webhooks: `millrace/webhook`. What calls the service has no use for it, and carries none of it. */
import { MillraceError } from "./error.ts";
import { fromBase64, nothing } from "./json.ts";

export interface WebhookOptions {
  /** How old a request may be, in seconds: an old one may be a replay. Default 300. */
  toleranceSeconds?: number;
}

type HeadersLike = { get(name: string): string | null } | Record<string, string | readonly string[] | undefined>;

const refused = (why: string) =>
  new MillraceError("unauthorized", `the webhook is not genuine: ${why}`, 401, false, true);

/**
 * Checks the signature of a request that a group has pushed (Standard Webhooks, HMAC-SHA-256), and throws where it is not
 * genuine. `body` is the body as it came, not parsed and written anew. Several secrets while one replaces another.
 *
 * @example
 * async function receiver(request: Request): Promise<Response> {
 *   const body = await request.text();
 *   await verifyWebhook(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], request.headers, body);
 *   console.log(request.headers.get("ce-type"), JSON.parse(body));
 *   return new Response(null, { status: 204 });
 * }
 */
export async function verifyWebhook(
  secrets: string | readonly string[],
  headers: HeadersLike,
  body: string | Uint8Array,
  { toleranceSeconds = 300, ...left }: WebhookOptions = {},
): Promise<void> {
  nothing(left);
  const keys = [secrets]
    .flat()
    .map((secret) => (typeof secret === "string" && fromBase64(secret.replace(/^whsec_/, ""))) || none);
  // Each by its name: one that is not given, or is in another's place, would be taken for a request that is not genuine.
  if (!keys.length || keys.some(({ length }) => length === 0))
    throw new TypeError("secrets: must be whsec_… in base64, or several");
  if (Object(headers) !== headers) throw new TypeError("headers: must be the headers of the request");
  if (typeof body !== "string" && !(body instanceof Uint8Array))
    throw new TypeError("body: must be the text, or the bytes, as it came, and not parsed");
  const [id, time, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    headerOf(headers, name),
  );
  if (!id || !time || !signatures) throw refused("a header of its signature is missing");
  const age = Date.now() / 1_000 - Number(time);
  if (!(Math.abs(age) <= toleranceSeconds)) throw refused("its time is too far from now");
  const encoder = new TextEncoder();
  const head = encoder.encode(`${id}.${time}.`);
  const data = typeof body === "string" ? encoder.encode(body) : body;
  const signed = new Uint8Array(head.length + data.length);
  signed.set(head);
  signed.set(data, head.length);
  for (const raw of keys) {
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    for (const signature of signatures.split(" ")) {
      if (!signature.startsWith("v1,")) continue;
      // `verify` takes the same time wherever two signatures differ.
      if (await crypto.subtle.verify("HMAC", key, fromBase64(signature.slice(3)) ?? none, signed)) return;
    }
  }
  throw refused("no signature fits");
}

function headerOf(headers: HeadersLike, name: string): string | undefined {
  const value = typeof headers.get === "function" ? headers.get(name) : (headers as Record<string, string>)[name];
  return value ?? undefined;
}

const none = new Uint8Array(0);
