/** Signatures of Standard Webhooks: HMAC-SHA-256 over id, time and body, with every secret that the group has. */
import { fromBase64, toBase64 } from "../lib/base64.ts";
import { encodeText } from "../lib/bytes.ts";

const keys = new Map<string, Promise<CryptoKey>>();
const keysMax = 1_000;

/** The headers that sign a request. `seconds` since 1970. None without a secret. */
export async function signed(
  secrets: readonly string[],
  id: string,
  seconds: number,
  body: Uint8Array,
): Promise<Record<string, string>> {
  const headers = { "webhook-id": id, "webhook-timestamp": String(seconds) };
  if (secrets.length === 0) return headers;
  const head = encodeText(`${id}.${seconds}.`);
  const content = new Uint8Array(head.length + body.length);
  content.set(head);
  content.set(body, head.length);
  const signatures = await Promise.all(
    secrets.map(async (secret) => {
      const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), content);
      return `v1,${toBase64(new Uint8Array(signature))}`;
    }),
  );
  return { ...headers, "webhook-signature": signatures.join(" ") };
}

function keyOf(secret: string): Promise<CryptoKey> {
  let key = keys.get(secret);
  if (key === undefined) {
    const raw = fromBase64(secret.slice("whsec_".length));
    key = crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    if (keys.size >= keysMax) keys.clear();
    keys.set(secret, key);
  }
  return key;
}
