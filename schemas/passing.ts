/** Codes of refusals that are not for good, or not for certain. They stand alone because the library, which is small, asks no more. */

/** The same request may succeed later. */
export const passing: ReadonlySet<string> = new Set([
  "body-too-slow",
  "restoring",
  "too-many",
  "deduplication-full",
  "log-full",
  "overloaded",
  "unavailable",
  "internal",
]);

/** It may have been written all the same. */
export const unclean: ReadonlySet<string> = new Set(["unavailable", "internal"]);
