/**
 * Where the values of a JSON text stand, in bytes. Data are stored as they were sent: parsing and printing again would
 * change large numbers, key order and escapes. Works on text that `JSON.parse` has accepted, so that it checks nothing.
 */
import { decodeText, markBytes } from "../lib/bytes.ts";

const quote = 34;
const backslash = 92;

const isSpace = (byte: number) => byte === 32 || byte === 10 || byte === 13 || byte === 9;

export class RawJson {
  at: number;
  constructor(readonly bytes: Uint8Array) {
    this.at = markBytes(bytes);
  }

  /** Visits the members of the object at `at`: the name, and the value's bounds. Ends after the object. */
  members(visit: (name: string, from: number, to: number) => void): void {
    this.#list(125, () => {
      const name = this.#string();
      this.#space();
      this.at++; // the colon
      const [from, to] = this.value();
      visit(name, from, to);
    });
  }

  /** Visits the elements of the array at `at`, each from its first byte; `visit` must pass over it. */
  elements(visit: () => void): void {
    this.#list(93, visit);
  }

  /** Passes over a value and returns its bounds. */
  value(): [number, number] {
    this.#space();
    const from = this.at;
    const first = this.bytes[from];
    if (first === quote) this.#skipString();
    else if (first === 123 || first === 91) this.#skipNested();
    else while (this.at < this.bytes.length && !isEnd(this.bytes[this.at])) this.at++;
    return [from, this.at];
  }

  #list(close: number, visit: () => void): void {
    this.#space();
    this.at++; // the opening bracket
    for (;;) {
      this.#space();
      if (this.bytes[this.at] === close) break;
      visit();
      this.#space();
      if (this.bytes[this.at] !== 44) break;
      this.at++;
    }
    this.at++;
  }

  #string(): string {
    const from = this.at;
    this.#skipString();
    const text = decodeText(this.bytes, from + 1, this.at - 1);
    return text.includes("\\") ? (JSON.parse(`"${text}"`) as string) : text;
  }

  #skipString(): void {
    const { bytes } = this;
    let at = this.at + 1;
    for (; bytes[at] !== quote; at++) if (bytes[at] === backslash) at++;
    this.at = at + 1;
  }

  #skipNested(): void {
    const { bytes } = this;
    let depth = 0;
    do {
      const byte = bytes[this.at];
      if (byte === quote) {
        this.#skipString();
        continue;
      }
      if (byte === 123 || byte === 91) depth++;
      else if (byte === 125 || byte === 93) depth--;
      this.at++;
    } while (depth > 0);
  }

  #space(): void {
    while (isSpace(this.bytes[this.at])) this.at++;
  }
}

/** The bounds of a value with the white space around it. */
export function withSpace(bytes: Uint8Array, from: number, to: number): [number, number] {
  let [start, end] = [from, to];
  while (start > 0 && isSpace(bytes[start - 1])) start--;
  while (end < bytes.length && isSpace(bytes[end])) end++;
  return [start, end];
}

const isEnd = (byte: number) => byte === 44 || byte === 125 || byte === 93 || isSpace(byte);
