/** What the blocks of a dump hold that is JSON. Strict: a field that is not known would be lost on the way back. */
import * as z from "zod";
import { whole as given } from "./fields.ts";
import { filterFields, groupConfig, pushTarget } from "./group.ts";
import { limits } from "./limits.ts";
import { namespaceName, streamName } from "./names.ts";
import { type PartitionRange, partitionRange, streamConfig } from "./stream.ts";
import { lastTime } from "./time.ts";

/** A place in a log. Where clients choose the offsets it may be as high as theirs; elsewhere no log has come beyond `countedMax`. */
const offset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** In ms since 1970, as far as it can be shown. */
const time = offset.max(lastTime);
/** What is counted on from here: no dump has come so far, and after it there is room. */
export const countedMax = 2 ** 48;
const counted = offset.max(countedMax);
/** Of leases: the clock's, and not counted on from what was restored. */
const generation = offset;
/** Records of a batch. */
const records = offset.max(limits.batchRecordsMax);
/** A partition's number: the map of a stream has no more. */
const partition = offset.max(4 * limits.partitionsMax);
const id = z.string().regex(/^[0-9a-f]{20}$/, "must be 20 hexadecimal digits");
const partitions = z
  .array(partition)
  .refine((list) => list.every((one, at) => at === 0 || one > list[at - 1]), "must be in order, each once");
const text = z.string().max(limits.dumpBlockBytesMax);
/** Text that is stored as JSON, of a shape, and comes back as it was. */
const jsonText = <T extends z.ZodType>(shape: T) =>
  text.refine((value) => isJson(value, shape), "is not the JSON it should be");

function isJson(value: string, shape: z.ZodType): boolean {
  try {
    return shape.safeParse(JSON.parse(value)).success;
  } catch {
    return false;
  }
}

export const namespaceDump = z.strictObject({ namespace: namespaceName });

export const streamDump = z
  .strictObject({
    stream: streamName,
    logId: id,
    version: counted.min(1),
    created: time,
    updated: time,
    config: streamConfig.required().extend({ placement: streamConfig.shape.placement }),
    map: z
      .array(z.strictObject(partitionRange.shape))
      .min(1)
      .max(4 * limits.partitionsMax),
    opened: partitions.describe("Partitions that exist."),
  })
  .refine(({ map }) => map.every(({ partition }, at) => partition === at), "map: partitions are numbered in order")
  .refine(
    ({ map }) => map.every((range, at) => isBorn(range, at, map)),
    "map: a partition does not continue its parent",
  )
  .refine(({ map }) => covers(map), "map: the ranges of the partitions do not cover all hashes, each once")
  .refine(({ map, opened }) => opened.every((one) => one < map.length), "opened: a partition is not in the map")
  .refine(
    ({ map, config }) => map.filter(({ sealed }) => !sealed).length === config.partitions,
    "config.partitions: the map has another number of partitions that take appends",
  );
export type StreamDump = z.infer<typeof streamDump>;

/** A part of what a partition before it, which was sealed for it, had. */
function isBorn({ from, to, epoch, parent }: PartitionRange, at: number, map: readonly PartitionRange[]): boolean {
  if (from < 0 || to > 2 ** 32 || from >= to) return false;
  if (parent === undefined) return epoch === 0;
  const before = parent >= 0 && parent < at ? map[parent] : undefined;
  return before?.sealed === true && epoch === before.epoch + 1 && from >= before.from && to <= before.to;
}

function covers(map: readonly { from: number; to: number; sealed: boolean }[]): boolean {
  const active = map.filter(({ sealed }) => !sealed).sort((a, b) => a.from - b.from);
  const joined = active.every(({ from, to }, at) => from === (active[at - 1]?.to ?? 0) && to > from);
  return joined && active[active.length - 1]?.to === 2 ** 32;
}

/** A text as it was stored: rules that came after it do not keep a dump from being restored. */
const asStored = (charsMax: number) => z.string().min(1).max(charsMax);

const storedConfig = groupConfig.extend({
  filter: filterFields(asStored).nullable(),
  only: z.array(asStored(limits.keyBytesMax)).min(1).max(limits.onlyKeysMax).nullable(),
  push: pushTarget
    .extend({
      url: asStored(limits.urlBytesMax),
      secrets: z.array(z.string().regex(/^whsec_[A-Za-z0-9+/=]{32,90}$/)).max(limits.secretsMax),
      headers: z.record(asStored(64), z.string().max(limits.headerCharsMax)),
    })
    .nullable(),
});

export const groupDump = z
  .strictObject({
    group: streamName,
    id,
    version: counted.min(1),
    paused: z.boolean(),
    because: z.strictObject({ reason: text, at: time }).optional().describe("Why it is paused."),
    partitions: partition.min(1).describe("Partitions that the stream had when the group came to be."),
    created: time,
    updated: time,
    config: storedConfig.required(),
    opened: partitions.describe("Partitions on which it has a place."),
  })
  .refine(({ config }) => config.only === null || config.order === "key", "config.only: it is for order by key");
export type GroupDump = z.infer<typeof groupDump>;

