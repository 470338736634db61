/**
 * The one table of refusals. The server maps a code to its status, a client maps it back, and a retry policy asks
 * `retryable` (the same request may succeed later) and `clean` (certainly nothing was written).
 */
interface Entry {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
  readonly clean: boolean;
}

const entry = (status: number, title: string, retryable = false, clean = true): Entry => ({
  status,
  title,
  retryable,
  clean,
});

export const errors = {
  "bad-json": entry(400, "The body is not valid JSON"),
  "bad-frame": entry(400, "The body is not a valid sequence of frames"),
  "bad-dump": entry(400, "The body, or the file, is not a part of a valid dump"),
  "bad-gzip": entry(400, "The body is not valid gzip"),
  "bad-event": entry(400, "The body is not a valid CloudEvent"),
  "bad-key": entry(400, "The keys of the batch do not fit the request"),
  "atomic-spans-partitions": entry(400, "An atomic batch goes to one partition"),
  "unknown-field": entry(400, "A field or parameter is not known"),
  "body-cut-off": entry(400, "The body ended before its end"),
  "bad-host": entry(400, "The Host is not valid"),
  invalid: entry(400, "A value is not valid"),
  unauthorized: entry(401, "A valid token is required"),
  "ticket-expired": entry(401, "The ticket has expired"),
  forbidden: entry(403, "The token or ticket does not allow this"),
  "unknown-route": entry(404, "No such route"),
  "namespace-not-found": entry(404, "No such namespace"),
  "stream-not-found": entry(404, "No such stream"),
  "group-not-found": entry(404, "No such group"),
  "letter-not-found": entry(404, "No such dead letter"),
  "lane-not-found": entry(404, "No such lane"),
  "erasure-not-found": entry(404, "No such request to forget"),
  "partition-not-found": entry(404, "No such partition"),
  "snapshot-not-found": entry(404, "No such snapshot"),
  "upload-not-found": entry(404, "No such upload"),
  "method-not-allowed": entry(405, "The route does not know this method"),
  "not-acceptable": entry(406, "No acceptable media type"),
  "body-too-slow": entry(408, "The body came too slowly", true),
  conflict: entry(409, "The change conflicts with what exists"),
  "wrong-log": entry(409, "The cursor belongs to another stream"),
  "wrong-partition": entry(409, "The key does not belong to the partition"),
  "stale-lease": entry(409, "The lease has passed to another"),
  leased: entry(409, "Another has the lease"),
  "archive-off": entry(409, "The deployment has no archive"),
  restoring: entry(409, "The stream is being restored", true),
  "restore-gap": entry(409, "The part of the dump is not the next one"),
  sealed: entry(409, "The partition is sealed"),
  fenced: entry(409, "Fenced by a newer writer"),
  "sequence-gap": entry(409, "The producer's sequence has a gap"),
  "sequence-conflict": entry(409, "The producer's sequence was another batch"),
  "sequence-stale": entry(409, "The producer's sequence is too old to be answered"),
  "key-index-off": entry(409, "The stream keeps no key index"),
  "offset-regressed": entry(409, "The producer-given offset is not above the tail"),
  trimmed: entry(410, "The offset has been trimmed"),
  damaged: entry(503, "Stored data are damaged or missing"),
  "upgrade-required": entry(426, "The route is a WebSocket"),
  "expected-offset": entry(412, "The tail is not at the expected offset"),
  "expected-key-offset": entry(412, "The key has a newer record"),
  "record-too-large": entry(413, "The record is too large"),
  "batch-too-large": entry(413, "The batch is too large"),
  "body-too-large": entry(413, "The body is too large"),
  "unsupported-media-type": entry(415, "The media type is not supported"),
  "bad-target": entry(422, "The push target is not allowed"),
  "past-tail": entry(416, "The offset is past the tail"),
  "bad-range": entry(416, "The range lies outside the body"),
  "atomic-rejected": entry(422, "Another record of the atomic batch was rejected"),
  "too-many": entry(429, "A limit is reached", true),
  "deduplication-full": entry(429, "The deduplication window is full", true),
  "log-full": entry(507, "The partition's database is full", true),
  overloaded: entry(503, "The partition is overloaded", true),
  unavailable: entry(503, "The partition could not be reached", true, false),
  "not-configured": entry(503, "The deployment has no root token"),
  internal: entry(500, "An unexpected error", true, false),
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
