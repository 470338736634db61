import * as z from "zod";
import { listLimit, text, whole, wholeText } from "./fields.ts";
import { defaults, limits } from "./limits.ts";
import { streamName } from "./names.ts";
import { patchOf } from "./patch.ts";
import { type PushTarget, pushTarget } from "./push.ts";

export { type PushTarget, pushTarget } from "./push.ts";

const count = (max: number) => z.number().int().min(1).max(max);
const ms = (min: number, max: number) => z.number().int().min(min).max(max);
const several = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(limits.filterValuesMax);

/** The fields of a filter, whose texts are what `text` allows. */
export const filterFields = (text: (bytesMax: number) => z.ZodString) =>
  z.strictObject({
    key: text(limits.keyBytesMax).optional(),
    types: several(text(limits.attributeBytesMax)).optional(),
    sources: several(text(limits.attributeBytesMax)).optional(),
    tags: several(text(limits.tagBytesMax)).optional(),
    match: z.enum(["any", "all"]).describe("For several tags.").optional(),
  });

/** Which records a group wants. Fields are combined by and; the values of one field by or, or, for tags, as `match` says. */
export const groupFilter = filterFields((bytesMax) => text(bytesMax))
  .refine(({ tags, match }) => (tags?.length ?? 0) <= 1 || match !== undefined, {
    message: "with several tags say match: any or all",
    path: ["match"],
  })
  .refine(
    ({ key, types, sources, tags }) => key !== undefined || types || sources || tags,
    "names nothing; leave it out, or, of a group, set it to null, to want every record",
  );

export type GroupFilter = z.infer<typeof groupFilter>;

/** Waiting times between the attempts at one record, in ms: a list (the last one repeats), or a growing one with a cap. */
export const backoff = z.union([
  z.array(ms(0, limits.delayMsMax)).min(1).max(limits.backoffStepsMax),
  z.strictObject({
    initialMs: ms(1, limits.delayMsMax),
    factor: z.number().min(1).max(10).default(2),
    maxMs: ms(1, limits.delayMsMax),
  }),
]);
export type Backoff = z.infer<typeof backoff>;

const startAt = z
  .union([whole, z.string().min(1).max(16_384)])
  .describe(
    "earliest, latest, a time (RFC 3339, a day, or `90m`: so long ago), a cursor, or, where the stream has one partition, an offset.",
  );

/** What a user may set of a group. Fields left out of a PUT keep their value, or take the default on creation. */
export const groupConfig = z.strictObject({
  start: startAt
    .describe(
      "Where a new group begins; `90m` is so long before its creation, `-n` the last n offsets of each partition, whatever the filter. Afterwards: seek.",
    )
    .optional(),
  filter: groupFilter.nullable().optional(),
  order: z
    .enum(["key", "partition", "none"])
    .describe(
      "`key`: in order per key, parallel across keys. `partition`: in order. `none`: any order. Set at creation.",
    )
    .optional(),
  maxInFlight: count(limits.inFlightMax).describe("Records under lease at a time, in each partition.").optional(),
  memberMaxInFlight: count(limits.inFlightMax).nullable().describe("The same for each member.").optional(),
  ackTimeoutMs: ms(limits.ackTimeoutMsMin, limits.ackTimeoutMsMax)
    .describe("How long a lease lasts; then the record goes to another member.")
    .optional(),
  maxDeliveries: count(limits.deliveriesMax).describe("Attempts before `onFailure` is applied.").optional(),
  backoff: backoff
    .describe("Pauses between attempts: [ms, …], or {initialMs, factor, maxMs}; up to 25 % are added.")
    .optional(),
  onFailure: z
    .enum(["block", "park", "skip"])
    .describe(
      "`block`: go on trying. `park`: a dead letter, and the key's later records wait. `skip`: a dead letter, and on.",
    )
    .optional(),
  batch: z
    .strictObject({
      records: count(limits.deliverMax).default(defaults.batchRecords),
      bytes: count(limits.deliverBytesMax).default(defaults.batchBytes),
      waitMs: ms(0, limits.batchWaitMsMax).default(0).describe("How long an incomplete batch waits for more."),
    })
    .describe("What one push, or one message on a socket, holds at most.")
    .optional(),
  rate: z
    .strictObject({
      perSecond: z.number().min(0.01).max(1_000_000).describe("Records, for the group; partitions share it evenly."),
      burst: count(1_000_000).default(1),
    })
    .nullable()
    .optional(),
  deadLetterStream: streamName.nullable().describe("Dead letters are appended here too.").optional(),
  push: pushTarget.nullable().optional(),
  durable: z
    .boolean()
    .describe("false: the place is kept in memory only, and the group goes with its last member. Set at creation.")
    .optional(),
  heartbeatMs: ms(limits.heartbeatMsMin, limits.heartbeatMsMax)
    .describe("A socket that is silent for this long is closed, and its leases return.")
    .optional(),
  only: z
    .array(text(limits.keyBytesMax))
    .min(1)
    .max(limits.onlyKeysMax)
    .nullable()
    .describe("Incident mode: deliver these keys only, in order; the others wait, in order. null ends it.")
    .optional(),
});

/** A JSON Merge Patch of it: members of members that are left out keep their value too, and null is the default. */
export const groupPatch = patchOf(groupConfig);

