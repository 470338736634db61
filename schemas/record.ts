import * as z from "zod";
import { decimalText, switchText, text, whole, wholeText } from "./fields.ts";
import { defaults, limits } from "./limits.ts";
import { attributeText, extensionName, fieldRules } from "./text.ts";
import { momentProblem } from "./time.ts";

const attribute = (name: keyof typeof fieldRules) => text(limits.attributeBytesMax, fieldRules[name]);
/** A filter may name what was stored before attributes had their rules. */
const wanted = text(limits.attributeBytesMax);
const rfc3339 = attribute("time").meta({ format: "date-time" });

const moment = text(limits.attributeBytesMax, momentProblem).describe(
  "RFC 3339, a day, or so long ago, such as `90m`.",
);

/** One record of an append. `data` is any JSON value and is stored as it was sent, byte for byte. */
export const recordInput = z.strictObject({
  key: text(limits.keyBytesMax).describe("Partition key: records of one key keep their order.").optional(),
  data: z.unknown().describe("Any JSON value, stored byte for byte as sent.").optional(),
  data_base64: z.base64().describe("Binary data, instead of `data`.").optional(),
  datacontenttype: attribute("datacontenttype").describe("A media type.").optional(),
  id: attribute("id").describe("With `source` and `key`, what deduplication compares.").optional(),
  source: attribute("source").describe("A URI-reference.").optional(),
  type: attribute("type").optional(),
  subject: attribute("subject").optional(),
  time: rfc3339.describe("RFC 3339; stored as it was sent.").optional(),
  dataschema: attribute("dataschema").describe("A URI.").optional(),
  tags: z.array(text(limits.tagBytesMax)).max(limits.tagsMax).optional(),
  extensions: z
    .record(
      z.string().superRefine((value, context) => {
        const problem = extensionName(value);
        if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
      }),
      z.union([
        text(limits.attributeBytesMax, attributeText),
        z.boolean(),
        z
          .number()
          .int()
          .min(-2147483648)
          .max(2147483647)
          .refine((value) => !Object.is(value, -0), "must be 0: a negative one would not be kept"),
      ]),
    )
    .refine((value) => Object.keys(value).length <= limits.extensionsMax, `at most ${limits.extensionsMax}`)
    .describe("CloudEvents extension attributes, by names that are neither CloudEvents' nor Millrace's own.")
    .optional(),
  timestamp: z
    .union([whole, rfc3339])
    .describe("Only for streams with `timestamps: client`: ms since 1970, or RFC 3339.")
    .optional(),
  offset: whole.describe("Only for streams with `offsets: producer`.").optional(),
});
export type RecordInput = z.infer<typeof recordInput>;

export const appendBody = z.strictObject({ records: z.array(recordInput).min(1).max(limits.batchRecordsMax) });

const several = <T extends z.ZodType>(schema: T) => z.array(schema).max(limits.filterValuesMax).optional();

export const expectedKeyOffset = z.union([z.literal("none"), whole]);
const number = wholeText();
export const fenceToken = text(limits.fenceBytesMax);

/** Query of an append. `key`, `type` and `tag` apply to a raw body. */
export const appendQuery = z.strictObject({
  partition: number.optional().describe("All records go here. Left out: each goes by its key, its id, or anywhere."),
  ack: z
    .enum(["durable", "none"])
    .default("durable")
    .describe("`none`: answered 202 at once, and what becomes of the records is not told."),
  atomic: switchText.default(false).describe("All records or none, side by side, in one partition."),
  expectedOffset: number.optional().describe("Appends only if the partition's tail is here; else 412."),
  expectedKeyOffset: z
    .union([z.literal("none"), number])
    .optional()
    .describe(
      "Appends only if the batch's one key has no record above this offset; `none`: no record. The stream needs `keyIndex`.",
    ),
  fence: fenceToken.optional().describe("The token that the partition's fence asks of writers."),
  verdicts: z
    .enum(["each", "runs"])
    .optional()
    .describe("A verdict a record, or a run of them with its count. Default: `runs` for frames, else `each`."),
  raw: switchText.default(false).describe("The body is the data of one record, whatever its type."),
  key: text(limits.keyBytesMax).optional().describe("Of the record of a raw body."),
  type: attribute("type").optional().describe("Of the record of a raw body."),
  tag: several(text(limits.tagBytesMax)).describe("Of the record of a raw body; may be given several times."),
});
export type AppendQuery = z.infer<typeof appendQuery>;

