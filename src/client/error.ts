import { type ErrorCode, errors } from "../../schemas/errors.ts";

/** `network`: no answer came. `http`: an answer that is not Millrace's, from something in between. */
export type Code = ErrorCode | "network" | "http" | "closed";

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
    /** When to try again, in ms, where the service said so. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** An error of a code that this library knows, as the service would give it. */
export function known(code: string, detail: string, facts?: Record<string, unknown>): MillraceError {
  const entry = code in errors ? errors[code as ErrorCode] : errors.internal;
  return new MillraceError(code as Code, detail, entry.status, entry.retryable, entry.clean, facts);
}

export const network = (error: unknown) =>
  new MillraceError("network", `the service did not answer: ${messageOf(error)}`, 0, true, false);

function messageOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}

/** The error that an answer is. */
export async function problemOf(response: Response): Promise<MillraceError> {
  const { status } = response;
  const text = await response.text().catch(() => "");
  const after = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isNaN(after) ? undefined : after * 1_000;
  try {
    const { code, detail, retryable, clean, type: _, title: __, status: ___, ...facts } = JSON.parse(text);
    if (typeof code === "string")
      return new MillraceError(code as Code, detail, status, retryable, clean, facts, retryAfterMs);
  } catch {
    // Not ours.
  }
  const retryable = status === 408 || status === 429 || status >= 500;
  const message = `${status} ${response.statusText}: ${text.slice(0, 200)}`;
  return new MillraceError("http", message, status, retryable, status === 429, {}, retryAfterMs);
}
