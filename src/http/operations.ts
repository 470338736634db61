/** What the reference says of each route: one entry a method, under the path as the router has it. */
import * as z from "zod";
import { appendBody, appendQuery, fenceBody, readQuery, trimBody, verdict } from "../../schemas/record.ts";
import { snapshotNote } from "../../schemas/snapshot.ts";
import {
  deleteNamespaceQuery,
  listQuery,
  namespaceView,
  partitionFacts,
  partitionRange,
  streamConfig,
  streamPatch,
  streamPut,
  streamPutQuery,
  streamView,
} from "../../schemas/stream.ts";
import { dumpOperations } from "./dump-operations.ts";
import { groupOperations } from "./groups/operations.ts";
import { eventStream } from "./live/events.ts";
import { liveOperations } from "./live/operations.ts";
import {
  always,
  listBytes,
  type Operation,
  ofNamespace,
  ofPartition,
  ofRestore,
  ofStream,
  onlyNew,
  withBody,
} from "./operation.ts";
import { mergePatch } from "./parse.ts";
import { pastOperations } from "./past-operations.ts";
import { snapshotOperations } from "./snapshots/operations.ts";

const verdicts = z.union([
  z.object({ verdicts: z.array(verdict) }),
  z
    .object({ runs: z.array(z.intersection(verdict, z.object({ count: z.number().int() }))) })
    .describe("Equal verdicts once, with `verdicts=runs`."),
]);

const listed = (name: string, item: z.ZodType) =>
  z.object({ [name]: z.array(item), after: z.string().optional().describe("Pass as `after` for the next page.") });
const damaged = z.object({
  partition: z.number().int(),
  chunk: z.number(),
  from: z.number(),
  to: z.number(),
  reason: z.string(),
});
const lost = z.object({ partition: z.number().int(), from: z.number(), to: z.number(), why: z.string() });
const shownRecord = z
  .object({ partition: z.number().int(), offset: z.number().int(), timestamp: z.string() })
  .catchall(z.unknown())
  .describe(
    "The fields of the append, with the record's place. `data_base64` for data that are neither JSON nor text.",
  );
const page = z.object({
  records: z.array(shownRecord),
  partition: z.number().int().optional(),
  head: z.number().int().optional(),
  tail: z.number().int().optional(),
  next: z
    .union([z.number(), z.string(), z.null()])
    .describe("Pass as `from` to go on: an offset, or a cursor. Null where a backward read has come to the head."),
  prev: z
    .union([z.number(), z.string(), z.null()])
    .describe("Pass as `from` with direction=backward to go back. Null where the page begins at the head."),
  cursor: z.string().describe("As `next`, bound to this creation of the stream."),
  upToDate: z.boolean().describe("Nothing newer existed when this was answered."),
  ended: z
    .literal(true)
    .describe("The partition that was asked for was split, and is read: nothing more will come.")
    .optional(),
  damaged: z.array(damaged).optional(),
  lost: z
    .array(lost)
    .describe("With maxBytes=all: offsets that were trimmed while the answer was on its way.")
    .optional(),
  snapshot: snapshotNote
    .nullable()
    .describe(
      "The newest snapshot of the partition, where the page begins before it, or was to begin with it; null: there is none.",
    )
    .optional(),
  snapshots: z.array(snapshotNote).describe("With from=snapshot over several partitions.").optional(),
});
const recordTypes = [
  "application/x-ndjson",
  "application/cloudevents+json",
  "application/cloudevents-batch+json",
  "application/vnd.millrace.frames",
  "*/*",
];

const partition = "/v1/:ns/streams/:stream/partitions/:partition";

