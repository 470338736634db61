/** Bytes as base64 (RFC 4648, with padding), without a string of them in between: that would cost many times the bytes. */

const chars = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const padding = 61;
/** Of each twelve bits the two characters, the first one in the lower byte. */
const pairs = Uint16Array.from({ length: 4_096 }, (_, bits) => chars[bits >> 6] | (chars[bits & 63] << 8));

/** Characters of so many bytes. */
export const base64Length = (bytes: number): number => Math.ceil(bytes / 3) * 4;

/** Writes `bytes[from, to)` as base64 at `at` and returns the place after it. There must be room. */
export function writeBase64(bytes: Uint8Array, from: number, to: number, target: Uint8Array, at: number): number {
  const whole = to - ((to - from) % 3);
  for (let i = from; i < whole; i += 3) {
    const middle = bytes[i + 1];
    const high = pairs[(bytes[i] << 4) | (middle >> 4)];
    const low = pairs[((middle & 15) << 8) | bytes[i + 2]];
    target[at] = high;
    target[at + 1] = high >> 8;
    target[at + 2] = low;
    target[at + 3] = low >> 8;
    at += 4;
  }
  if (whole === to) return at;
  const second = whole + 1 < to ? bytes[whole + 1] : 0;
  target[at++] = chars[bytes[whole] >> 2];
  target[at++] = chars[((bytes[whole] & 3) << 4) | (second >> 4)];
  target[at++] = whole + 1 < to ? chars[(second & 15) << 2] : padding;
  target[at++] = padding;
  return at;
}

export function toBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(base64Length(bytes.length));
  writeBase64(bytes, 0, bytes.length, text, 0);
  return new TextDecoder().decode(text);
}

/** The bytes of what is known to be base64. */
export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
