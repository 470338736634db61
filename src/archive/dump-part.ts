/** A block of a partition as the part of a log that it is, with its form checked against its schema. */
import type { z } from "zod";
import { closeDump, headDump, keysDump, marksDump, producersDump } from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { check } from "../lib/check.ts";
import { type Block, readChunk, readIds, readJson } from "./dump.ts";
import type { Part } from "./dump-order.ts";

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
      return map(jsonOf(block, headDump), (head) => ({ head }));
    case "close":
      return map(jsonOf(block, closeDump), (close) => ({ close }));
    default:
      return refuse("bad-dump", `a ${block.name} block is no part of a partition`);
  }
}