export const operations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/healthz": { GET: { summary: "Is the service up?", answers: { 200: { says: "It is." } }, refusals: [] } },
  "/v1": {
    GET: {
      summary: "List namespaces",
      query: listQuery,
      answers: { 200: { says: "A page of names in order.", body: listed("namespaces", namespaceView) } },
      answerBytes: listBytes,
      refusals: always,
    },
  },
  "/v1/config": {
    GET: {
      summary: "Limits, defaults and version",
      answers: {
        200: {
          says: "Every limit by name.",
          body: z.object({
            version: z.string(),
            limits: z.record(z.string(), z.number()),
            defaults: z.record(z.string(), z.number()),
          }),
        },
      },
      refusals: always,
    },
  },
  "/v1/:ns": {
    GET: {
      summary: "A namespace",
      answers: { 200: { says: "It exists.", body: namespaceView } },
      refusals: ofNamespace,
    },
    PUT: {
      summary: "Create a namespace",
      headers: onlyNew,
      answers: { 201: { says: "Created.", body: namespaceView }, 200: { says: "It was there.", body: namespaceView } },
      refusals: [...always, "exists"],
    },
    DELETE: {
      summary: "Delete a namespace",
      query: deleteNamespaceQuery,
      answers: { 204: { says: "Deleted. Storage is freed in the background." } },
      refusals: [...ofNamespace, "conflict"],
    },
  },
  "/v1/:ns/streams": {
    GET: {
      summary: "List streams",
      query: listQuery,
      answers: { 200: { says: "A page of streams by name.", body: listed("streams", streamView) } },
      answerBytes: listBytes,
      refusals: ofNamespace,
    },
  },
  "/v1/:ns/streams/:stream": {
    GET: {
      summary: "A stream",
      answers: { 200: { says: "Its configuration.", body: streamView } },
      refusals: ofStream,
    },
    PUT: {
      summary: "Create or update a stream",
      detail: "Idempotent. Fields that are left out keep their value. More partitions split the widest ranges.",
      query: streamPutQuery,
      headers: onlyNew,
      body: streamConfig,
      answers: {
        201: { says: "Created.", body: streamView },
        200: { says: "Updated, or the same.", body: streamPut },
      },
      refusals: [...ofStream, ...withBody, "exists", "conflict", "too-many", "archive-off"],
    },
    PATCH: {
      summary: "Change a stream",
      detail:
        "A JSON Merge Patch of its configuration: fields that are left out keep their value, null is the default.",
      query: streamPutQuery,
      body: streamPatch,
      bodyTypes: [mergePatch],
      answers: { 200: { says: "Changed, or the same.", body: streamPut } },
      refusals: [...ofStream, ...withBody, "conflict", "archive-off"],
    },
    DELETE: {
      summary: "Delete a stream and its records",
      answers: { 204: { says: "Deleted. Storage is freed in the background." } },
      refusals: ofRestore,
    },
  },
  "/v1/:ns/streams/:stream/records": {
    POST: {
      summary: "Append records",
      detail:
        "JSON, NDJSON, CloudEvents (binary, structured, batched), packed frames, or any other body as one record. Gzip is accepted. The answer has a verdict for each record, in order.",
      query: appendQuery,
      body: appendBody,
      bodyTypes: recordTypes,
      headers: {
        "Producer-Id": "Name of an idempotent producer; its retries never duplicate.",
        "Producer-Epoch": "Grows when another instance takes over; older ones are fenced.",
        "Producer-Seq": "Number of the batch: 0, 1, 2 …",
      },
      answers: {
        201: { says: "At least one record was appended.", body: verdicts },
        200: { says: "Nothing new: duplicates.", body: verdicts },
        202: { says: "ack=none: taken, not yet written.", body: z.object({ accepted: z.number().int() }) },
      },
      answerBytes: "counted",
      refusals: [
        ...ofPartition,
        ...withBody,
        "bad-frame",
        "bad-event",
        "bad-key",
        "unsupported-media-type",
        "record-too-large",
        "batch-too-large",
        "atomic-spans-partitions",
        "atomic-rejected",
        "expected-offset",
        "expected-key-offset",
        "key-index-off",
        "fenced",
        "sequence-gap",
        "sequence-conflict",
        "sequence-stale",
        "sealed",
        "wrong-partition",
        "offset-regressed",
        "deduplication-full",
        "log-full",
        "too-many",
      ],
    },
    GET: {
      summary: "Read records",
      detail:
        "Of one partition, of one key, or of the whole stream in one merged order. Choose JSON, NDJSON or packed frames by Accept. `maxBytes=all` streams everything up to the tail. `text/event-stream` goes on with what comes: an event a record, its id the cursor; Last-Event-ID resumes. Below the head 410 `trimmed` says in `lost` what is missing, in `cursor` how to go on, and in `snapshot` which one to begin with.",
      query: readQuery,
      answers: {
        200: {
          says: "A page.",
          body: page,
          types: ["application/x-ndjson", "application/vnd.millrace.frames", eventStream],
        },
        304: { says: "The sealed page that you have is the one there is." },
      },
      answerBytes: "counted",
      refusals: [...ofPartition, "trimmed", "past-tail", "wrong-log", "not-acceptable", "too-many", "damaged"],
    },
  },
  "/v1/:ns/streams/:stream/partitions": {
    GET: {
      summary: "The partition map",
      answers: {
        200: {
          says: "Ranges of key hashes.",
          body: z.object({ mapVersion: z.number().int(), partitions: z.array(partitionRange) }),
        },
      },
      answerBytes: listBytes,
      refusals: ofStream,
    },
  },
  [partition]: {
    GET: {
      summary: "Facts of a partition",
      answers: { 200: { says: "Head, tail, sizes.", body: partitionFacts } },
      refusals: ofPartition,
    },
  },
  [`${partition}/trim`]: {
    POST: {
      summary: "Drop old records",
      body: trimBody,
      answers: { 200: { says: "The facts afterwards.", body: partitionFacts } },
      refusals: [...ofPartition, ...withBody, "past-tail"],
    },
  },
  [`${partition}/fence`]: {
    PUT: {
      summary: "Set the fencing token",
      body: fenceBody,
      answers: { 200: { says: "The facts afterwards.", body: partitionFacts } },
      refusals: [...ofPartition, ...withBody, "fenced", "sealed"],
    },
  },
  ...pastOperations,
  ...snapshotOperations,
  ...dumpOperations,
  ...liveOperations,
  ...groupOperations,
};
