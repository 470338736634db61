/**
 * The one table of refusals. The server maps a code to its status, a client maps it back, and a retry policy asks
 * `retryable` (the same request may succeed later) and `clean` (certainly nothing was written).
 */
import { passing, unclean } from "./passing.ts";

interface Entry {
  readonly status: number;
  readonly title: string;
  readonly retryable: boolean;
  readonly clean: boolean;
}

const table = {
  "bad-json": [400, "The body is not valid JSON"],
  "bad-frame": [400, "The body is not a valid sequence of frames"],
  "bad-dump": [400, "The body, or the file, is not a part of a valid dump"],
  "bad-gzip": [400, "The body is not valid gzip"],
  "bad-event": [400, "The body is not a valid CloudEvent"],
  "bad-key": [400, "The keys of the batch do not fit the request"],
  "atomic-spans-partitions": [400, "An atomic batch goes to one partition"],
  "unknown-field": [400, "A field or parameter is not known"],
  "body-cut-off": [400, "The body ended before its end"],
  "bad-host": [400, "The Host is not valid"],
  invalid: [400, "A value is not valid"],
  unauthorized: [401, "A valid token is required"],
  "ticket-expired": [401, "The ticket has expired"],
  forbidden: [403, "The token or ticket does not allow this"],
  "unknown-route": [404, "No such route"],
  "namespace-not-found": [404, "No such namespace"],
  "stream-not-found": [404, "No such stream"],
  "group-not-found": [404, "No such group"],
  "letter-not-found": [404, "No such dead letter"],
  "lane-not-found": [404, "No such lane"],
  "erasure-not-found": [404, "No such request to forget"],
  "partition-not-found": [404, "No such partition"],
  "snapshot-not-found": [404, "No such snapshot"],
  "upload-not-found": [404, "No such upload"],
  "method-not-allowed": [405, "The route does not know this method"],
  "not-acceptable": [406, "No acceptable media type"],
  "body-too-slow": [408, "The body came too slowly"],
  conflict: [409, "The change conflicts with what exists"],
  "wrong-log": [409, "The cursor belongs to another stream"],
  "wrong-partition": [409, "The key does not belong to the partition"],
  "stale-lease": [409, "The lease has passed to another"],
  leased: [409, "Another has the lease"],
  "archive-off": [409, "The deployment has no archive"],
  restoring: [409, "The stream is being restored"],
  "restore-gap": [409, "The part of the dump is not the next one"],
  sealed: [409, "The partition is sealed"],
  fenced: [409, "Fenced by a newer writer"],
  "sequence-gap": [409, "The producer's sequence has a gap"],
  "sequence-conflict": [409, "The producer's sequence was another batch"],
  "sequence-stale": [409, "The producer's sequence is too old to be answered"],
  "key-index-off": [409, "The stream keeps no key index"],
  "offset-regressed": [409, "The producer-given offset is not above the tail"],
  trimmed: [410, "The offset has been trimmed"],
  damaged: [503, "Stored data are damaged or missing"],
  "upgrade-required": [426, "The route is a WebSocket"],
  exists: [412, "What is to be created exists"],
  changed: [412, "What is to be changed is another by now"],
  "expected-offset": [412, "The tail is not at the expected offset"],
  "expected-key-offset": [412, "The key has a newer record"],
  "record-too-large": [413, "The record is too large"],
  "batch-too-large": [413, "The batch is too large"],
  "body-too-large": [413, "The body is too large"],
  "unsupported-media-type": [415, "The media type is not supported"],
  "bad-target": [422, "The push target is not allowed"],
  "past-tail": [416, "The offset is past the tail"],
  "bad-range": [416, "The range lies outside the body"],
  "atomic-rejected": [422, "Another record of the atomic batch was rejected"],
  "too-many": [429, "A limit is reached"],
  "deduplication-full": [429, "The deduplication window is full"],
  "log-full": [507, "The partition's database is full"],
  overloaded: [503, "The partition is overloaded"],
  unavailable: [503, "The partition could not be reached"],
  "not-configured": [503, "The deployment has no root token"],
  internal: [500, "An unexpected error"],
} as const;

export type ErrorCode = keyof typeof table;

/** Made by a function, so that a bundle that does not ask for it does not carry it. */
const made = () =>
  Object.fromEntries(
    Object.entries(table).map(([code, [status, title]]) => [
      code,
      { status, title, retryable: passing.has(code), clean: !unclean.has(code) },
    ]),
  ) as Record<ErrorCode, Entry>;

export const errors = /* @__PURE__ */ made();

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
