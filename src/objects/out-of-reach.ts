/** What the bucket does not give now, though it may have it: that is tried again, and not taken to be lost. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import type { Blobs } from "../platform/blobs.ts";
import { faultTold } from "../platform/fault-told.ts";

export class OutOfReach extends Error {
  constructor(readonly refusal: Refusal) {
    super(refusal.detail);
  }
}

/** The value; throws where it is out of reach. */
export function reached<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new OutOfReach(result.refusal);
}

/**
 * An object was not found: refuses where the bucket still names it, or does not answer. What is taken to be lost for a moment's
 * sake would be lost for good.
 */
export async function surelyGone(blobs: Blobs | undefined, key: string): Promise<Result<undefined>> {
  if (blobs === undefined) return ok(undefined);
  try {
    const { blobs: named } = await blobs.list(key);
    if (!named.some((one) => one.key === key)) return ok(undefined);
  } catch (error) {
    return faultTold("the archive could not be read", error);
  }
  console.error("bucket: it names an object that it does not give:", key);
  return refuse("unavailable", "the bucket names an object that it does not give; try again");
}
