/**
 * A receipt proves one lease: `<partition>.<offset>.<era>.<generation>.<tag>`. The era changes with every
 * seek; no two leases of one delivery have the same generation, over restarts too. The tag is a keyed hash of the others,
 * with a secret that only the delivery has: a receipt that was never given out is none. Opaque to members.
 */
import { encodeText } from "../lib/bytes.ts";
import { Mac, type Words } from "../lib/mac.ts";
import type { JsonWriter } from "../log/json.ts";

export interface Receipt {
  readonly partition: number;
  readonly offset: number;
  readonly era: number;
  readonly generation: number;
  readonly tag: number;
}

const base = 36;
const charsMax = 64;
const word = 2 ** 32;

/** `generation` and `tag` take as many digits each, of a radix that is quick to write. */
const [digits, shortRadix] = [11, 32] as const;

const padded = (number: number) => number.toString(shortRadix).padStart(digits, "0");

export const writeReceipt = ({ partition, offset, era, generation, tag }: Receipt): string =>
  `${partition.toString(base)}.${offset.toString(base)}.${era.toString(base)}.${padded(generation)}.${padded(tag)}`;

/** The same as bytes; what all receipts of one answer have in common is made once. */
export class ReceiptWriter {
  readonly #before: Uint8Array;
  readonly #between: Uint8Array;

  constructor({ partition, era }: Pick<Receipt, "partition" | "era">) {
    this.#before = encodeText(`${partition.toString(base)}.`);
    this.#between = encodeText(`.${era.toString(base)}.`);
  }

  write(writer: JsonWriter, { offset, generation, tag }: Pick<Receipt, "offset" | "generation" | "tag">): void {
    writer.copy(this.#before).digits(offset, base).copy(this.#between);
    writer.digits(generation, shortRadix, digits).copy(period).digits(tag, shortRadix, digits);
  }
}

const period = encodeText(".");

/** Undefined where the text is no receipt. Read by hand: every ack of a large batch passes here. */
export function readReceipt(text: string): Receipt | undefined {
  const first = text.indexOf(".");
  const second = text.indexOf(".", first + 1);
  const third = text.indexOf(".", second + 1);
  const fourth = third + 1 + digits;
  if (second < 0 || third < 0 || text.length > charsMax || text.length !== fourth + 1 + digits) return undefined;
  if (text.charCodeAt(fourth) !== dot) return undefined;
  const partition = read(text, 0, first);
  const offset = read(text, first + 1, second);
  const era = read(text, second + 1, third);
  const generation = read(text, third + 1, fourth, shortRadix);
  const tag = read(text, fourth + 1, text.length, shortRadix);
  // What is no number makes the sum none.
  return partition + offset + era + generation + tag >= 0 ? { partition, offset, era, generation, tag } : undefined;
}

/** NaN where it is no number. One number, one way to write it: no two texts are the same receipt. */
function read(text: string, from: number, to: number, radix: number = base): number {
  if (to <= from || (radix === base && to > from + 1 && text.charCodeAt(from) === zero)) return Number.NaN;
  let value = 0;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    const digit = code >= zero && code <= 57 ? code - zero : code >= 97 && code <= 122 ? code - 87 : radix;
    if (digit >= radix) return Number.NaN;
    value = value * radix + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
}

const dot = 46;
const zero = 48;

/** Makes and checks the tags of one delivery's receipts. */
export class Signer {
  readonly #secret: Mac;
  #era = -1;
  #ofEra: Mac;

  constructor(secret: Words) {
    this.#secret = new Mac(secret);
    this.#ofEra = this.#secret;
  }

  tag(offset: number, era: number, generation: number): number {
    if (era !== this.#era) this.#begin(era);
    return this.#ofEra.tag(offset | 0, Math.floor(offset / word), generation | 0, Math.floor(generation / word));
  }

  /** A key of its own for each era, so that the block has room for the rest. */
  #begin(era: number): void {
    const part = (index: number) => this.#secret.tag(era | 0, Math.floor(era / word), index, 0) | 0;
    this.#era = era;
    this.#ofEra = new Mac([part(0), part(1), part(2), part(3)]);
  }
}
