/** Limits of what is packed. They are part of `limits`, and stand apart because the library packs, and carries no more. */
export const frameLimits = {
  /** A frame never spans two chunks. */
  frameBytesMax: 1_048_576,
  /** Encoded record. Leaves room for the frame's header and the record's length in one row. */
  recordBytesMax: 1_000_000,
} as const;
