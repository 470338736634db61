/** What the reference says of the groups' routes. */
import * as z from "zod";
import type { ErrorCode } from "../../../schemas/errors.ts";
import { groupMessage, memberMessage } from "../../../schemas/frames.ts";
import {
  ackBody,
  attemptsQuery,
  delivery,
  extendBody,
  groupConfig,
  groupLiveQuery,
  groupPatch,
  groupView,
  laneBody,
  lanesQuery,
  lettersBody,
  lettersQuery,
  nackBody,
  pauseBody,
  receiveBody,
  redriveBody,
  releaseBody,
  seekBody,
  testBody,
} from "../../../schemas/group.ts";
import { listQuery } from "../../../schemas/stream.ts";
import { listBytes, type Operation, ofStream, onlyNew, onlySame, repeat, wholeBytes, withBody } from "../operation.ts";
import { mergePatch } from "../parse.ts";
import { attempt, count, lane, letter, lost, ordered, refused, settled, status, trial } from "./views.ts";

const ofGroup: readonly ErrorCode[] = [...ofStream, "group-not-found"];
const ofOrder: readonly ErrorCode[] = [...ofGroup, ...withBody, "partition-not-found"];

const group = "/v1/:ns/streams/:stream/groups/:group";
const post = (
  summary: string,
  body: z.ZodType,
  says: string,
  answer: z.ZodType,
  more: readonly ErrorCode[] = [],
  detail?: string,
  headers?: Operation["headers"],
): { POST: Operation } => ({
  POST: {
    summary,
    ...(detail === undefined ? {} : { detail }),
    ...(headers === undefined ? {} : { headers }),
    body,
    answers: { 200: { says, body: answer } },
    // Of each that is named it may say something.
    answerBytes: "body",
    refusals: [...ofOrder, ...more],
  },
});
const answering = (answerBytes: Operation["answerBytes"], { POST }: { POST: Operation }): { POST: Operation } => ({
  POST: { ...POST, answerBytes },
});

