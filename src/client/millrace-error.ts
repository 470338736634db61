/** Stands alone because it is one class in whatever is built: `millrace/node` has that of the library. */
import type { ErrorCode } from "../../schemas/errors.ts";

/**
 * `network`: no answer came. `http`: an answer that is not Millrace's, from something in between. `spool-…`: of a producer with
 * a spool, whose folder is full, another process's, damaged, or cannot be written.
 */
export type Code =
  | ErrorCode
  | "network"
  | "http"
  | "closed"
  | "spool-full"
  | "spool-busy"
  | "spool-damaged"
  | "spool-failed";

/**
 * Why something was not done.
 *
 * @example
 * try {
 *   await millrace.stream("orders").append({ key: "a" }, { expectedOffset: 7 });
 * } catch (error) {
 *   if (error instanceof MillraceError && error.code === "expected-offset") console.log(error.facts.tail);
 *   else throw error;
 * }
 */
export class MillraceError extends Error {
  override readonly name = "MillraceError";

  constructor(
    readonly code: Code,
    message: string,
    /** HTTP status; 0 where there was none. */
    readonly status: number,
    /** The same may succeed later. */
    readonly retryable: boolean,
    /** Certainly nothing was written. */
    readonly clean: boolean,
    /** Further members of the problem: the actual tail, a limit. */
    readonly facts: Readonly<Record<string, unknown>> = {},
    /** When to try again, in ms, where the service said so: an hour at most. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}
