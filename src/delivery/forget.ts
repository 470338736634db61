import type { Target } from "../../schemas/erasure.ts";
import { decodeRecord } from "../log/record.ts";
import type { Letters } from "./letters.ts";

/** Offsets of the dead letters whose records are of a key, or of a subject. */
export function lettersOf(letters: Letters, target: Target): number[] {
  const found: number[] = [];
  for (const { offset, key, body } of letters.all()) {
    const record = decodeRecord(body, 0, body.length);
    const hit = "key" in target ? key === target.key || record.key === target.key : record.subject === target.subject;
    if (hit) found.push(offset);
  }
  return found;
}
