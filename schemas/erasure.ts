import * as z from "zod";
import { text } from "./fields.ts";
import { limits } from "./limits.ts";
import { streamName } from "./names.ts";

const keyText = text(limits.keyBytesMax);
const id = streamName.describe("Name of the request, for asking again; a random one where none is given.").optional();

/** Body of a request to forget. */
export const eraseBody = z
  .union(
    [
      z.strictObject({ key: keyText.describe("Every record of this key."), id }),
      z.strictObject({
        subject: text(limits.attributeBytesMax).describe("Every record of this CloudEvents subject."),
        id,
      }),
    ],
    {
      error: `say either key, of 1 to ${limits.keyBytesMax} bytes, or subject, of 1 to ${limits.attributeBytesMax}, in well-formed Unicode; id besides, if need be`,
    },
  )
  .describe("Whose records are to be forgotten.");

/** Whose records. */
export type Target = { readonly key: string } | { readonly subject: string };

/** How far a request is on one partition; the receipt, once it is done. */
export const erasureView = z.object({
  partition: z.number().int(),
  state: z
    .enum(["rewriting", "deleting", "done"])
    .describe(
      "`rewriting`: segments are searched, and groups asked. `deleting`: objects wait to be deleted. `done`: a receipt; nothing of ours has the records any more.",
    ),
  to: z.number().int().describe("Records below this offset are concerned: the tail when it was requested."),
  at: z.number().int().describe("How far the search has come."),
  records: z.number().int().describe("Records that became tombstones."),
  segments: z.number().int().describe("Segments that held them."),
  objects: z.number().int().describe("Objects that may hold them and are yet to be deleted, up to a thousand."),
  unread: z
    .array(z.number().int())
    .describe(
      "First offsets of damaged chunks, and of segments of which some are missing, which could not be searched. Repair them; where the request is `done`, ask anew then, under a new id.",
    ),
  requested: z.string(),
  finished: z.string().optional(),
});
export type ErasureView = z.infer<typeof erasureView>;

/** A request over all partitions that may hold what it concerns. */
export const erasure = z.object({ id: z.string(), done: z.boolean(), partitions: z.array(erasureView) });

/** Body of a repair. */
export const repairBody = z
  .strictObject({
    mode: z
      .enum(["isolate", "truncate", "rebuild"])
      .describe(
        "`isolate`: chunks that cannot be read become holes. `truncate`: everything from `from` on does. `rebuild`: an empty partition becomes what its objects in the archive say.",
      ),
    from: z.number().int().min(0).describe("First offset that is looked at, or lost. `truncate` needs it.").optional(),
    to: z
      .number()
      .int()
      .min(0)
      .describe("Offset after the last one that is looked at; the tail without it.")
      .optional(),
  })
  .refine(({ mode, from }) => mode !== "truncate" || from !== undefined, {
    path: ["from"],
    message: "say from which offset on everything is to go",
  })
  .refine(({ from = 0, to }) => to === undefined || to >= from, { path: ["to"], message: "must not be below 'from'" });
export type RepairInput = z.input<typeof repairBody>;

/** What a partition is asked to give up. */
export type RepairCall = RepairInput & { readonly from: number };

/** Offsets `[from, to)` that a repair has made a hole, and why. */
export const lost = z.object({ from: z.number().int(), to: z.number().int(), reason: z.string() });
export type LostRange = z.infer<typeof lost>;

/** A range of the answer to a repair. */
export const lostNow = lost.extend({
  before: z
    .literal(true)
    .optional()
    .describe("It was lost when this request came: by a repair before, or by this one, where it is sent again."),
});