/** A group's configuration with every default filled in. */
export interface GroupConfig {
  start: string | number;
  filter: z.infer<typeof groupFilter> | null;
  order: "key" | "partition" | "none";
  maxInFlight: number;
  memberMaxInFlight: number | null;
  ackTimeoutMs: number;
  maxDeliveries: number;
  backoff: Backoff;
  onFailure: "block" | "park" | "skip";
  batch: { records: number; bytes: number; waitMs: number };
  rate: { perSecond: number; burst: number } | null;
  deadLetterStream: string | null;
  push: PushTarget | null;
  durable: boolean;
  heartbeatMs: number;
  only: string[] | null;
}

export const groupDefaults: GroupConfig = {
  start: "earliest",
  filter: null,
  order: "key",
  maxInFlight: defaults.inFlight,
  memberMaxInFlight: null,
  ackTimeoutMs: defaults.ackTimeoutMs,
  maxDeliveries: defaults.deliveries,
  backoff: { initialMs: 1_000, factor: 2, maxMs: 300_000 },
  onFailure: "block",
  batch: { records: defaults.batchRecords, bytes: defaults.batchBytes, waitMs: 0 },
  rate: null,
  deadLetterStream: null,
  push: null,
  durable: true,
  heartbeatMs: defaults.heartbeatMs,
  only: null,
};

export const pausedBecause = z
  .object({ reason: z.string(), at: z.string() })
  .describe("Why it stands still: an operator's word, or the receiver's doing.");

export const groupView = z.object({
  namespace: z.string(),
  stream: z.string(),
  group: z.string(),
  groupId: z.string().describe("Identity of this creation of the group."),
  config: groupConfig.describe("Credentials of a push are masked."),
  paused: z.boolean(),
  pausedBecause: pausedBecause.optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
});

const member = text(limits.memberBytesMax).describe("Name of the member, for `memberMaxInFlight` and the status.");

/** Query of a member's socket. */
export const groupLiveQuery = z.strictObject({
  member: member.default("socket"),
  partition: wholeText().optional().describe("Left out: every partition."),
});

const receipt = z.string().min(1).max(128).describe("From the delivery.");
const receipts = z.array(receipt).min(1).max(limits.ackMax);
const reason = text(limits.reasonBytesMax);

export const receiveBody = z.strictObject({
  max: count(limits.deliverMax).default(defaults.receiveRecords).describe("Records at most."),
  maxBytes: count(limits.deliverBytesMax).default(defaults.batchBytes),
  waitSeconds: z.number().min(0).max(limits.waitSecondsMax).default(0).describe("Long-poll."),
  member: member.default("pull"),
  ack: z.array(receipt).max(limits.ackMax).default([]).describe("Acknowledged before anything is received."),
  partition: z.number().int().min(0).optional(),
});
export type ReceiveBody = z.infer<typeof receiveBody>;

export const ackBody = z.strictObject({ receipts });
export const nackBody = z.strictObject({
  receipts,
  delayMs: ms(0, limits.delayMsMax).describe("Instead of the group's backoff.").optional(),
  reason: reason.optional(),
});
export const releaseBody = z.strictObject({ receipts });
export const extendBody = z.strictObject({
  receipts,
  ackTimeoutMs: ms(limits.ackTimeoutMsMin, limits.ackTimeoutMsMax)
    .describe("From now; by default the group's.")
    .optional(),
});
export const pauseBody = z.strictObject({ reason: reason.optional() });
/** Nothing, or an empty object. */
export const testBody = z.strictObject({});
export const seekBody = z.strictObject({ to: startAt, partition: z.number().int().min(0).optional() });

const letterId = z.string().regex(/^\d{1,7}\.\d{1,16}$/, "must be partition.offset, as listed");
export const lettersQuery = z.strictObject({
  partition: wholeText().optional().describe("Left out: those of every partition."),
  after: letterId.optional().describe("Go on after this letter: the `after` of the answer before."),
  limit: listLimit.describe("Letters in an answer at most."),
});
export const lettersBody = z.union([
  z.strictObject({ all: z.literal(true) }),
  z.strictObject({ letters: z.array(letterId).min(1).max(limits.listMax) }),
]);
export const redriveBody = z.union([
  ...lettersBody.options,
  z.strictObject({
    letter: letterId,
    data: z.unknown().describe("Delivered instead of the record's data. Any JSON value.").optional(),
  }),
]);
const laneId = z.string().regex(/^\d{1,7}\.\d{1,16}$/, "must be partition.lane, as listed");
export const lanesQuery = z.strictObject({
  partition: wholeText().optional().describe("Left out: those of every partition."),
  after: laneId.optional().describe("Go on after this lane: the `after` of the answer before."),
  limit: listLimit.describe("Lanes in an answer at most."),
});
const attemptId = z.string().regex(/^\d{1,7}\.\d{1,16}$/, "must be the `after` of the answer before");
export const attemptsQuery = z.strictObject({
  partition: wholeText().optional().describe("Left out: those of every partition."),
  after: attemptId.optional().describe("Go on after this attempt: the `after` of the answer before."),
  limit: listLimit.describe("Attempts in an answer at most."),
});
export const laneBody = z.strictObject({
  lane: laneId,
  offset: whole
    .describe("Of the lane's first record, as listed: where another stands there by now, nothing is done.")
    .optional(),
});

/** A delivery as members get it: the record's fields, and these. */
export const delivery = z
  .object({
    partition: z.number().int(),
    offset: z.number().int(),
    timestamp: z.string(),
    receipt: z.string().describe("Names the lease, in ack, nack, release and extend."),
    attempt: z.number().int().describe("1 for the first."),
    deliveryId: z.string().describe("The same at every attempt: for the receiver's deduplication."),
  })
  .catchall(z.unknown());
