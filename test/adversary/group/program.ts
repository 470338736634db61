/** Consumer groups: what is delivered, to whom, when, in which order, and what is said of it. */
import { Violation } from "../frame/checks.ts";
import { Gate } from "../frame/gate.ts";
import type { Program, Scale, Smaller } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type { Round } from "../frame/round.ts";
import { scriptPlan } from "./generate.ts";
import type { ScriptPlan } from "./plan.ts";
import type { ScenePlan } from "./scenes/plan.ts";
import { drawScene, runScene, type SceneKind, smallerScene } from "./scenes/scenes.ts";
import { ScriptRun, scoped } from "./script.ts";
import { smallerScripts } from "./smaller.ts";

async function runScripts(plan: ScriptPlan, round: Round): Promise<void> {
  const gate = new Gate(plan.scripts.length, plan.kills, round);
  await Promise.all(
    plan.scripts.map(async (script, number) => {
      const run = new ScriptRun(round, script, number);
      try {
        await run.run(gate);
      } catch (error) {
        round.stop();
        throw blame(error, number);
      } finally {
        for (const member of [...run.members.values()]) member.leave(false);
      }
    }),
  );
}

/** Whose violation it is, so that the history is about it, and the others can be left out. */
function blame(error: unknown, number: number): unknown {
  if (!(error instanceof Violation)) return error;
  return new Violation(error.invariant, error.words, [`s${number}`, ...scoped(number, error.subjects)]);
}

export type GroupPlan = ScriptPlan | ScenePlan;

const scenes: readonly SceneKind[] = ["fair", "idle", "rate", "heartbeat", "parked"];

/** Most rounds are scripts; the others are scenes. */
function plan(random: Random, scale: Scale): GroupPlan {
  const usable = scenes.filter((scene) => !scale.without.has(scene));
  const scene = usable.length > 0 && (scale.without.has("scripts") || random.chance(0.4));
  return scene ? drawScene(random.pick(usable), random, scale.brief) : scriptPlan(random, scale);
}

function smaller(from: GroupPlan, violation?: Violation): Smaller<GroupPlan>[] {
  return from.kind === "script" ? smallerScripts(from, violation) : smallerScene(from);
}

function size(of: GroupPlan): string {
  if (of.kind !== "script") return `a scene of ${of.kind}`;
  const steps = of.scripts.reduce((sum, script) => sum + script.steps.length, 0);
  return `${of.scripts.length} scripts, ${steps} steps, ${of.kills.length} kills`;
}

export const group: Program<GroupPlan> = {
  name: "group",
  summary: "members of every kind and habit, against a model of groups",
  invariants: {
    order: "no record goes out while an earlier one of its key (or, in that order, of its partition) is unfinished",
    "one-lease": "one member at a time has a record",
    "settled-once": "what is finished, discarded, a dead letter or behind the place is not delivered",
    "none-lost": "every record is finished, or its loss is told",
    attempts: "attempts count what counts, and nothing else: 1, 2, 3 …",
    receipts: "a receipt is worth what the table of the guide says",
    "made-up": "a receipt that nobody was given is worth nothing",
    "not-before": "nothing comes again before its delay",
    "in-flight": "no more is lent than maxInFlight and memberMaxInFlight",
    credits: "nobody gets more than he asked for",
    paused: "a pause holds everything",
    only: "incident mode delivers the named keys alone",
    filter: "a filter lets through what it names, and nothing else",
    unchanged: "a record comes with its key and its data, or the data of its redrive",
    letters: "dead letters are those that died and were not dealt with; each is dealt with once",
    tries: "a letter tells every counted attempt",
    lanes: "a lane that waits can be resumed and skipped",
    seek: "a seek goes where it was sent",
    lag: "lag and age are true",
    status: "what is said of leases, letters and the pause is true",
    fairness: "while fresh records wait, those that failed more than once get about one turn in ten",
    healthy: "keys that do not fail are served in a bounded time, whatever others do",
    rate: "a rate is the whole group's, from the first second, and is reached",
    heartbeat: "a socket that is heard of keeps its leases; a silent one gives them back",
    idle: "waiting costs next to nothing",
    drained: "everything is delivered in a bounded time once members are good",
  },
  features: {
    kills: "deaths of the service",
    rests: "long work, amid a time in which nothing else happens",
    growth: "more partitions",
    partition: "groups in the order of the partition",
    seek: "moves of the place",
    sockets: "members on sockets",
    leave: "long polls that are left",
    letters: "redrives and discards",
    lanes: "resumed and skipped lanes",
    late: "receipts of leases that are over",
    forge: "made-up receipts",
    pause: "pauses",
    only: "incident mode",
    update: "other terms amid the work",
    recreate: "another group of the same name",
    scripts: "all of the above: step by step, against the model",
    fair: "fresh records beside failing ones",
    idle: "everybody waits",
    rate: "greedy members and a rate",
    heartbeat: "sockets that fall silent",
    parked: "thousands of parked keys, and growth",
  },
  plan,
  run: (of, round) => (of.kind === "script" ? runScripts(of, round) : runScene(of, round)),
  smaller,
  size,
};
