import { encodeText } from "../lib/bytes.ts";

/** A key of 32 bytes for one purpose out of a secret (HKDF-SHA-256, RFC 5869). */
export async function derived(secret: string, purpose: string): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", encodeText(secret) as Uint8Array<ArrayBuffer>, "HKDF", false, [
    "deriveBits",
  ]);
  const terms = {
    name: "HKDF",
    hash: "SHA-256",
    salt: new Uint8Array(0),
    info: encodeText(purpose) as Uint8Array<ArrayBuffer>,
  };
  return new Uint8Array(await crypto.subtle.deriveBits(terms, key, 256));
}
