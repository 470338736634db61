/**
 * The one table of refusals. The server maps a code to its status, a client maps it back, and a retry policy asks
 * `retryable` (the same request may succeed later) and `clean` (certainly nothing was written). What it is called is in
 * `titles.ts`, which the library does without.
 */
interface Entry {
  readonly status: number;
  readonly retryable: boolean;
  readonly clean: boolean;
}

const entry = (status: number, retryable = false, clean = true): Entry => ({
  status,
  retryable,
  clean,
});

export const errors = {
  "bad-json": entry(400),
  "bad-frame": entry(400),
  "bad-dump": entry(400),
  "bad-gzip": entry(400),
  "bad-event": entry(400),
  "bad-key": entry(400),
  "atomic-spans-partitions": entry(400),
  "unknown-field": entry(400),
  "body-cut-off": entry(400),
  "bad-host": entry(400),
  invalid: entry(400),
  unauthorized: entry(401),
  "ticket-expired": entry(401),
  forbidden: entry(403),
  "unknown-route": entry(404),
  "namespace-not-found": entry(404),
  "stream-not-found": entry(404),
  "group-not-found": entry(404),
  "letter-not-found": entry(404),
  "lane-not-found": entry(404),
  "erasure-not-found": entry(404),
  "partition-not-found": entry(404),
  "snapshot-not-found": entry(404),
  "upload-not-found": entry(404),
  "method-not-allowed": entry(405),
  "not-acceptable": entry(406),
  "body-too-slow": entry(408, true),
  conflict: entry(409),
  "wrong-log": entry(409),
  "wrong-partition": entry(409),
  "stale-lease": entry(409),
  leased: entry(409),
  "archive-off": entry(409),
  restoring: entry(409, true),
  "restore-gap": entry(409),
  sealed: entry(409),
  fenced: entry(409),
  "sequence-gap": entry(409),
  "sequence-conflict": entry(409),
  "sequence-stale": entry(409),
  "key-index-off": entry(409),
  "offset-regressed": entry(409),
  trimmed: entry(410),
  damaged: entry(503),
  "upgrade-required": entry(426),
  exists: entry(412),
  "expected-offset": entry(412),
  "expected-key-offset": entry(412),
  "record-too-large": entry(413),
  "batch-too-large": entry(413),
  "body-too-large": entry(413),
  "unsupported-media-type": entry(415),
  "bad-target": entry(422),
  "past-tail": entry(416),
  "bad-range": entry(416),
  "atomic-rejected": entry(422),
  "too-many": entry(429, true),
  "deduplication-full": entry(429, true),
  "log-full": entry(507, true),
  overloaded: entry(503, true),
  unavailable: entry(503, true, false),
  "not-configured": entry(503),
  internal: entry(500, true, false),
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof errors;

/** An expected refusal: a value from the core to the wire. `facts` are members of the problem (the actual offset, a limit). */
export interface Refusal {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly facts?: Readonly<Record<string, unknown>>;
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

/** Refuses with a code, what was wrong and what to change, and the members that a program may want. */
export const refuse = (
  code: ErrorCode,
  detail: string,
  facts?: Record<string, unknown>,
): { readonly ok: false; readonly refusal: Refusal } => ({
  ok: false,
  refusal: facts === undefined ? { code, detail } : { code, detail, facts },
});
