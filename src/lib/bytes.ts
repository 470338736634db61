const encoder = new TextEncoder();
const strict = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const encodeText = (text: string): Uint8Array => encoder.encode(text);

/** Decodes UTF-8. Throws a TypeError on bytes that are not UTF-8, so that nothing is silently replaced. */
export function decodeText(bytes: Uint8Array, from = 0, to = bytes.length): string {
  // Short ASCII is the common case, and the decoder's call costs more than it saves there.
  if (to - from <= 24) {
    let text = "";
    for (let i = from; i < to; i++) {
      if (bytes[i] >= 128) return strict.decode(bytes.subarray(from, to));
      text += String.fromCharCode(bytes[i]);
    }
    return text;
  }
  return strict.decode(bytes.subarray(from, to));
}

/** The text before the first byte that is not of any UTF-8. */
export function textBefore(bytes: Uint8Array): string {
  let [low, high] = [0, bytes.length];
  const before = (end: number) =>
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end), { stream: true });
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    try {
      before(middle);
      low = middle;
    } catch {
      high = middle - 1;
    }
  }
  return before(low);
}

/** True where `bytes[from, to)` is UTF-8. */
export function isText(bytes: Uint8Array, from = 0, to = bytes.length): boolean {
  let high = 0;
  for (let i = from; i < to; i++) high |= bytes[i];
  if (high < 128) return true;
  try {
    strict.decode(bytes.subarray(from, to));
    return true;
  } catch {
    return false;
  }
}

/** True where `bytes[from, to)` is JSON. */
export function isJson(bytes: Uint8Array, from = 0, to = bytes.length): boolean {
  try {
    JSON.parse(decodeText(bytes, from, to));
    return true;
  } catch {
    return false;
  }
}

export const isEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);

/** Length of the byte order mark that bytes begin with, or 0: some programs put one before every text. */
export const markBytes = (bytes: Uint8Array): number =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;

/** Bytes of a text in UTF-8. */
export function textBytes(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return encoder.encode(text).length;
  return text.length;
}

/** Writes a text as UTF-8 at `at` and returns the place after it. There must be room. */
export function writeText(bytes: Uint8Array, at: number, text: string): number {
  // Most texts are short ASCII: one loop is cheaper than a call out of JavaScript.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) return at + i + encoder.encodeInto(text.slice(i), bytes.subarray(at + i)).written;
    bytes[at + i] = code;
  }
  return at + text.length;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]; // Without a copy.
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes needed for `value` as a LEB128 variable-length integer. Values up to 2^53 - 1. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (; value >= 128; value /= 128) bytes++;
  return bytes;
}

/** Writes `value` as LEB128 at `at` and returns the place after it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  for (; value >= 128; value = Math.floor(value / 128)) bytes[at++] = (value % 128) | 128;
  bytes[at++] = value;
  return at;
}

/** Reads LEB128 values from a byte range, and remembers its place. `failed` is set instead of reading past the end. */
export class ByteReader {
  failed = false;
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
    readonly to: number,
  ) {}

  varint(): number {
    let value = 0;
    for (let unit = 1; this.at < this.to && unit <= 2 ** 49; unit *= 128) {
      const byte = this.bytes[this.at++];
      value += (byte & 127) * unit;
      if (byte < 128) {
        // One number, one encoding; and no number above what JavaScript counts exactly.
        if ((byte === 0 && unit > 1) || value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
    }
    this.failed = true;
    return 0;
  }

  /** Passes over a length-prefixed field and returns where it starts; it ends at `at`. */
  field(): number {
    const length = this.varint();
    const from = this.at;
    if (length > this.to - this.at) this.failed = true;
    else this.at += length;
    return from;
  }
}

/** 64-bit numbers, little-endian, in halves: a BigInt is an allocation, and headers are read for every small append. */
export const readNumber = (view: DataView, at: number): number =>
  view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
export const writeNumber = (view: DataView, at: number, value: number): void => {
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
};

/** A number of 32 bits as eight hexadecimal digits. */
export const hex32 = (number: number): string => (number >>> 0).toString(16).padStart(8, "0");

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
