/**
 * Messages on sockets, in JSON, each way: a group's, and a stream's. Besides them either may be sent the text `ping`,
 * which is answered with `pong`. What a stream's socket sends in binary is in docs/PROTOCOL.md.
 */
import * as z from "zod";
import { whole, wholeText } from "./fields.ts";
import { ackBody, delivery, extendBody, groupFilter, nackBody, releaseBody } from "./group.ts";
import { limits } from "./limits.ts";
import { expectedKeyOffset, fenceToken, producerTerms } from "./record.ts";

/** What lies behind all that was sent before it: who sends it back has read that. */
const confirm = {
  type: z.literal("confirm"),
  nonce: z.string().max(64).describe("To be sent back as it is, at once."),
};

/** From a member of a group. */
export const memberMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("credit"),
    credits: z.number().int().min(1).max(limits.creditsMax).describe("Deliveries that the member takes more."),
  }),
  z.strictObject({ type: z.literal("ack"), ...ackBody.shape }),
  z.strictObject({ type: z.literal("nack"), ...nackBody.shape }),
  z.strictObject({ type: z.literal("release"), ...releaseBody.shape }),
  z.strictObject({ type: z.literal("extend"), ...extendBody.shape }),
  z.strictObject(confirm).describe("What the member was sent up to here, it has read."),
]);
export type MemberMessage = z.infer<typeof memberMessage>;

/**
 * To a Worker that relays for a member of several partitions, besides what a member is told: there is something to be had for
 * credits; and credits that could not be used.
 */
export const relayMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("waiting") }),
  z.object({ type: z.literal("unused"), credits: z.number().int() }),
]);
export type RelayMessage = z.infer<typeof relayMessage>;

/** What is wrong, and where in the message. */
const errorFacts = {
  code: z.string(),
  detail: z.string(),
  retryable: z.boolean(),
  clean: z.boolean(),
  fatal: z.boolean().describe("The socket is closed."),
  path: z.string().optional(),
  pointer: z.string().describe("JSON Pointer (RFC 6901), such as /records/1/key.").optional(),
};

/** To a member of a group. */
export const groupMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready"), member: z.string(), heartbeatMs: z.number().int() }),
  z.object({ type: z.literal("deliveries"), deliveries: z.array(delivery) }),
  z.object({
    type: z.literal("refused"),
    refused: z.array(z.object({ receipt: z.string(), code: z.string(), detail: z.string() })),
  }),
  z.object({
    type: z.literal("lost"),
    lost: z.array(
      z.object({ partition: z.number().int(), from: z.number().int(), to: z.number().int(), why: z.string() }),
    ),
  }),
  z
    .object({ type: z.literal("split") })
    .describe("The stream has grown, or the one partition that was asked for is finished: connect again."),
  z.object(confirm).describe("Send it back at once: what is owed to a member that does not is bounded."),
  z.object({ type: z.literal("error"), ...errorFacts }),
]);
export type GroupMessage = z.infer<typeof groupMessage>;

/** Of a subscription, or of an append; the answers carry it. Each new one on a socket is higher than the last. */
const messageId = z.number().int().min(0).max(0xffffffff);
const credits = z
  .number()
  .int()
  .min(1)
  .max(limits.creditsMax)
  .describe("What the reader takes more: a record costs one credit, a large one a credit for each begun KiB.");

/** Query of a stream's socket. */
export const liveQuery = z.strictObject({
  partition: wholeText().describe("Only this partition, straight to its object.").optional(),
  ticket: z.string().describe("Instead of a token.").optional(),
});

/** What an append on a socket asks for besides its records. */
export const appendTerms = {
  producer: producerTerms.optional(),
  partition: whole.optional(),
  atomic: z.boolean().optional(),
  expectedOffset: whole.optional(),
  expectedKeyOffset: expectedKeyOffset.optional(),
  fence: fenceToken.optional(),
};
/** The terms before the frames of a binary append. */
export const binaryTerms = z.strictObject(appendTerms);

/** From a client of a stream. */
export const clientMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("subscribe"),
    id: messageId,
    partition: whole.describe("Left out: the whole stream, or the partition of the filter's key.").optional(),
    from: z
      .union([z.string().max(16_384), z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)])
      .default("latest")
      .describe("As in a read: an offset, `earliest`, `latest`, `snapshot`, `-n`, a time, or a cursor."),
    filter: groupFilter.optional(),
    credits,
  }),
  z.strictObject({ type: z.literal("credit"), id: messageId, credits }),
  z.strictObject({ type: z.literal("unsubscribe"), id: messageId }),
  z.strictObject(confirm).describe("What the client was sent up to here, it has read."),
  z.strictObject({
    type: z.literal("append"),
    id: messageId,
    records: z.array(z.unknown()).min(1).max(limits.batchRecordsMax).describe("As in the body of an append."),
    ...appendTerms,
  }),
]);
export type ClientMessage = z.infer<typeof clientMessage>;
export type Subscribe = Extract<ClientMessage, { type: "subscribe" }>;

const range = z.object({
  partition: z.number().int(),
  from: z.number().int(),
  to: z.number().int(),
  why: z.string().describe("`trimmed`, or what is damaged."),
});

/** To a Worker that fans in: the next record costs more than the credits that are left, and is not sent on credit to it. */
export const largeMessage = z.object({ type: z.literal("large"), id: messageId, cost: z.number().int() });
export type LargeMessage = z.infer<typeof largeMessage>;

/** To a client of a stream. */
export const streamMessage = z.discriminatedUnion("type", [
  z.object({ type: z.literal("ready"), logId: z.string() }),
  z.object({
    type: z.literal("records"),
    id: messageId,
    cost: z.number().int().describe("Credits that the records have cost: what to give back when they are done."),
    cursor: z.string().describe("Where to go on, after these records."),
    upToDate: z.boolean(),
    records: z.array(z.unknown()),
  }),
  z
    .object({ type: z.literal("heartbeat"), id: messageId, cursor: z.string(), upToDate: z.boolean() })
    .describe("Nothing to show, but the place has moved: past records that the filter left out, or to the tail."),
  z
    .object({
      type: z.literal("lost"),
      id: messageId,
      cursor: z.string().describe("The place behind what is missing, where that lies at the place."),
      lost: z.array(range),
    })
    .describe("Offsets that were trimmed, or are damaged, before they were read."),
  z
    .object({ type: z.literal("end"), id: messageId, cursor: z.string() })
    .describe("The partition was split, and is read."),
  z.object({
    type: z.literal("verdicts"),
    answers: z.array(z.object({ id: messageId, runs: z.array(z.unknown()) })).describe("Of appends, in their order."),
  }),
  z
    .object({
      type: z.literal("snapshot"),
      partition: z.number().int(),
      offset: z.number().int(),
      bytes: z.number().int(),
    })
    .describe(
      "A new snapshot of a partition that is followed; or that which a subscription from `snapshot` begins with.",
    ),
  z.object(confirm).describe("Send it back at once: what is owed to a client that does not is bounded."),
  z.object({ type: z.literal("split") }).describe("The stream has grown: connect again, and go on from the cursors."),
  z.object({
    type: z.literal("error"),
    id: messageId.optional(),
    ...errorFacts,
  }),
]);
export type StreamMessage = z.infer<typeof streamMessage>;
