/** A block of a partition as the part of a log that it is, with its form checked against its schema. */
import type { z } from "zod";
import {
  closeDump,
  headDump,
  type KeysDump,
  keysDump,
  lanesDump,
  letterDump,
  marksDump,
  producersDump,
  settledDump,
} from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { check } from "../lib/check.ts";
import { type Block, readChunk, readIds, readJson, readLetter } from "./dump.ts";
import type { Part } from "./restore-log.ts";

/** A block's JSON, as the schema has it. */
export function jsonOf<T extends z.ZodType>({ name, payload }: Block, schema: T): Result<z.output<T>> {
  const value = readJson(payload);
  if (!value.ok) return value;
  const checked = check(schema, value.value, `the ${name} block`);
  return checked.ok ? checked : refuse("bad-dump", checked.refusal.detail, checked.refusal.facts);
}

const map = <T, U>(result: Result<T>, of: (value: T) => U): Result<U> => (result.ok ? ok(of(result.value)) : result);

export function partOf(block: Block): Result<Part> {
  switch (block.name) {
    case "keys":
      return map(jsonOf(block, keysDump), (keys) => ({ keys }));
    case "marks":
      return map(jsonOf(block, marksDump), (marks) => ({ marks }));
    case "producers":
      return map(jsonOf(block, producersDump), (producers) => ({ producers }));
    case "ids":
      return map(readIds(block.payload), (ids) => ({ ids }));
    case "chunk":
      return map(readChunk(block.payload), (chunk) => ({ chunk }));
    case "head":
      return map(jsonOf(block, headDump), ({ head }) => ({ head }));
    case "close":
      return map(jsonOf(block, closeDump), (close) => ({ close }));
    default:
      return refuse("bad-dump", `a ${block.name} block is no part of a partition`);
  }
}

/** Whether keys go up from one on, as the database has them: by their bytes in UTF-8, which is not how `<` has them. */
export function inOrder(keys: KeysDump, from: string): boolean {
  return keys.every(([key], at) => isAfter(key, at === 0 ? from : keys[at - 1][0]));
}

function isAfter(text: string, other: string): boolean {
  const end = Math.min(text.length, other.length);
  let at = 0;
  while (at < end && text.charCodeAt(at) === other.charCodeAt(at)) at++;
  return at === end ? text.length > end : rank(text.charCodeAt(at)) > rank(other.charCodeAt(at));
}

/** Halves of a pair stand for what is beyond all that needs none. */
const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** How much of a place a block tells; `settled`: it is the last one, and says how much there was. */
interface PlaceTold {
  readonly lanes: number;
  readonly letters: number;
  readonly settled?: z.output<typeof settledDump>;
}

export function placeTold(block: Block): Result<PlaceTold> {
  if (block.name === "lanes") return map(jsonOf(block, lanesDump), ({ length }) => ({ lanes: length, letters: 0 }));
  if (block.name === "settled")
    return map(jsonOf(block, settledDump), (settled) => ({ lanes: 0, letters: 0, settled }));
  const read = readLetter(block.payload);
  if (!read.ok) return read;
  const letter = check(letterDump, read.value.letter, "the letter block");
  return letter.ok ? ok({ lanes: 0, letters: 1 }) : refuse("bad-dump", letter.refusal.detail);
}
