/** What a round of the doors program is made of: records with odd fields, each with its way in; and odd values elsewhere. */
import type { Value } from "./values.ts";

export const ways = [
  "json",
  "ndjson",
  "gzip",
  "structured",
  "batch",
  "binary",
  "raw",
  "socket",
  "frames",
  "socket-frames",
] as const;

/** A way in. `structured`, `batch`, `binary`: CloudEvents. */
export type Way = (typeof ways)[number];

export const textFields = [
  "key",
  "id",
  "source",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
  "tags",
] as const;

export type TextField = (typeof textFields)[number];

/** Those that a record has once, in the order in which frames have them. */
export const fieldsInOrder = textFields.filter((field) => field !== "tags");

/** `name`, `value`: of an extension. */
export type Field = TextField | "name" | "value";

export interface Odd {
  readonly field: Field;
  readonly value: Value;
}

/** A record: an ordinary one, but for what is odd. */
export interface Draft {
  readonly n: number;
  readonly way: Way;
  /** Texts in JSON with everything escaped that can be. */
  readonly escaped: boolean;
  readonly odd: readonly Odd[];
  /** A name of `dataNamed`; undefined: ordinary data. */
  readonly data?: string;
}

/** A value where a record has none. */
export interface Elsewhere {
  readonly place: string;
  readonly value: Value;
}

export const outs = [
  "page",
  "lines",
  "whole",
  "frames",
  "keys",
  "events",
  "socket",
  "socket-frames",
  "receive",
  "group-socket",
  "push-binary",
  "push-structured",
  "push-batch",
  "letters",
  "lanes",
  "chosen",
] as const;

/** A way out; letters have three. */
export type Out = (typeof outs)[number] | "redrive" | "dead-stream";

export interface DoorsPlan {
  readonly partitions: number;
  readonly drafts: readonly Draft[];
  readonly elsewhere: readonly Elsewhere[];
  /** Whole bodies that are odd. */
  readonly bodies: boolean;
  /** What has an id is sent again by another way. */
  readonly again: boolean;
  readonly outs: readonly Out[];
  /** Before the ways out of these numbers. */
  readonly kills: readonly { readonly before: number; readonly how: "kill" | "term" }[];
}
