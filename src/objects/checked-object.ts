/** Objects of segments, read whole and held against what they should be. */
import { ok, type Result } from "../../schemas/errors.ts";
import { hashedPart } from "../archive/segment.ts";
import { type ObjectFault, type Should, verifyObject } from "../archive/verify.ts";
import type { Blobs } from "../platform/blobs.ts";
import { sha256 } from "../platform/sha256.ts";
import { fetched } from "./cold.ts";

/** What is wrong with an object, and how many bytes of it were read. */
export interface Checked {
  readonly bytes: number;
  readonly faults: readonly ObjectFault[];
  /** The hash of the segment before it, as it was then; undefined where it knows none. */
  readonly prev: Uint8Array | undefined;
}

/** Refuses where the bucket does not answer, or names an object that it does not give. */
export async function checkedObject(
  blobs: Blobs | undefined,
  key: string,
  should: Should,
  dense: boolean,
): Promise<Result<Checked>> {
  const read = await fetched(blobs, key, 0, should.size + 1);
  if (!read.ok) return read;
  const object = read.value;
  if (object === undefined) {
    const { base: from, next: to } = should;
    return ok({ bytes: 0, faults: [{ from, to, reason: "the object is missing" }], prev: undefined });
  }
  const { faults, prev } = verifyObject(object, should, await sha256(hashedPart(object)), dense);
  return ok({ bytes: object.length, faults, prev });
}
