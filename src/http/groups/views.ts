/** What the groups' routes answer, as the reference shows it. */
import * as z from "zod";
import { pausedBecause } from "../../../schemas/group.ts";

export const count = z.number().int();
export const refused = z
  .array(z.object({ receipt: z.string(), code: z.string(), detail: z.string() }))
  .optional()
  .describe("Receipts that were not honoured, and why.");
const tried = z.object({ attempt: count, at: z.string(), member: z.string(), reason: z.string() });
export const settled = z.object({ settled: count, refused });
export const trial = z.object({
  url: z.string().describe("As it is shown."),
  webhookId: z.string().describe("Of no record."),
  outcome: z
    .enum(["done", "gone", "busy", "failed"])
    .describe("What a push would make of it. `gone` pauses the group, `busy` leaves the receiver alone for a while."),
  status: count.optional(),
  headers: z.record(z.string(), z.string()).optional(),
  answer: z.string().describe("The first 512 bytes.").optional(),
  error: z.string().describe("Why it failed, in words.").optional(),
  durationMs: z.number(),
});
export const lost = z
  .array(z.object({ partition: count, from: count, to: count, why: z.enum(["trimmed", "damaged"]) }))
  .optional()
  .describe("Offsets [from, to) that the group will never get.");
const lanes = z.object({
  retrying: count,
  parked: count,
  others: count,
  full: z.boolean().describe("A partition has as many lanes as it may: nothing new is read there until some are over."),
});
const members = z.array(z.object({ member: z.string(), inFlight: count }));
export const status = z.object({
  group: z.string(),
  paused: z.boolean(),
  pausedBecause: pausedBecause.optional(),
  lag: count.describe("Records that are not finished."),
  lagSeconds: z.number().describe("Age of the oldest record that is not finished."),
  inFlight: count,
  redeliveries: count.describe("Attempts that were not a record's first; after a crash, about."),
  deadLetters: count,
  lanes,
  members,
  partitions: z.array(
    z
      .object({
        partition: count,
        head: count.describe("First record that is not finished; where that is yet to be read, no later than it."),
        cursor: count.describe("Next record to be read."),
        tail: count,
        lag: count,
        lagSeconds: z.number(),
        inFlight: count,
        redeliveries: count,
        lanes,
        deadLetters: count,
        members,
        paused: pausedBecause.optional(),
        waitsFor: z
          .object({ partition: count, keys: count.optional() })
          .describe("The partition that this one continues, and of how many keys its records are waited for.")
          .optional(),
        rowsWritten: count,
      })
      .catchall(z.unknown()),
  ),
});
export const letter = z
  .object({
    letter: z.string().describe("partition.offset"),
    partition: count,
    offset: count,
    timestamp: z.string(),
    state: z.enum(["dead", "redriven"]),
    reason: z.string(),
    attempts: count,
    diedAt: z.string(),
    tries: z.array(tried),
  })
  .catchall(z.unknown())
  .describe("The record with its fields, and what became of it.");
export const lane = z.object({
  lane: z.string().describe("partition.lane"),
  partition: count,
  key: z.string().optional(),
  offset: count
    .optional()
    .describe("Its first unfinished record. Left out where it is yet to be read which one that is."),
  state: z.enum(["open", "retry", "parked", "held"]),
  attempts: count,
  dueAt: z.string().optional(),
  tries: z.array(tried),
});
export const ordered = (order: "resume" | "skip") =>
  z.object({
    lane: z.string(),
    order: z.literal(order),
    changed: z
      .boolean()
      .describe("false: its first record is another than the one that was named, and nothing was done."),
  });
export const attempt = z.object({
  partition: count,
  at: z.string(),
  deliveryId: z.string(),
  records: count,
  attempt: count,
  status: count.optional(),
  error: z.string().optional(),
  durationMs: z.number(),
  answer: z.string().describe("The first 512 bytes."),
});
