/** Logs that are rotated in every way, and the forwarder that is to lose none of their lines. */
import type { Violation } from "../frame/checks.ts";
import type { Program, Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { forwardPlan } from "./generate.ts";
import type { Beat, ForwardPlan, LogPlan } from "./plan.ts";
import { runForward } from "./run.ts";

function smaller(plan: ForwardPlan, violation?: Violation): Smaller<ForwardPlan>[] {
  const { input } = plan;
  if (input !== undefined) {
    return thinner(input.lines, "lines").map(({ name, list }) => ({
      name,
      plan: { ...plan, input: { ...input, lines: list } },
    }));
  }
  const found: Smaller<ForwardPlan>[] = [];
  if (plan.logs.length > 1) {
    const blamed = Number(violation?.subjects.find((subject) => /^w\d+$/.test(subject))?.slice(1) ?? -1);
    const order = [...plan.logs.keys()].sort((a, b) => Number(b === blamed) - Number(a === blamed));
    for (const log of order) found.push({ name: `only-${log}`, plan: only(plan, log) });
  }
  for (const [name, kinds] of calmer) {
    const beats = plan.beats.filter((beat) => !kinds.includes(beat.do));
    if (beats.length < plan.beats.length) found.push({ name, plan: { ...plan, beats } });
  }
  for (const { name, list } of thinner(plan.beats, "beats")) found.push({ name, plan: { ...plan, beats: list } });
  if (plan.partitions > 1) found.push({ name: "one-partition", plan: { ...plan, partitions: 1 } });
  for (const [i, beat] of plan.beats.entries()) {
    if (beat.do !== "write") continue;
    for (const { name, list } of thinner(beat.lines, `lines-${i}`)) {
      found.push({ name, plan: { ...plan, beats: plan.beats.with(i, { ...beat, lines: list }) } });
    }
  }
  return found;
}

const calmer: readonly (readonly [string, readonly Beat["do"][]])[] = [
  ["no-kills", ["service"]],
  ["no-deaths", ["stop", "start"]],
  ["no-changes", ["grow", "limit", "probe"]],
];

function only(plan: ForwardPlan, log: number): ForwardPlan {
  const beats = plan.beats.filter((beat) => !("log" in beat) || beat.log === log);
  const moved = beats.map((beat): Beat => ("log" in beat ? { ...beat, log: 0 } : beat));
  return { ...plan, logs: [plan.logs[log] as LogPlan], beats: moved };
}

export const forward: Program<ForwardPlan> = {
  name: "forward",
  summary: "logs that are rotated in every way, and a forwarder that dies meanwhile",
  invariants: {
    "lines-once": "each line is there once",
    "lines-order": "lines of a file are there in order, and before those of the files after it",
    "lines-unchanged": "a line is there as it was written, as JSON, a text or bytes",
    keys: "a record's key is the file's path as it was given, or the one that was given",
    told: "what is lost, or may be, or is not as usual, is said",
    alarm: "no loss is told where nothing can be lost",
    follows: "it says from where each file is followed",
    quiet: "with --quiet it says nothing where nothing is wrong",
    rejected: "what the stream rejects is kept with the reason, and nothing else is",
    sums: "the sums at the end are those of the stream",
    ends: "everything arrives, and it ends, in a bounded time",
    exit: "it ends when it is told to, or is done, and the exit code tells how",
    state: "who goes on with a state appends nothing twice, and has it alone",
    memory: "its memory is bounded, whatever the lines",
  },
  features: {
    input: "lines through a pipe",
    once: "a forwarder that comes now and then, with --once",
    renames: "files that are renamed",
    late: "writers that go on in a file that was renamed",
    copies: "files that are copied and truncated",
    gaps: "lines between a copy and its truncation",
    packing: "generations that are compressed",
    pruning: "generations that are deleted once they have been read",
    hiding: "files that are away, and come back",
    replacing: "files in whose place another one comes",
    links: "links that are turned round",
    losses: "files that are truncated without a copy, or deleted before they are read",
    nuls: "writers that go on where they were in a file that is truncated",
    absent: "files that are not there at first",
    parts: "lines that are written in two parts",
    forms: "odd JSON, letters, bytes, empty lines",
    long: "lines that are longer than a record",
    huge: "a line of 20 MB",
    deaths: "ends of the forwarder",
    kills: "deaths of the service",
    growth: "more partitions",
    limits: "a stream that takes less than it did",
    probes: "forwarders that are to be refused",
  },
  plan: forwardPlan,
  run: runForward,
  smaller,
  size: ({ logs, beats, input }) => {
    if (input !== undefined) return `${input.lines.length} lines through a pipe`;
    return `${logs.length} logs, ${beats.length} beats`;
  },
};
