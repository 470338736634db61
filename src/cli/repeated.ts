/** What is said of an order that was sent again: its first answer was lost, and what is not there any more it may have done itself. */
import type { Call } from "../client/http.ts";

export const isRepeated = ({ headers }: Call): boolean => headers?.["millrace-repeat"] !== undefined;

/** Behind what the last answer says; nothing where it was the first one. */
export const mayBeOurs = (call: Call): string =>
  isRepeated(call) ? ": the first answer to this order was lost, and it may have done that itself" : "";

/** An answer as `--json` prints it. */
export const answerJson = (answer: object, call: Call): string =>
  JSON.stringify({ ...answer, ...(isRepeated(call) && { repeated: true }) });
