/** For receivers of webhooks: `millrace/webhook`. What calls the service has no use for it, and carries none of it. */
import { limits } from "../../schemas/limits.ts";
import { MillraceError } from "./error.ts";
import { fromBase64, nothing } from "./json.ts";

export interface WebhookOptions {
  /** How old a request may be, in seconds: an old one may be a replay. Default 300. */
  toleranceSeconds?: number;
}

/** `Headers`, or as Node and frameworks have them, whatever the case of their names. */
type HeadersLike = { get(name: string): string | null } | Record<string, string | readonly string[] | undefined>;

const refused = (why: string) =>
  new MillraceError("unauthorized", `the webhook is not genuine: ${why}`, 401, false, true);

/**
 * Checks the signature of a request that a group has pushed (Standard Webhooks, HMAC-SHA-256): returns its id, which is the same
 * at every attempt, and throws where it is not genuine. `body` is the body as it came, not parsed and written anew. Several
 * secrets while one replaces another.
 *
 * @example
 * async function receiver(request: Request): Promise<Response> {
 *   const body = await request.text();
 *   const id = await verifyWebhook(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], request.headers, body);
 *   console.log(id, request.headers.get("ce-type"), JSON.parse(body));
 *   return new Response(null, { status: 204 });
 * }
 */
export async function verifyWebhook(
  secrets: string | readonly string[],
  headers: HeadersLike,
  body: string | ArrayBuffer | ArrayBufferView,
  options: WebhookOptions = {},
): Promise<string> {
  if (Object(options) !== options) throw new TypeError("options: must be an object");
  const { toleranceSeconds = 300, ...left } = options;
  nothing(left);
  if (!(toleranceSeconds >= 0)) throw new TypeError("toleranceSeconds: must be a number from 0 on");
  const keys = [secrets]
    .flat()
    .map((secret) => (/^whsec_/.test(secret) && fromBase64(secret.slice("whsec_".length))) || none);
  // Each by its name: one that is not given, or is in another's place, would be taken for a request that is not genuine.
  const [least, most] = [limits.secretBytesMin, limits.secretBytesMax];
  if (!keys.length || keys.some(({ length }) => length < least || length > most))
    throw new TypeError(`secrets: must be whsec_… of ${least} to ${most} bytes in base64, or several`);
  if (Object(headers) !== headers || Array.isArray(headers))
    throw new TypeError("headers: must be the headers of the request");
  const data = bytesOf(body);
  if (data === undefined) throw new TypeError("body: must be the text, or the bytes, as it came, and not parsed");
  const [id, time, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) =>
    headerOf(headers, name),
  );
  if (!id || !time || !signatures) throw refused("a header of its signature is missing");
  const age = Date.now() / 1_000 - Number(time);
  if (!(Math.abs(age) <= toleranceSeconds)) throw refused("its time is too far from now");
  const head = new TextEncoder().encode(`${id}.${time}.`);
  const signed = new Uint8Array(head.length + data.length);
  signed.set(head);
  signed.set(data, head.length);
  for (const raw of keys) {
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    for (const signature of signatures.split(/,? +/)) {
      if (!signature.startsWith("v1,")) continue;
      // `verify` takes the same time wherever two signatures differ.
      if (await crypto.subtle.verify("HMAC", key, fromBase64(signature.slice(3)) ?? none, signed)) return id;
    }
  }
  throw refused("no signature fits");
}

/** Undefined for what has been parsed. */
function bytesOf(body: string | ArrayBuffer | ArrayBufferView): Uint8Array | undefined {
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return Object.prototype.toString.call(body) === "[object ArrayBuffer]" ? new Uint8Array(body) : undefined;
}

/** One that came several times is one line, as `Headers` have it. */
function headerOf(headers: HeadersLike, name: string): string {
  if (typeof headers.get === "function") return headers.get(name) ?? "";
  const values = Object.entries(headers).filter(([key]) => key.toLowerCase() === name);
  return values
    .flatMap(([, value]) => value ?? [])
    .map(String)
    .join(", ");
}

const none = new Uint8Array(0);
