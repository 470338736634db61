import * as z from "zod";
import { defaults, limits } from "./limits.ts";

/** What a route takes: to read records, to append them, to consume as a group, or to change what there is. */
export const rights = ["read", "append", "consume", "admin"] as const;
export type Right = (typeof rights)[number];

/** Body of `POST …/tickets`. */
export const ticketBody = z.strictObject({
  rights: z
    .array(z.enum(["read", "append", "consume"]))
    .min(1)
    .default(["read"]),
  expiresInSeconds: z.number().int().min(1).max(limits.ticketSecondsMax).default(defaults.ticketSeconds),
});

export const ticketView = z.object({
  ticket: z
    .string()
    .describe("Offer `millrace.ticket.<ticket>` as a WebSocket's subprotocol, or add `?ticket=` to a URL."),
  expiresAt: z.string(),
});
