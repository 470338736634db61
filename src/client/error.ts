import { passing, unclean } from "../../schemas/passing.ts";
import { type Code, MillraceError } from "./millrace-error.ts";

export { type Code, MillraceError };

/** An error of which a code tells, or what was said beside it, whether it may pass. */
export function known(code: string, detail: string, facts: Record<string, unknown> = {}): MillraceError {
  const { retryable = passing.has(code), clean = !unclean.has(code) } = facts as {
    retryable?: boolean;
    clean?: boolean;
  };
  return new MillraceError(code as Code, detail, 0, retryable, clean, facts);
}

/** No answer came. `bad port` is what fetch says of those that it never connects to. */
export function network(error: unknown, clean = false): MillraceError {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  const why = cause?.message || cause?.code || message || String(error);
  return new MillraceError("network", `the service did not answer: ${why}`, 0, why !== "bad port", clean);
}

/** Why what came is no answer, and no message: it is not of this service. */
export const otherwise = "something else did";

/** Longest wait that a service may ask for, in seconds. */
const retryAfterMax = 3_600;

/** The error that an answer is. */
export async function problemOf(response: Response): Promise<MillraceError> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  // What is no time to wait (a date, a list, nothing, less than that) leaves the pause to the caller.
  const after = Math.ceil(Number(response.headers.get("retry-after")));
  const retryAfterMs = after > 0 ? Math.min(after, retryAfterMax) * 1_000 : undefined;
  try {
    const { code, detail, retryable, clean, type: _, title: __, status: ___, ...facts } = JSON.parse(text);
    if (typeof code === "string")
      return new MillraceError(code as Code, detail, status, retryable, clean, facts, retryAfterMs);
  } catch {
    // Not ours.
  }
  const retryable = status === 408 || status === 429 || status >= 500;
  const message = `${status} ${response.statusText}: ${text.slice(0, 200)}`;
  // Whoever finds a body too large has not passed it on.
  return new MillraceError("http", message, status, retryable, status === 429 || status === 413, {}, retryAfterMs);
}
