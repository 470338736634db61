/**
 * What compressed files hold, as far as positions ask: so that a file that was unpacked for one of them need not be for the
 * next, nor at the next look. Little is kept of each: its beginning, its length, and hashes of what stands before offsets.
 */
import type { BigIntStats } from "node:fs";
import { hashOf, headBytes, idOf, type Position } from "./identity.ts";
import { settled } from "./log-file.ts";
import { nearBytes } from "./split.ts";

const [filesMax, offsetsMax] = [1_000, 64];

/** What is known of a file. */
export interface Content {
  /** Its first 256 bytes, or all of them. */
  readonly head: Buffer;
  /** Undefined where it was not unpacked any further. */
  readonly bytes: number | undefined;
  /** Of the 1 024 bytes before offsets, by these. */
  readonly nears: ReadonlyMap<number, string>;
}

export class Contents {
  readonly #known = new Map<string, Content>();
  /** Those that are asked about, the newest last. */
  #offsets: number[] = [];

  /** Offsets of positions that will be asked about. */
  expect(asked: readonly number[]): void {
    this.#offsets = [...new Set([...asked, ...this.#offsets])].slice(0, offsetsMax);
  }

  /** Whether a file holds what was read of the one that a position is of; undefined where that is not known. */
  holds(stat: BigIntStats, { offset, head, near }: Position): boolean | undefined {
    const known = this.#known.get(keyOf(stat));
    if (known === undefined) return undefined;
    if (hashOf(known.head.subarray(0, Math.min(headBytes, offset))) !== head) return false;
    if (known.bytes === undefined) return undefined;
    const hash = known.nears.get(offset);
    return offset > known.bytes ? false : near === "" || hash === undefined ? undefined : hash === near;
  }

  /** How long what a file holds is, where that is known. */
  bytesOf(stat: BigIntStats): number | undefined {
    return this.#known.get(keyOf(stat))?.bytes;
  }

  /** Takes what is unpacked as it comes. */
  sampler(): Sampler {
    return new Sampler(this.#offsets.toSorted((a, b) => a - b));
  }

  /**
   * What was taken of a file, as it was seen before; `all`: of all that it holds. One that was changed so short ago that it
   * may be once more in the same moment is not remembered.
   */
  remember(stat: BigIntStats, { head, bytes, nears }: Sampler, all: boolean): void {
    const content = { head, bytes: all ? bytes : undefined, nears };
    const key = keyOf(stat);
    if (idOf(stat) === "" || settled(stat.ctimeNs, Date.now()) === 0n) return;
    this.#known.delete(key);
    this.#known.set(key, content);
    if (this.#known.size > filesMax) this.#known.delete(this.#known.keys().next().value as string);
  }
}

const keyOf = (stat: BigIntStats): string => `${idOf(stat)} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;

/** Hashes of what stands before offsets in bytes that come in parts. */
export class Sampler {
  readonly nears = new Map<number, string>();
  head: Buffer = Buffer.alloc(0);
  #before: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(readonly offsets: readonly number[]) {}

  get bytes(): number {
    return this.#at;
  }

  push(part: Buffer): void {
    if (this.head.length < headBytes) this.head = Buffer.concat([this.head, part]).subarray(0, headBytes);
    const held = Buffer.concat([this.#before, part]);
    const from = this.#at - this.#before.length;
    this.#at += part.length;
    for (const offset of this.offsets) {
      if (offset <= this.#at - part.length || offset > this.#at) continue;
      this.nears.set(offset, hashOf(held.subarray(Math.max(0, offset - nearBytes - from), offset - from)));
    }
    this.#before = Buffer.from(held.subarray(Math.max(0, held.length - nearBytes)));
  }
}
