/** What the reference says of the groups' routes. */
import { z } from "zod";
import type { ErrorCode } from "../../../schemas/errors.ts";
import {
  ackBody,
  delivery,
  extendBody,
  groupConfig,
  groupLiveQuery,
  groupView,
  laneBody,
  lettersBody,
  lettersQuery,
  nackBody,
  pauseBody,
  pausedBecause,
  receiveBody,
  redriveBody,
  seekBody,
} from "../../../schemas/group.ts";
import { listQuery } from "../../../schemas/stream.ts";
import { type Operation, ofStream, withBody } from "../operation.ts";

const ofGroup: readonly ErrorCode[] = [...ofStream, "group-not-found"];
const ofOrder: readonly ErrorCode[] = [...ofGroup, ...withBody, "partition-not-found"];

const count = z.number().int();
const refused = z
  .array(z.object({ receipt: z.string(), code: z.string(), detail: z.string() }))
  .optional()
  .describe("Receipts that were not honoured, and why.");
const tried = z.object({ attempt: count, at: z.string(), member: z.string(), reason: z.string() });
const settled = z.object({ settled: count, refused });
const lost = z
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
const status = z.object({
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
const letter = z
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
const lane = z.object({
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
const attempt = z.object({
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

const group = "/v1/:ns/streams/:stream/groups/:group";
const post = (
  summary: string,
  body: z.ZodType,
  says: string,
  answer: z.ZodType,
  more: readonly ErrorCode[] = [],
  detail?: string,
): { POST: Operation } => ({
  POST: {
    summary,
    ...(detail === undefined ? {} : { detail }),
    body,
    answers: { 200: { says, body: answer } },
    refusals: [...ofOrder, ...more],
  },
});

export const groupOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/v1/:ns/streams/:stream/groups": {
    GET: {
      summary: "List consumer groups",
      query: listQuery,
      answers: {
        200: {
          says: "A page of groups by name.",
          body: z.object({ groups: z.array(groupView), after: z.string().optional() }),
        },
      },
      refusals: ofStream,
    },
  },
  [group]: {
    GET: {
      summary: "A consumer group",
      answers: { 200: { says: "Its configuration.", body: groupView } },
      refusals: ofGroup,
    },
    PUT: {
      summary: "Create or update a consumer group",
      detail: "Idempotent. Fields that are left out keep their value. An update does not move the group's place.",
      body: groupConfig,
      answers: { 201: { says: "Created.", body: groupView }, 200: { says: "Updated, or the same.", body: groupView } },
      refusals: [...ofOrder, "conflict", "too-many", "bad-target"],
    },
    DELETE: {
      summary: "Delete a consumer group, its place and its dead letters",
      answers: { 204: { says: "Deleted. Storage is freed in the background." } },
      refusals: ofGroup,
    },
  },
  [`${group}/status`]: {
    GET: {
      summary: "How far a group is",
      answers: { 200: { says: "In total, and for each partition.", body: status } },
      refusals: ofGroup,
    },
  },
  [`${group}/receive`]: post(
    "Receive records under lease",
    receiveBody,
    "What was to be had, perhaps nothing.",
    z.object({ deliveries: z.array(delivery), refused, lost }),
    ["too-many"],
    "Acknowledges `ack` first. Waits up to `waitSeconds` for the first record.",
  ),
  [`${group}/ack`]: post("Acknowledge deliveries", ackBody, "Durable. Twice is as once.", settled, ["stale-lease"]),
  [`${group}/nack`]: post(
    "Give deliveries back as failed",
    nackBody,
    "They are tried again after the group's backoff, or `delayMs`.",
    settled,
    ["stale-lease"],
  ),
  [`${group}/extend`]: post("Extend leases", extendBody, "They last from now.", settled, ["stale-lease"]),
  [`${group}/live`]: {
    GET: {
      summary: "Receive over a WebSocket",
      detail: "Messages are in docs/PROTOCOL.md: credit, ack, nack, extend; deliveries, refused, lost, error.",
      query: groupLiveQuery,
      answers: { 101: { says: "The socket." } },
      refusals: [...ofGroup, "upgrade-required", "too-many", "partition-not-found"],
    },
  },
  [`${group}/pause`]: post("Stop delivering", pauseBody, "From now on nothing goes out.", groupView),
  [`${group}/resume`]: post("Go on delivering", pauseBody, "It goes on where it was.", groupView),
  [`${group}/seek`]: post(
    "Move a group's place",
    seekBody,
    "Where it is now. Leases of before are void.",
    z.object({ partitions: z.array(z.object({ partition: count, offset: count })) }),
    ["past-tail", "wrong-log"],
  ),
  [`${group}/lanes`]: {
    GET: {
      summary: "Lanes that wait apart",
      answers: { 200: { says: "Each with its failed attempts.", body: z.object({ lanes: z.array(lane) }) } },
      refusals: ofGroup,
    },
  },
  [`${group}/lanes/resume`]: post(
    "Try a lane's first record now",
    laneBody,
    "It will be.",
    z.object({ lane: z.string(), order: z.literal("resume") }),
    ["lane-not-found", "conflict"],
  ),
  [`${group}/lanes/skip`]: post(
    "Leave a lane's first record to the dead letters, and go on",
    laneBody,
    "It was.",
    z.object({ lane: z.string(), order: z.literal("skip") }),
    ["lane-not-found", "conflict"],
  ),
  [`${group}/dead-letters`]: {
    GET: {
      summary: "List dead letters",
      query: lettersQuery,
      answers: {
        200: {
          says: "A page, by partition and offset.",
          body: z.object({ letters: z.array(letter), after: z.string().optional() }),
        },
      },
      refusals: [...ofGroup, "partition-not-found"],
    },
  },
  [`${group}/dead-letters/redrive`]: post(
    "Deliver dead letters again",
    redriveBody,
    "How many.",
    z.object({ redriven: count }),
    ["letter-not-found", "record-too-large"],
    "All, some, or one with other data.",
  ),
  [`${group}/dead-letters/discard`]: post(
    "Forget dead letters",
    lettersBody,
    "How many.",
    z.object({ discarded: count }),
    ["letter-not-found"],
  ),
  [`${group}/attempts`]: {
    GET: {
      summary: "The last requests of a push",
      answers: {
        200: {
          says: "Up to 50 a partition, oldest first; over restarts too.",
          body: z.object({ attempts: z.array(attempt) }),
        },
      },
      refusals: ofGroup,
    },
  },
};
