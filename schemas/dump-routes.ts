/** What the routes of dumps and restores are asked, and what a restore answers. */
import * as z from "zod";
import { switchText, wholeText } from "./fields.ts";
import { limits } from "./limits.ts";

/** Names in time: of the streams that have a name one after another, one. */
const origin = z
  .string()
  .regex(/^(\d{1,16}-)?[0-9a-f]{20}(-[0-9a-f]{0,16})?$/, "as the header Millrace-Origin said, or the log's id")
  .optional()
  .describe("What the header Millrace-Origin said, or the log's id: another stream of the name is refused.");

/** Query of `…/groups/{group}/dump`. */
export const placeQuery = z.strictObject({
  origin,
  id: z
    .string()
    .regex(/^[0-9a-f]{20}$/, "must be 20 hexadecimal digits")
    .optional()
    .describe("The group's id, as its block says: another group of the name is refused."),
  partition: wholeText().describe("Whose place."),
  after: z
    .string()
    .regex(/^(lane|letter):\d{1,16}$/, "as the header Millrace-Next said")
    .optional()
    .describe("Go on here: what the header Millrace-Next of the answer before said."),
});

const from = wholeText(0, Number.MAX_SAFE_INTEGER);

/** Query of `…/partitions/{p}/dump`. */
export const partitionQuery = z.strictObject({
  origin,
  part: z
    .enum(["state", "keys", "records"])
    .default("records")
    .describe("`state`: marks, producers, ids. `keys`: the key index. `records`: chunks."),
  from: from.default(0).describe("First offset, of `records`."),
  to: from.optional().describe("Offset after the last; default the tail."),
  after: z.string().max(limits.keyBytesMax).default("").describe("Go on after this key, of `keys`."),
});

/** Query of `…/restore`. */
export const restoreQuery = z.strictObject({
  dump: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal digits")
    .describe("SHA-256 of the dump: which one it is that is being restored."),
  newId: switchText.default(false).describe("Give the log and its groups new ids: the original lives on elsewhere."),
});
/** Query of `…/restore/finish`. */
export const finishQuery = z.strictObject({
  resume: switchText
    .default(false)
    .describe("Let the groups go on as they were. Otherwise they stand still until each is resumed."),
});
export const restorePlaceQuery = z.strictObject({
  partition: wholeText().optional().describe("Whose place; left out: the group's definition."),
});

/** What a restore was answered: the log that is being filled. */
export const restoredStream = z.object({
  stream: z.string(),
  logId: z.string(),
  created: z.number().int().describe("When the stream was created, in ms since 1970; under a new id, now."),
  finished: z.boolean().describe("This dump has been restored here before; nothing is to be done."),
});

/** Where a restore of a partition stands. */
export const restoreStand = z.object({
  partition: z.number().int(),
  marks: z.boolean().describe("The marks are there."),
  producers: z.number().int(),
  ids: z.number().int(),
  next: z.number().int().describe("The chunk that is wanted next begins here, or later where offsets have holes."),
  tail: z.number().int().optional().describe("Its records end here, as soon as the marks are there."),
  chunks: z.number().int(),
  closed: z.boolean().describe("Everything is there."),
});
export type RestoreStand = z.infer<typeof restoreStand>;