/** A group's place on a partition. */
export const placeDump = z
  .strictObject({
    group: streamName,
    partition,
    floor: offset,
    era: counted,
    done: z.base64().describe("Ranges above the floor that are finished; see `docs/STORAGE.md` of the package."),
    acked: z.base64().optional().describe("Ranges that were acked, and are yet to be met where they lie."),
    paused: jsonText(z.object({ reason: text, at: time })).nullable(),
    heritage: z.enum(["holding", "done"]).nullable(),
    forwarded: counted,
    lost: jsonText(z.array(z.strictObject({ from: offset, to: offset, why: z.enum(["trimmed", "damaged"]) })))
      .optional()
      .describe("Ranges that the group never got, and that no member has been told of."),
    unheard: jsonText(z.array(partition).min(1))
      .optional()
      .describe("Partitions that continue this one, on which the group is yet to hear that it begins anew."),
  })
  .refine(
    ({ partition, unheard = "[]" }) => isJson(unheard, z.array(offset.min(partition + 1))),
    "unheard: a partition that continues another has a higher number",
  );
export type PlaceDump = z.infer<typeof placeDump>;

const triesText = jsonText(
  z.array(
    z.object({
      attempt: counted,
      at: time,
      member: text,
      reason: text,
      generation: generation.optional(),
      nacked: z.literal(true).optional(),
    }),
  ),
);
const flag = z.union([z.literal(0), z.literal(1)]);
const laneDump = z.strictObject({
  id: counted.min(1),
  kind: z.enum(["key", "single", "whole"]),
  key: text.nullable(),
  start: offset,
  state: z.enum(["open", "retry", "parked", "held"]),
  attempts: counted,
  due: time,
  tries: triesText,
  redriven: flag,
  // Not there in dumps of a version that did not know them.
  voided: generation.optional(),
  waiting: counted.optional(),
  counted: offset.optional(),
  time: time.nullable().optional(),
  exact: flag.optional(),
  ahead: counted.optional(),
});
export type LaneDump = z.infer<typeof laneDump>;
export const lanesDump = z.array(laneDump).max(limits.lanesMax);

export const letterDump = z.strictObject({
  offset,
  timestamp: time,
  key: text.nullable(),
  died: time,
  attempts: counted,
  reason: text,
  tries: triesText,
  state: z.enum(["dead", "redriven"]),
  checked: flag,
  forward: counted.nullable(),
});

/** The end of a place: how much there was of it. */
export const settledDump = z.strictObject({ group: streamName, partition, lanes: counted, letters: counted });

export const partitionDump = z.strictObject({ partition });

export const keysDump = z.array(z.tuple([z.string().min(1).max(limits.keyBytesMax), offset]));
export type KeysDump = z.infer<typeof keysDump>;

const erasure = z.strictObject({
  id: text,
  target: z.union([z.strictObject({ key: text }), z.strictObject({ subject: text })]),
  to: offset,
  requested: time,
});

/** What a partition was when it was dumped: its records are those below `tail`. */
export const marksDump = z
  .strictObject({
    partition,
    head: offset,
    tail: offset,
    last: time.describe("No later record has an earlier timestamp, in ms."),
    sealed: z.boolean(),
    fence: asStored(limits.fenceBytesMax).optional(),
    thinned: z.boolean().describe("Records are missing between others: compaction dropped them.").optional(),
    producers: counted,
    ids: counted.describe("Rows of ids that a split parent handed over."),
    erasures: z.array(erasure).describe("Keys that are yet to be forgotten."),
  })
  .refine(({ head, tail }) => head <= tail, "the head is past the tail")
  .refine(({ tail, erasures }) => erasures.every(({ to }) => to <= tail), "erasures: one goes on past the tail");
export type MarksDump = z.infer<typeof marksDump>;

const run = z.union([
  z.tuple([z.union([z.literal(0), z.literal(1)]), offset, records]),
  z.tuple([z.literal(1), offset, records, partition]),
  z.tuple([z.literal(2), counted, records]),
  z.strictObject({
    verdict: z.enum(["appended", "duplicate"]),
    offset,
    count: records,
    partition: partition.optional(),
  }),
  z.strictObject({ verdict: z.literal("rejected"), reason: text, detail: text, count: records }),
]);
const countOf = (one: z.infer<typeof run>) => (Array.isArray(one) ? one[2] : one.count);
/** The answers to a producer's batches, as its row has them; those of before have runs that are objects. */
const batches = z.array(
  z
    .strictObject({
      sequence: given,
      sum: offset.optional(),
      owner: partition.optional(),
      reasons: z.array(z.tuple([text, text])).default([]),
      runs: z.array(run),
    })
    .refine(({ runs }) => runs.reduce((sum, one) => sum + countOf(one), 0) <= limits.batchRecordsMax)
    .refine(({ runs, reasons }) => runs.every((one) => !Array.isArray(one) || one[0] !== 2 || one[1] < reasons.length)),
);

export const producerDump = z.strictObject({
  id: z.string().min(1).max(limits.producerIdBytesMax),
  epoch: given,
  seen: time,
  batches: jsonText(batches),
});
export const producersDump = z.array(producerDump);

/** Records below it went while they were dumped. */
export const headDump = z.strictObject({ partition, head: offset });
export type HeadDump = z.infer<typeof headDump>;
export const closeDump = z.strictObject({ partition, chunks: counted, records: counted });
export type CloseDump = z.infer<typeof closeDump>;

export const totalsDump = z.strictObject({
  streams: counted,
  groups: counted,
  partitions: counted,
  chunks: counted,
  records: counted,
  letters: counted,
});
export type TotalsDump = z.infer<typeof totalsDump>;
