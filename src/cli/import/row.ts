/** What the formats have in common. */

/** Behind so many bytes of the content, and so many of its lines. */
export interface Place {
  readonly bytes: number;
  readonly lines: number;
  /** The last of these lines has no end yet: where the content goes on, its end comes first. */
  readonly open?: true;
}

/** One piece of input that is to become a record, as JSON text. */
export interface Row {
  /** The first of its lines, from 1. */
  readonly line: number;
  readonly after: Place;
  readonly json: Uint8Array;
  /** Why it cannot be read, if so. */
  readonly why?: string;
  /** An empty line that may have been meant as a row: it becomes nothing, and is counted. */
  readonly blank?: true;
}

/** Why a row does not become a record. */
export class BadRow extends Error {}
