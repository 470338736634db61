/** What the reference says of dumps and restores. */
import * as z from "zod";
import {
  finishQuery,
  partitionQuery,
  placeQuery,
  restoredStream,
  restorePlaceQuery,
  restoreQuery,
  restoreStand,
} from "../../schemas/dump-routes.ts";
import type { ErrorCode } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { dumpType } from "./dump.ts";
import { type Operation, ofRestore, ofStream, wholeBytes } from "./operation.ts";

const stream = "/v1/:ns/streams/:stream";
const partition = `${stream}/partitions/:partition`;
const group = `${stream}/groups/:group`;

const blocks = z.string().describe("Blocks of a dump; `docs/STORAGE.md` of the package has the bytes.");
const ofBlocks: readonly ErrorCode[] = [
  ...ofRestore,
  "bad-dump",
  "body-too-large",
  "bad-gzip",
  "unsupported-media-type",
  "conflict",
  "restore-gap",
];
const types = [dumpType];
const next = "The header `Millrace-Next` says where to go on; without it there is no more.";

export const dumpOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  [`${stream}/dump`]: {
    GET: {
      summary: "Dump a stream: its configuration, its map, its groups",
      detail:
        "A stream block, and a group block for each group. Credentials of webhooks are in it. The header `Millrace-Origin` tells this stream from others that had or will have its name: name it in what is asked next.",
      answers: { 200: { says: "Blocks.", body: blocks, types } },
      answerBytes: wholeBytes,
      refusals: ofStream,
    },
  },
  [`${group}/dump`]: {
    GET: {
      summary: "Dump a group's place on a partition",
      detail: `Place, lanes, dead letters. ${next}`,
      query: placeQuery,
      answers: { 200: { says: "Blocks.", body: blocks, types } },
      answerBytes: wholeBytes,
      refusals: [...ofStream, "group-not-found", "partition-not-found", "wrong-log", "conflict"],
    },
  },
  [`${partition}/dump`]: {
    GET: {
      summary: "Dump a partition: its state, its key index, or its records",
      detail: `The state is as of one tail, which its marks name; then ask for the records up to it. ${next}`,
      query: partitionQuery,
      answers: { 200: { says: "Blocks.", body: blocks, types } },
      answerBytes: limits.dumpBodyBytesMax,
      refusals: [...ofStream, "partition-not-found", "wrong-log", "trimmed", "damaged"],
    },
  },
  [`${stream}/restore`]: {
    POST: {
      summary: "Begin to restore a stream, or go on with it",
      detail: "The body is its stream block. Nobody sees the stream before the restore is finished; DELETE ends it.",
      query: restoreQuery,
      body: blocks,
      bodyTypes: types,
      answers: {
        201: { says: "Send what belongs to it.", body: restoredStream },
        200: { says: "This dump was restored here before.", body: restoredStream },
      },
      refusals: ofBlocks,
    },
  },
  [`${stream}/restore/finish`]: {
    POST: {
      summary: "Finish a restore: the stream is there",
      detail:
        "Refused while anything is missing. Its groups stand still, with a reason that says so, until each is resumed, or at once with `resume`. Again is as once; with `resume`, groups that still stand go on.",
      query: finishQuery,
      answers: { 200: { says: "It is there.", body: restoredStream } },
      refusals: [...ofRestore, "bad-dump", "restore-gap"],
    },
  },
  [`${group}/restore`]: {
    POST: {
      summary: "Restore a group, or its place on a partition",
      detail: "Without `partition` its group block; with it place, lanes and dead letters, in any number of requests.",
      query: restorePlaceQuery.extend({ newId: restoreQuery.shape.newId }),
      body: blocks,
      bodyTypes: types,
      answers: { 200: { says: "Taken.", body: z.object({ group: z.string() }).catchall(z.unknown()) } },
      answerBytes: "body",
      refusals: [...ofBlocks, "group-not-found", "partition-not-found", "too-many"],
    },
  },
  [`${partition}/restore`]: {
    GET: {
      summary: "Where a restore of a partition stands",
      answers: { 200: { says: "What is there.", body: restoreStand } },
      refusals: [...ofRestore, "partition-not-found"],
    },
    POST: {
      summary: "Restore a partition",
      detail: "Blocks in the order of the dump. What is there is passed over; what leaves a gap is refused.",
      body: blocks,
      bodyTypes: types,
      answers: { 200: { says: "Taken; what is there now.", body: restoreStand } },
      refusals: [...ofBlocks, "partition-not-found", "too-many"],
    },
  },
};