/** An idempotent producer's number for a batch. */
export const producerTerms = z.strictObject({
  id: text(limits.producerIdBytesMax),
  epoch: whole,
  sequence: whole,
});
/** The same as headers: `Producer-Id`, `Producer-Epoch`, `Producer-Seq`, all or none. */
export const producerHeaders = producerTerms.extend({ epoch: number, sequence: number });

/** Query of a read. */
export const readQuery = z.strictObject({
  partition: number.optional().describe("Left out: the whole stream, in its merged order."),
  key: text(limits.keyBytesMax).optional().describe("Records of this key alone, wherever they lie."),
  from: z
    .string()
    .max(16_384)
    .describe(
      "An offset, `earliest`, `latest`, `snapshot`, `-n`, a time (RFC 3339, a day, or `90m`: so long ago), or a cursor. Left out: `earliest`, or, backward, `latest`.",
    )
    .optional(),
  to: z
    .string()
    .max(16_384)
    .describe(
      "Where to end, exclusive: an offset, a time, a cursor, or `latest`, as it lies when the request comes. Read forward.",
    )
    .optional(),
  limit: wholeText(1, limits.pageRecordsMax).default(defaults.pageRecords).describe("Records of a page at most."),
  maxBytes: z
    .union([z.literal("all"), wholeText(1, limits.pageBytesMax)])
    .default(defaults.pageBytes)
    .describe("Bytes of a page, about; it has one record at least. `all`: everything up to the tail, as a stream."),
  wait: decimalText(0, limits.waitSecondsMax)
    .default(0)
    .describe("Seconds to wait for a record where there is none yet."),
  direction: z.enum(["forward", "backward"]).default("forward").describe("`backward`: the newest first."),
  type: several(wanted).describe("Records of this type. May be given several times."),
  source: several(wanted).describe("The same of the source."),
  tag: several(text(limits.tagBytesMax)).describe("Records with this tag. May be given several times."),
  match: z
    .enum(["any", "all"])
    .optional()
    .describe("Whether one of several values is enough; to be said where there are several."),
});
export type ReadQuery = z.infer<typeof readQuery>;

export const verdict = z.union([
  z.object({ verdict: z.literal("appended"), partition: z.number().int(), offset: z.number().int() }),
  z.object({ verdict: z.literal("duplicate"), partition: z.number().int(), offset: z.number().int() }),
  z.object({
    verdict: z.literal("rejected"),
    partition: z.number().int().optional(),
    reason: z.string(),
    detail: z.string(),
  }),
]);
export type Verdict = z.infer<typeof verdict>;

/** Query of a verification. */
export const verifyQuery = z.strictObject({
  from: wholeText().default(0).describe("Where to begin, or to go on: the `next` of the answer before."),
});

/** Body of `…/partitions/{p}/trim`: drop what lies before an offset, or before a time. */
export const trimBody = z.union([z.strictObject({ beforeOffset: whole }), z.strictObject({ beforeTime: moment })], {
  error: "say either beforeOffset, an offset, or beforeTime, a time, and nothing else",
});

/** Body of `…/partitions/{p}/fence`: the token that writers must name from now on; null lifts it. */
export const fenceBody = z.strictObject({
  token: text(limits.fenceBytesMax).nullable(),
  expected: text(limits.fenceBytesMax).nullable().optional(),
});
