/** Room for what is about to be made: an answer that is large and must be whole waits for it, so that a crowd cannot make as many as it asks for. */
import type { ErrorCode } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { keeping } from "./budget.ts";
import type { Operation } from "./operation.ts";
import { problem } from "./problem.ts";
import { counted, roomFor } from "./untaken.ts";

/** An answer that may have so many bytes, made as soon as there is room for it. Refused, with nothing done, where there is none for too long. */
export function withRoom(bytes: number, make: () => Promise<Response> | Response): Promise<Response> | Response {
  return counted(bytes) === 0 ? make() : later(bytes, make);
}

async function later(bytes: number, make: () => Promise<Response> | Response): Promise<Response> {
  const room = await roomFor(bytes);
  if (!room.ok) return problem(room.refusal);
  try {
    return await keeping(room.value, Promise.resolve(make()));
  } finally {
    room.value.release();
  }
}

/** How much room an operation takes before it begins, by its request; undefined where it never takes any. */
export function roomOf({ answerBytes }: Operation): ((request: Request) => number) | undefined {
  if (answerBytes === undefined || answerBytes === "counted") return undefined;
  return answerBytes === "body" ? bodyBytes : () => answerBytes;
}

/** Codes that it is refused with, by itself or because there is no room. */
export const refusalsOf = (operation: Operation): readonly ErrorCode[] =>
  roomOf(operation) === undefined ? operation.refusals : [...operation.refusals, "too-many"];

/** Of a body that does not say its length, or is packed, as many as it may have. */
function bodyBytes({ headers }: Request): number {
  const length = headers.has("content-encoding") ? null : headers.get("content-length");
  return length === null ? limits.jsonBytesMax : Number(length);
}
