import type { z } from "zod";
import type { ErrorCode } from "../../schemas/errors.ts";

/** Refusals that many routes have. */
export const always: readonly ErrorCode[] = [
  "unauthorized",
  "ticket-expired",
  "forbidden",
  "bad-host",
  "invalid",
  "unknown-field",
  "not-configured",
];
export const ofNamespace: readonly ErrorCode[] = [...always, "namespace-not-found"];
/** What orders of a restore, and the end of one, are refused with. */
export const ofRestore: readonly ErrorCode[] = [...ofNamespace, "stream-not-found", "unavailable", "overloaded"];
export const ofStream: readonly ErrorCode[] = [...ofRestore, "restoring"];
export const ofPartition: readonly ErrorCode[] = [...ofStream, "partition-not-found"];
export const withBody: readonly ErrorCode[] = [
  "bad-json",
  "body-too-large",
  "body-cut-off",
  "body-too-slow",
  "bad-gzip",
  "unsupported-media-type",
  "too-many",
];

/** The condition of a PUT that creates, and changes nothing. */
export const onlyNew = { "If-None-Match": "`*`: create it, and answer 412 `exists` where it is there already." };

/** The condition of a change of what was read. */
export const onlySame = {
  "If-Match": "The `ETag` that was read: change it, and answer 412 `changed` where it is another by now.",
};

/** What a client says that sends a request again because its answer was lost. */
export const repeat = {
  "Millrace-Repeat": "`true`: it is sent again, and may have been done: what is not there any more is no mistake.",
};

export const isRepeat = (request: Request): boolean => request.headers.get("millrace-repeat") === "true";

/** What the reference says of one method of a route. */
export interface Operation {
  readonly summary: string;
  readonly detail?: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** Media types of the body besides JSON. */
  readonly bodyTypes?: readonly string[];
  /** Of a socket, in JSON: what is sent to it, and what it sends. */
  readonly messages?: { readonly from: z.ZodType; readonly to: z.ZodType };
  /** Headers of the request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Status and body of the good answers. */
  readonly answers: Readonly<
    Record<number, { readonly says: string; readonly body?: z.ZodType; readonly types?: readonly string[] }>
  >;
  readonly refusals: readonly ErrorCode[];
  /**
   * Bytes that its answer may have, about, where that may be more than 256 KiB: it is begun when there is room for so many, or refused.
   * `body`: about as many as its request. `counted`: it counts by itself what it fetches, and gives less where there is little room.
   */
  readonly answerBytes?: number | "body" | "counted";
}

/** A list of configurations, or of what has happened; and one that has no pages. */
export const listBytes = 1_048_576;
export const wholeBytes = 4_194_304;
