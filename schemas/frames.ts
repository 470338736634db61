/** Messages on a group's socket, in JSON, each way. Besides them a member may send the text `ping`, answered with `pong`. */
import { z } from "zod";
import { ackBody, delivery, extendBody, nackBody } from "./group.ts";
import { limits } from "./limits.ts";

/** From a member. */
export const memberMessage = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("credit"),
    credits: z.number().int().min(1).max(limits.creditsMax).describe("Deliveries that the member takes more."),
  }),
  z.strictObject({ type: z.literal("ack"), ...ackBody.shape }),
  z.strictObject({ type: z.literal("nack"), ...nackBody.shape }),
  z.strictObject({ type: z.literal("extend"), ...extendBody.shape }),
]);
export type MemberMessage = z.infer<typeof memberMessage>;

/** To a member. */
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
    .describe("The partition was split, and its records are finished: connect again for those that continue it."),
  z.object({ type: z.literal("error"), code: z.string(), detail: z.string(), fatal: z.boolean() }),
]);
export type GroupMessage = z.infer<typeof groupMessage>;
