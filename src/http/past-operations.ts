/** What the reference says of the routes about a stream's past. */
import * as z from "zod";
import { eraseBody, erasure, lost, lostNow, repairBody } from "../../schemas/erasure.ts";
import { verifyQuery } from "../../schemas/record.ts";
import { listBytes, type Operation, ofPartition, ofStream, withBody } from "./operation.ts";

const partition = "/v1/:ns/streams/:stream/partitions/:partition";
const erasures = "/v1/:ns/streams/:stream/erasures";

const found = z.object({
  partition: z.number().int(),
  intact: z.boolean(),
  chunks: z.number().int().describe("Chunks in the database."),
  records: z.number().int().describe("Their records."),
  bytes: z.number().int().describe("Bytes that were read, of chunks and of objects."),
  objects: z.number().int().describe("Archived segments that were read."),
  damaged: z.array(
    z.object({
      chunk: z.number().optional(),
      object: z.string().optional(),
      from: z.number(),
      to: z.number(),
      reason: z.string(),
    }),
  ),
  next: z.number().int().optional().describe("There is more: go on with this as `from`."),
});
const losses = z.object({ partition: z.number().int(), lost: z.array(lost) });
const repaired = losses.extend({
  lost: z.array(lostNow),
  to: z
    .number()
    .int()
    .describe(
      "Offset after the last one that was looked at: `to` of the request, or the tail as it was. Name it when you repeat a truncation. Not for `rebuild`.",
    )
    .optional(),
});

export const pastOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  [`${partition}/verify`]: {
    POST: {
      summary: "Read everything and check it",
      detail:
        "Checksums, continuity of offsets, order of timestamps; of archived segments the hash, and that each continues the one before.",
      query: verifyQuery,
      answers: { 200: { says: "What was found.", body: found } },
      answerBytes: listBytes,
      refusals: [...ofPartition, "unavailable"],
    },
  },
  [`${partition}/repair`]: {
    GET: {
      summary: "What repairs have made holes",
      answers: { 200: { says: "Ranges of offsets.", body: losses } },
      answerBytes: listBytes,
      refusals: ofPartition,
    },
    POST: {
      summary: "Give up what is damaged",
      detail:
        "`isolate` makes holes of the chunks of a range that cannot be read, and touches nothing else; `truncate` of everything from an offset on. Offsets are not used again. `rebuild` makes an empty partition what its objects in the bucket say; of one that was appended to since its database was lost, `isolate` gives up those objects. The answer says exactly what is lost of the range, and marks with `before` what was lost already.",
      body: repairBody,
      answers: { 200: { says: "What is lost.", body: repaired } },
      answerBytes: listBytes,
      refusals: [...ofPartition, ...withBody, "conflict", "archive-off"],
    },
  },
  [erasures]: {
    POST: {
      summary: "Forget the records of a key, or of a subject",
      detail:
        "Those below the tail become tombstones (type `millrace.erased`) at their offsets, in the database and in the archive; groups count them as finished, and forget what was said of them. In the background: ask for the receipt.",
      body: eraseBody,
      answers: { 202: { says: "Taken, or known.", body: erasure } },
      answerBytes: listBytes,
      refusals: [...ofStream, ...withBody, "conflict"],
    },
  },
  [`${erasures}/:erasure`]: {
    GET: {
      summary: "How a request to forget stands",
      answers: { 200: { says: "Its state on each partition; the receipt, once `done`.", body: erasure } },
      answerBytes: listBytes,
      refusals: [...ofStream, "erasure-not-found"],
    },
  },
};