export const groupOperations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  "/v1/:ns/streams/:stream/groups": {
    GET: {
      summary: "List consumer groups",
      query: listQuery,
      answers: {
        200: {
          says: "A page of groups by name.",
          body: z.object({ groups: z.array(groupView), after: z.string().optional() }),
        },
      },
      answerBytes: wholeBytes,
      refusals: ofStream,
    },
  },
  [group]: {
    GET: {
      summary: "A consumer group",
      answers: { 200: { says: "Its configuration.", body: groupView } },
      answerBytes: listBytes,
      refusals: ofGroup,
    },
    PUT: {
      summary: "Create or update a consumer group",
      detail: "Idempotent. Fields that are left out keep their value. An update does not move the group's place.",
      headers: { ...onlyNew, ...onlySame },
      body: groupConfig,
      answers: { 201: { says: "Created.", body: groupView }, 200: { says: "Updated, or the same.", body: groupView } },
      answerBytes: "body",
      refusals: [...ofOrder, "exists", "changed", "conflict", "too-many", "bad-target", "past-tail", "wrong-log"],
    },
    PATCH: {
      summary: "Change a consumer group",
      detail:
        "A JSON Merge Patch of its configuration: what is left out keeps its value, within `push`, `batch`, `rate` and `filter` too; null is the default, or takes a member out; lists are replaced.",
      headers: onlySame,
      body: groupPatch,
      bodyTypes: [mergePatch],
      answers: { 200: { says: "Changed, or the same.", body: groupView } },
      answerBytes: listBytes,
      refusals: [...ofGroup, ...withBody, "changed", "conflict", "bad-target", "wrong-log"],
    },
    DELETE: {
      summary: "Delete a consumer group, its place and its dead letters",
      answers: { 204: { says: "Deleted. Storage is freed in the background." } },
      refusals: ofGroup,
    },
  },
  [`${group}/status`]: {
    GET: {
      summary: "How far a group is",
      answers: { 200: { says: "In total, and for each partition.", body: status } },
      answerBytes: listBytes,
      refusals: ofGroup,
    },
  },
  [`${group}/receive`]: answering(
    "counted",
    post(
      "Receive records under lease",
      receiveBody,
      "What was to be had, perhaps nothing.",
      z.object({ deliveries: z.array(delivery), refused, lost }),
      ["too-many"],
      "Acknowledges `ack` first. Waits up to `waitSeconds` for the first record.",
    ),
  ),
  [`${group}/ack`]: post("Acknowledge deliveries", ackBody, "Durable. Twice is as once.", settled, ["stale-lease"]),
  [`${group}/nack`]: post(
    "Give deliveries back as failed",
    nackBody,
    "They are tried again after the group's backoff, or `delayMs`.",
    settled,
    ["stale-lease"],
  ),
  [`${group}/release`]: post(
    "Give deliveries back untouched",
    releaseBody,
    "They go out again at once, to others first, and no attempt is counted. Twice is as once.",
    settled,
  ),
  [`${group}/extend`]: post("Extend leases", extendBody, "They last from now.", settled, ["stale-lease"]),
  [`${group}/live`]: {
    GET: {
      summary: "Receive over a WebSocket",
      detail:
        "Subprotocol millrace.v1. A browser offers millrace.ticket.<ticket> beside it. The text `ping` is answered with `pong`; a member that is silent for the group's `heartbeatMs` is taken for gone.",
      messages: { from: memberMessage, to: groupMessage },
      query: groupLiveQuery,
      answers: { 101: { says: "The socket." } },
      refusals: [...ofGroup, "upgrade-required", "too-many", "partition-not-found"],
    },
  },
  [`${group}/pause`]: answering(
    listBytes,
    post("Stop delivering", pauseBody, "From now on nothing goes out.", groupView),
  ),
  [`${group}/resume`]: answering(listBytes, post("Go on delivering", pauseBody, "It goes on where it was.", groupView)),
  [`${group}/test`]: post(
    "Try a group's receiver",
    testBody,
    "What came back, or why nothing did.",
    trial,
    ["conflict"],
    "Sends one event of the type `dev.millrace.test`, the way that a push takes. It is no record: nothing is counted, and nothing is kept.",
  ),
  [`${group}/seek`]: answering(
    listBytes,
    post(
      "Move a group's place",
      seekBody,
      "Where it is now. Leases of before are void.",
      z.object({ partitions: z.array(z.object({ partition: count, offset: count })) }),
      ["past-tail", "wrong-log", "damaged"],
    ),
  ),
  [`${group}/lanes`]: {
    GET: {
      summary: "Lanes that wait apart",
      query: lanesQuery,
      answers: {
        200: {
          says: "A page, by partition and number; each with its failed attempts.",
          body: z.object({ lanes: z.array(lane), after: z.string().optional() }),
        },
      },
      answerBytes: listBytes,
      refusals: [...ofGroup, "partition-not-found"],
    },
  },
  [`${group}/lanes/resume`]: post("Try a lane's first record now", laneBody, "It will be.", ordered("resume"), [
    "lane-not-found",
    "conflict",
  ]),
  [`${group}/lanes/skip`]: post(
    "Leave a lane's first record to the dead letters, and go on",
    laneBody,
    "It was.",
    ordered("skip"),
    ["lane-not-found", "conflict"],
    "Name the record, as lanes are listed, and the order is safe to repeat; without an `offset` it is for whichever is first.",
    repeat,
  ),
  [`${group}/dead-letters`]: {
    GET: {
      summary: "List dead letters",
      query: lettersQuery,
      answers: {
        200: {
          says: "A page, by partition and offset.",
          body: z.object({ letters: z.array(letter), after: z.string().optional() }),
        },
      },
      answerBytes: listBytes,
      refusals: [...ofGroup, "partition-not-found", "too-many"],
    },
  },
  [`${group}/dead-letters/redrive`]: post(
    "Deliver dead letters again",
    redriveBody,
    "How many.",
    z.object({ redriven: count }),
    ["letter-not-found", "record-too-large"],
    "All, some, or one with other data.",
    repeat,
  ),
  [`${group}/dead-letters/discard`]: post(
    "Forget dead letters",
    lettersBody,
    "How many.",
    z.object({ discarded: count }),
    ["letter-not-found"],
    undefined,
    repeat,
  ),
  [`${group}/attempts`]: {
    GET: {
      summary: "The last requests of a push",
      query: attemptsQuery,
      answers: {
        200: {
          says: "A page, by partition, in the order in which they ended: up to 50 a partition; over restarts too.",
          body: z.object({ attempts: z.array(attempt), after: z.string().optional() }),
        },
      },
      answerBytes: listBytes,
      refusals: [...ofGroup, "partition-not-found"],
    },
  },
};
