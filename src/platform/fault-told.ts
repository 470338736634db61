/** What is told of a store's failure, and to whom. */
import { type Refusal, refuse } from "../../schemas/errors.ts";
import { Fault, messageOf } from "./patience.ts";

/**
 * A store's failure, for whoever asked: what was not done, and the store's own word for why. Which bucket and which object it
 * was is for the operator's log alone.
 */
export function faultTold(
  what: string,
  error: unknown,
  code: "unavailable" | "invalid" = "unavailable",
): { ok: false; refusal: Refusal } {
  console.error("bucket:", messageOf(error));
  const fault = faultOf(error);
  const words = [fault?.status, fault?.code].filter((word) => word !== undefined).join(" ");
  return refuse(code, `${what}: the bucket ${words === "" ? "did not do it" : `answered ${words}`}`);
}

/** The fault that an error was thrown for, if it was one. */
export function faultOf(error: unknown): Fault | undefined {
  if (error instanceof Fault) return error;
  const { cause } = error as { cause?: unknown };
  return cause instanceof Fault ? cause : undefined;
}
