/** The past of a log: what retention, compaction, forgetting, repairs and copies make of it, over a store with bad days. */
import { Gate } from "../frame/gate.ts";
import type { Program } from "../frame/program.ts";
import type { Round } from "../frame/round.ts";
import { historyPlan } from "./generate.ts";
import type { HistoryPlan } from "./plan.ts";
import { blame, ScriptRun } from "./script.ts";
import { smallerHistories } from "./smaller.ts";

async function run(plan: HistoryPlan, round: Round): Promise<void> {
  const gate = new Gate(plan.scripts.length, plan.kills, round);
  await Promise.all(
    plan.scripts.map(async (script, number) => {
      try {
        await new ScriptRun(round, script, number).run(gate);
      } catch (error) {
        round.stop();
        throw blame(error, number);
      }
    }),
  );
}

export const history: Program<HistoryPlan> = {
  name: "history",
  summary: "retention, compaction, forgetting, repairs and copies, over a store that fails, hangs and does not see",
  invariants: {
    offsets: "offsets are given once, one after another, over copies and repairs too",
    "made-up": "nothing is read that was not stored",
    unchanged: "what is read is as it was stored, by whatever reader, wherever it lies",
    kept: "nothing is missing but what a newer value, a grace, or a repair took",
    retention: "retention drops nothing that a bound, an age, a group or a snapshot keeps",
    "retention-copied": "nor that of a copy",
    window: "nor what is younger than the window of ids",
    head: "the head goes forward only, and not past the tail",
    "came-back": "what was gone does not come back",
    deleted: "a deleted key does not come back by compaction",
    "deleted-grown": "nor where the stream has grown since the key had a value",
    "deleted-copied": "nor by a dump that is taken meanwhile",
    reads: "every reader sees what is there, in its order: forward, backward, by key, from a time, the newest",
    pages: "pages keep to their limit, and end",
    immutable: "a page that says that it lasts for ever does",
    whole: "nothing is called damaged while the store has it, and all can be read while that is well",
    "whole-at-once": "not for a moment either",
    archived: "what is sealed is archived once the store is well",
    verify: "verify names what was harmed in the store, and nothing else",
    isolate: "a repair makes a hole of what was harmed, and of nothing else",
    erased: "only what is to be forgotten becomes a tombstone, which has nothing else",
    forgotten: "what was forgotten is in no read and no dump",
    "forgotten-delivered": "what was forgotten is delivered no more",
    "forgotten-letters": "what was forgotten is in no dead letter",
    bucket: "what was forgotten is in no object",
    receipts: "a request to forget concerns all of what it names, and gets its receipt",
    "group-lost": "a group is told that it lost what it lost",
    drained: "a group gets everything that is there",
    snapshots: "the newest snapshot is there as it was stored",
    restored: "a dump is taken where the documents say so",
    freed: "of a stream that was deleted nothing is left in the store",
  },
  features: {
    kills: "deaths of the service",
    illness: "a store that is not well",
    "failing-reads": "reads of the store that fail, end early, or see nothing",
    "failing-writes": "writes to the store that fail, hang, or lose their answer",
    "failing-deletes": "deletes that fail for a while",
    harm: "objects that are changed, cut off, lost or swapped, and repairs",
    settings: "other settings amid the work",
    compaction: "streams that are compacted",
    switching: "archives that are switched off and on",
    ages: "archives that drop what is old",
    keeping: "retention that waits for groups and snapshots",
    windows: "windows of deduplication",
    erasures: "keys and subjects that are to be forgotten",
    trims: "trims by hand",
    growth: "more partitions",
    groups: "a group that reads beside",
    snapshots: "snapshots of partitions",
    copies: "dumps and restores",
    moves: "streams that are deleted, and restored in their own place",
  },
  plan: historyPlan,
  run,
  smaller: smallerHistories,
  size: ({ scripts, kills }) => {
    const steps = scripts.reduce((sum, script) => sum + script.steps.length, 0);
    return `${scripts.length} scripts, ${steps} steps, ${kills.length} kills`;
  },
};
