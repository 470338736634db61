import * as z from "zod";
import { listLimit, switchText } from "./fields.ts";
import { defaults, limits } from "./limits.ts";
import { streamName } from "./names.ts";
import { patchOf } from "./patch.ts";

const count = (max: number) => z.number().int().min(1).max(max);

const age = z.number().int().min(limits.retentionAgeMsMin).max(limits.retentionMsMax);

/** The columns that every Parquet file has, in their order. */
export const parquetAttributes = [
  "partition",
  "offset",
  "timestamp",
  "key",
  "id",
  "source",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
  "tags",
  "extensions",
  "data",
  "data_binary",
] as const;

/** A column of the user's own in the Parquet files. */
export const parquetColumn = z.strictObject({
  name: z
    .string()
    .max(limits.parquetNameCharsMax)
    .regex(/^[a-z][a-z0-9_]*$/, "a letter, then letters, digits or _, all lower case")
    .refine((name) => !(parquetAttributes as readonly string[]).includes(name), "every file has a column of this name")
    .describe("Name of the column: lower case letters, digits and `_`; none of the attributes'."),
  path: z
    .string()
    .max(limits.parquetPathCharsMax)
    .regex(/^[^.]+(\.[^.]+)*$/, "names of members, joined by dots")
    .refine((path) => path.isWellFormed(), "must be well-formed Unicode")
    .describe("Where in data that are JSON: names of members, joined by dots, as `order.amount`."),
  type: z
    .enum(["string", "int", "double", "boolean", "timestamp", "json"])
    .describe(
      "What the column holds; a value that does not fit is null. `int`: whole, below 2^53. `timestamp`: a text in RFC 3339, kept in ms. `json`: any value, as JSON text.",
    ),
});
export type ParquetColumn = z.infer<typeof parquetColumn>;

/** The columns of a stream's Parquet files: each name once. */
export const parquetColumns = z
  .array(parquetColumn)
  .max(limits.parquetColumnsMax)
  .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, "two columns have the same name");

/** What a user may set of a stream. Fields left out of a PUT keep their value, or take the default on creation. */
export const streamConfig = z.strictObject({
  partitions: count(limits.partitionsMax).describe("Partitions that take appends; may only grow.").optional(),
  deduplicationWindowMs: z
    .number()
    .int()
    .min(0)
    .max(limits.deduplicationWindowMsMax)
    .describe("For how long a repeated CloudEvents source+id is answered as a duplicate, in ms; 0 turns it off.")
    .optional(),
  timestamps: z
    .enum(["arrival", "client"])
    .describe("`arrival`: the partition's clock. `client`: the record's own timestamp, raised to the one before it.")
    .optional(),
  offsets: z
    .enum(["assigned", "producer"])
    .describe("`assigned`: 0, 1, 2 … `producer`: each record brings its offset, strictly increasing. Set at creation.")
    .optional(),
  keyIndex: z
    .boolean()
    .describe("Keep the last offset of each key, for `expectedKeyOffset`: a row written per key and commit.")
    .optional(),
  retentionAgeMs: age.describe("Records are kept for so long, to an eighth; null for ever.").nullable().optional(),
  retentionBytes: count(Number.MAX_SAFE_INTEGER)
    .describe("Bytes that each partition keeps, and up to an eighth more; null for any number.")
    .nullable()
    .optional(),
  retentionRecords: count(Number.MAX_SAFE_INTEGER)
    .describe("Records that each partition keeps, and up to an eighth more; null for any number.")
    .nullable()
    .optional(),
  keepForGroups: z
    .boolean()
    .describe(
      "Retention waits until every group has finished a record. Without other bounds, records go when all groups have.",
    )
    .optional(),
  archive: z
    .boolean()
    .describe("What retention drops goes to the archive first, and stays readable at the same offsets.")
    .optional(),
  archiveAgeMs: age
    .describe("Records that lie in the archive alone, and are older than this, are deleted for good; null: never.")
    .nullable()
    .optional(),
  keepForSnapshot: z
    .boolean()
    .describe("Retention drops only what the newest snapshot of the partition covers.")
    .optional(),
  snapshotsKept: count(limits.snapshotsMax).describe("Snapshots that a partition keeps: the newest.").optional(),
  compact: z
    .boolean()
    .describe("Keep only the latest record of each key, in time. Records without a key stay; offsets stay.")
    .optional(),
  deleteMarkerGraceMs: z
    .number()
    .int()
    .min(0)
    .max(limits.retentionMsMax)
    .describe(
      "For how long compaction keeps the last record of a key that has no data, so that readers see the deletion.",
    )
    .optional(),
  ttlMs: age.describe("The stream is deleted so long after its creation; null: never.").nullable().optional(),
  deleteOnEmptyMs: age
    .describe("The stream is deleted when retention has emptied it and nothing was appended for so long; null: never.")
    .nullable()
    .optional(),
  segmentEvents: streamName
    .describe(
      "A stream of the namespace that is told when a segment was archived or dropped: give it a group with push.",
    )
    .nullable()
    .optional(),
  parquet: parquetColumns
    .describe(
      "Write each archived segment as a Parquet file too, with these columns beside the attributes; null: don't.",
    )
    .nullable()
    .optional(),
  recordBytesMax: count(limits.recordBytesMax).describe("Largest encoded record, in bytes.").optional(),
  batchBytesMax: count(limits.batchBytesMax).describe("Largest decoded body of an append, in bytes.").optional(),
  placement: z
    .enum(["wnam", "enam", "sam", "weur", "eeur", "apac", "apac-ne", "apac-se", "oc", "afr", "me"])
    .describe("Where new partitions are placed. Partitions that exist do not move.")
    .optional(),
});

