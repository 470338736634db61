/** The log itself: what is appended by every door, and what every reader gets of it. */
import { Gate } from "../frame/gate.ts";
import type { Program } from "../frame/program.ts";
import type { Round } from "../frame/round.ts";
import { logPlan } from "./generate.ts";
import type { LogPlan } from "./plan.ts";
import { blame, ScriptRun } from "./script.ts";
import { smallerLogs } from "./smaller.ts";

async function run(plan: LogPlan, round: Round): Promise<void> {
  const gate = new Gate(plan.scripts.length, plan.kills, round);
  await Promise.all(
    plan.scripts.map(async (script, number) => {
      const scripted = new ScriptRun(round, script, number);
      try {
        await scripted.run(gate);
      } catch (error) {
        round.stop();
        throw blame(error, number);
      } finally {
        for (const follower of scripted.followers.values()) follower.leave();
      }
    }),
  );
}

export const log: Program<LogPlan> = {
  name: "log",
  summary: "writers and readers of every kind, against a model of the stream",
  invariants: {
    acked: "what was acknowledged is there, at the place that was named",
    once: "what has an id or a producer is there once, and nothing more often than it was sent",
    "made-up": "nothing is there that was not sent, nor half of what was",
    refused: "what was refused, or was a duplicate, is not there",
    unchanged: "fields and data are as they were sent",
    immutable: "what was read at a place is read there again",
    dense: "offsets of a partition have no gaps and go back never",
    monotone: "timestamps of a partition do not go back",
    stamped: "a writer's timestamp is kept, or raised to that of the record before it",
    blind: "ack=none is answered 202, and what comes of it contradicts nobody",
    atomic: "an atomic batch is there as a whole or not at all",
    "key-order": "records of a key stand as they were acknowledged, over growth",
    "socket-order": "appends of a socket are committed and answered in the order in which they were sent",
    "first-verdict": "a repeat is answered as the first time",
    status: "201 says that something was appended, 200 that nothing is new",
    partition: "what is sent to a partition is in it",
    ids: "an id meets its repeat under its key, by whatever door and after growth",
    misuse: "another batch under a number, a gap and a lower epoch are refused",
    stale: "a batch of long ago is answered as the first time, or refused as stale",
    conditions: "a condition that does not hold refuses, one that holds does not",
    trim: "a trim goes no further than it was told",
    reads: "a reader gets what its place and its filter say, all of it, in order",
    same: "every form of answer says the same of a place",
    page: "a page has no more than was asked for, and something unless it is at the end",
    ends: "pages end, and `prev` and `next` say where there is nothing older",
    trimmed: "who is below the head is told what is missing, and how to go on",
    "trimmed-backward":
      "who reads backward below the head is told that everything down to 0 is missing, and gets nothing",
    "trimmed-facts":
      "the refusal of one partition says its head, its tail and its snapshot; that of several the snapshots",
    snapshots: "a partition keeps its newest snapshots as they were stored, and refuses older ones",
    "snapshot-told": "pages, followers and `from=snapshot` say which snapshot one could begin with, and begin with it",
    retention: "retention drops no more than leaves what is to be kept",
    "wrong-log": "a cursor of another stream, or of one that had the name before, is refused as such",
    "past-tail": "what is above the tail is refused",
    "wait-append": "who waits holds up nobody",
    "wait-ends": "a wait ends",
    "wait-answer": "a wait is answered by what its filter lets through, and by nothing else",
    "follow-once": "a follower gets everything once, and in the order of its partition",
    "follow-order": "a follower gets the records of a key in order, over growth",
    "follow-filter": "a follower gets what its filter lets through",
    "follow-start": "a follower begins where it asked to",
    "follow-lost": "what a follower is told is lost was trimmed, and is not sent",
    "follow-gone": "a follower that begins below the head is told all of what it missed, from its place on",
    "follow-all": "a follower gets everything, or is told what is lost",
    frames: "a message of frames says where they lie and where to go on, and sockets of frames have them in no other",
    credits: "a socket sends no more than it was given credits for",
  },
  features: {
    kills: "deaths of the service",
    growth: "more partitions",
    trims: "trims by hand",
    snapshots: "snapshots of partitions",
    retention: "streams that keep a few records only",
    cuts: "requests and sockets that are cut off",
    doors: "every other door than JSON",
    producers: "producers with sequences and epochs",
    sockets: "appends by sockets",
    stamps: "timestamps of the writers'",
    blind: "appends that are answered before they are stored",
    "wrong-logs": "cursors of other streams, and of before a deletion",
    again: "repeats of batches and of ids",
    conditions: "expected offsets, key indexes, fences",
    "small-times": "times with a small `t` and `z`",
    "frame-heads": "cursors and links of pages of packed frames",
    waits: "readers that wait",
    followers: "events, sockets and chains of waits",
    "frame-sockets": "sockets that carry packed frames",
  },
  plan: logPlan,
  run,
  smaller: smallerLogs,
  size: ({ scripts, kills }) => {
    const steps = scripts.reduce((sum, script) => sum + script.steps.length, 0);
    return `${scripts.length} scripts, ${steps} steps, ${kills.length} kills`;
  },
};
