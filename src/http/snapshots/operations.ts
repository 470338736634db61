/** What the reference says of snapshots. */
import * as z from "zod";
import type { ErrorCode } from "../../../schemas/errors.ts";
import {
  completeBody,
  getSnapshotQuery,
  leaseBody,
  leaseView,
  listSnapshotsQuery,
  onlyPartitionQuery,
  partView,
  putSnapshotQuery,
  snapshotView,
  uploadBody,
  uploadView,
} from "../../../schemas/snapshot.ts";
import { type Operation, ofStream, wholeBytes, withBody } from "../operation.ts";

const ofPartition: readonly ErrorCode[] = [...ofStream, "partition-not-found"];
const toWrite: readonly ErrorCode[] = [...ofPartition, "archive-off"];
const toBegin: readonly ErrorCode[] = [...toWrite, "past-tail", "trimmed", "stale-lease", "conflict", "too-many"];
/** Of a body that is kept as it comes. */
const whole: readonly ErrorCode[] = [
  "body-too-large",
  "body-cut-off",
  "body-too-slow",
  "unsupported-media-type",
  "too-many",
];
const any = z.unknown().describe("Anything: kept byte for byte.");

/** Paths below a stream's. One of a snapshot's own takes the words `latest` and `lease` in place of an offset. */
export const snapshotPaths = {
  all: "/v1/:ns/streams/:stream/snapshots",
  one: "/v1/:ns/streams/:stream/snapshots/:snapshot",
  uploads: "/v1/:ns/streams/:stream/snapshots/:snapshot/uploads",
  upload: "/v1/:ns/streams/:stream/snapshots/:snapshot/uploads/:upload",
  part: "/v1/:ns/streams/:stream/snapshots/:snapshot/uploads/:upload/:part",
} as const;

export const snapshotOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  [snapshotPaths.all]: {
    GET: {
      summary: "List snapshots",
      detail: "Of every partition, or of one; newest first in each.",
      query: listSnapshotsQuery,
      answers: { 200: { says: "The snapshots.", body: z.object({ snapshots: z.array(snapshotView) }) } },
      answerBytes: wholeBytes,
      refusals: ofPartition,
    },
  },
  [snapshotPaths.one]: {
    GET: {
      summary: "Fetch a snapshot",
      detail:
        "By its offset, or `latest`: the newest that the log continues, below `before` where that is given. The header Millrace-Snapshot says which one. Range requests are answered.",
      query: getSnapshotQuery,
      headers: { Range: "A part of it.", "If-None-Match": "The one that you have." },
      answers: {
        200: { says: "The snapshot, of its own content type." },
        206: { says: "The range." },
        304: { says: "The one that you have is the one there is." },
      },
      answerBytes: "counted",
      refusals: [...toWrite, "snapshot-not-found", "damaged", "bad-range"],
    },
    PUT: {
      summary: "Store a snapshot",
      detail:
        "The body is the state in which everything below the offset is applied. Another at the offset is replaced; older ones than the stream keeps go.",
      query: putSnapshotQuery,
      body: any,
      bodyTypes: ["*/*"],
      headers: { "Content-Type": "Kept with it.", "Content-Length": "Without it the body goes through in parts." },
      answers: { 201: { says: "It is there, and durable.", body: snapshotView } },
      refusals: [...toBegin, ...whole],
    },
    POST: {
      summary: "Take the lease of the next snapshot",
      detail: "At `…/snapshots/lease`. So that two do not make the same. The same holder renews it.",
      body: leaseBody,
      answers: { 200: { says: "It is yours.", body: leaseView } },
      refusals: [...ofPartition, ...withBody, "leased", "past-tail", "trimmed"],
    },
    DELETE: {
      summary: "Delete a snapshot",
      query: onlyPartitionQuery,
      answers: { 204: { says: "Deleted." } },
      refusals: [...ofPartition, "snapshot-not-found"],
    },
  },
  [snapshotPaths.uploads]: {
    POST: {
      summary: "Begin a snapshot in parts",
      query: onlyPartitionQuery,
      body: uploadBody,
      answers: { 201: { says: "Send parts, then complete it.", body: uploadView } },
      refusals: [...toBegin, ...withBody],
    },
  },
  [snapshotPaths.upload]: {
    DELETE: {
      summary: "Give up an upload",
      query: onlyPartitionQuery,
      answers: { 204: { says: "It is over." } },
      refusals: [...toWrite, "upload-not-found"],
    },
  },
  [snapshotPaths.part]: {
    PUT: {
      summary: "Send a part",
      detail: "Numbered from 1; one that is sent again replaces. An upload that is left alone for a day is given up.",
      query: onlyPartitionQuery,
      body: any,
      bodyTypes: ["*/*"],
      answers: { 200: { says: "It is there.", body: partView } },
      refusals: [...toWrite, "upload-not-found", ...whole],
    },
    POST: {
      summary: "Complete an upload",
      detail: "At `…/uploads/{upload}/complete`. Asked again it answers the same.",
      query: onlyPartitionQuery,
      body: completeBody,
      answers: { 201: { says: "The snapshot is there, and durable.", body: snapshotView } },
      refusals: [...toWrite, ...withBody, "upload-not-found", "stale-lease", "conflict"],
    },
  },
};