/** A JSON Merge Patch of it: null is the default. */
export const streamPatch = patchOf(streamConfig);

/** A stream's configuration with every default filled in. `placement` stays absent where none was asked for. */
export interface StreamConfig {
  partitions: number;
  deduplicationWindowMs: number;
  timestamps: "arrival" | "client";
  offsets: "assigned" | "producer";
  keyIndex: boolean;
  retentionAgeMs: number | null;
  retentionBytes: number | null;
  retentionRecords: number | null;
  keepForGroups: boolean;
  archive: boolean;
  archiveAgeMs: number | null;
  keepForSnapshot: boolean;
  snapshotsKept: number;
  compact: boolean;
  deleteMarkerGraceMs: number;
  ttlMs: number | null;
  deleteOnEmptyMs: number | null;
  segmentEvents: string | null;
  parquet: ParquetColumn[] | null;
  recordBytesMax: number;
  batchBytesMax: number;
  placement?: NonNullable<z.infer<typeof streamConfig>["placement"]>;
}

export const streamDefaults: StreamConfig = {
  partitions: defaults.partitions,
  deduplicationWindowMs: defaults.deduplicationWindowMs,
  timestamps: "arrival",
  offsets: "assigned",
  keyIndex: false,
  retentionAgeMs: null,
  retentionBytes: null,
  retentionRecords: null,
  keepForGroups: false,
  archive: false,
  archiveAgeMs: null,
  keepForSnapshot: false,
  snapshotsKept: defaults.snapshotsKept,
  compact: false,
  deleteMarkerGraceMs: defaults.deleteMarkerGraceMs,
  ttlMs: null,
  deleteOnEmptyMs: null,
  segmentEvents: null,
  parquet: null,
  recordBytesMax: limits.recordBytesMax,
  batchBytesMax: limits.batchBytesMax,
};

/** A partition as the map shows it: the hash range `[from, to)` of 32-bit key hashes that it owns, or owned. */
export const partitionRange = z.object({
  partition: z.number().int().describe("Number of the partition, never used again."),
  from: z.number().int().describe("First key hash of the range."),
  to: z.number().int().describe("Key hash after the range (at most 2^32)."),
  epoch: z.number().int().describe("Generation: one more than its parent's."),
  parent: z.number().int().optional().describe("The sealed partition that it continues."),
  sealed: z.boolean().describe("Takes no more appends; its records stay readable."),
});
export type PartitionRange = z.infer<typeof partitionRange>;

export const streamView = z.object({
  namespace: z.string(),
  stream: z.string(),
  logId: z.string().describe("Identity of this creation of the stream; cursors carry it."),
  config: streamConfig,
  mapVersion: z.number().int(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type StreamView = z.infer<typeof streamView>;

/** Query of the `DELETE` of a namespace. */
export const deleteNamespaceQuery = z.strictObject({
  force: switchText.default(false).describe("Delete its streams too."),
});

/** Query of a `PUT`, and of a `PATCH`. */
export const streamPutQuery = z.strictObject({
  dryRun: z
    .enum(["true", "false"])
    .describe("Change nothing: answer what the stream would be, and what it would lose.")
    .optional(),
});

/** What they answer. */
export const streamPut = streamView.extend({
  drops: z
    .number()
    .int()
    .describe(
      "Records that the bounds kept until then and keep no more: they go as soon as nothing else holds them. Absent where there are none; null where a partition could not be asked.",
    )
    .nullable()
    .optional(),
});
export type StreamPut = z.infer<typeof streamPut>;

export const namespaceView = z.object({
  namespace: z.string(),
  createdAt: z.string().describe("Absent of `default`, which was always there.").optional(),
});
export type NamespaceView = z.infer<typeof namespaceView>;

/** Query of a list: names that start with `prefix`, after the name `after`. */
export const listQuery = z.strictObject({
  prefix: z.string().max(limits.nameCharsMax).optional().describe("Names that begin so."),
  after: streamName.optional().describe("Go on after this name: the `after` of the answer before."),
  limit: listLimit.describe("Names in an answer at most."),
});
export type ListQuery = z.infer<typeof listQuery>;

/** What `GET …/partitions/{p}` says. Times are RFC 3339, absent in an empty log. */
export const partitionFacts = z.object({
  partition: z.number().int(),
  head: z.number().int().describe("Oldest readable offset."),
  tail: z.number().int().describe("Next offset to be written."),
  hotFrom: z.number().int().describe("From here on records lie in the database; those before it, in the archive."),
  records: z.number().int(),
  bytes: z.number().int().describe("Bytes of the chunks."),
  chunks: z.number().int(),
  segments: z.number().int().describe("Sealed segments."),
  hotBytes: z.number().int().describe("Bytes of the chunks in the database."),
  archived: z
    .object({ segments: z.number().int(), records: z.number().int(), bytes: z.number().int() })
    .describe("Segments that have an object."),
  firstTimestamp: z.string().optional(),
  lastTimestamp: z.string().optional(),
  sealed: z.boolean(),
  fence: z.string().optional(),
  rowsWritten: z.number().int().describe("Rows written since the object woke; the platform bills them."),
});
