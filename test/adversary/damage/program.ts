/** Disks that lie: what is told of bytes that are not as they were written, and what is never shown. */
import type { Program, Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import { damagePlan } from "./generate.ts";
import type { DamagePlan, StreamPlan } from "./plan.ts";
import { runDamage } from "./run.ts";

function smaller(plan: DamagePlan, blamed: number): Smaller<DamagePlan>[] {
  const { file, ...bare } = plan;
  const found: Smaller<DamagePlan>[] = [];
  if (plan.streams.length > 1) {
    const order = [...plan.streams.keys()].sort((a, b) => Number(b === blamed) - Number(a === blamed));
    for (const i of order) {
      const only = { ...bare, streams: [plan.streams[i] as StreamPlan] };
      found.push({ name: `only-${i}`, plan: file?.stream === i ? { ...only, file: { ...file, stream: 0 } } : only });
    }
    return found;
  }
  if (file !== undefined) found.push({ name: "no-file", plan: bare });
  const [stream] = plan.streams as [StreamPlan];
  for (const { name, stream: less } of lesser(stream)) found.push({ name, plan: { ...plan, streams: [less] } });
  if (file === undefined) return found;
  for (const { name, list } of thinner(file.blows, "file")) {
    found.push({ name, plan: { ...plan, file: { ...file, blows: list } } });
  }
  return found;
}

function lesser(stream: StreamPlan): { name: string; stream: StreamPlan }[] {
  const found: { name: string; stream: StreamPlan }[] = [];
  if (stream.repair) found.push({ name: "no-repair", stream: { ...stream, repair: false } });
  for (const { name, list } of thinner(stream.readers, "readers"))
    found.push({ name, stream: { ...stream, readers: list } });
  if (stream.readers.length === 1) found.push({ name: "no-readers", stream: { ...stream, readers: [] } });
  for (const [i, blows] of stream.blows.entries()) {
    const without = (list: typeof blows) => ({ ...stream, blows: stream.blows.with(i, list) });
    for (const { name, list } of thinner(blows, `blows-${i}`)) found.push({ name, stream: without(list) });
    if (blows.length === 1) found.push({ name: `no-blows-${i}`, stream: without([]) });
  }
  if (stream.rewriting !== undefined) {
    const { rewriting: _, ...plain } = stream;
    found.push({ name: "as-written", stream: plain });
  }
  return found;
}

export const damage: Program<DamagePlan> = {
  name: "damage",
  summary: "bytes that change, are cut off, swapped or gone, in everything that is stored",
  invariants: {
    settles: "what is sealed comes to rest in the bucket",
    whole: "before anything is damaged everything is there",
    served: "who reads over what is damaged is not refused",
    reads: "what is shown is what was stored: data, fields, offset, time",
    once: "nothing comes twice to a reader",
    order: "a reader gets the offsets in order",
    told: "what is not shown is told",
    only: "nothing is told but what was damaged",
    "lost-once": "a group is told once of what it lost",
    ends: "whoever reads comes to the end",
    "well-formed": "every answer is what its form says",
    named: "verify names everything that is damaged",
    "only-named": "verify names nothing else",
    mended: "after a repair verify finds nothing but copies of what is still there",
    "repair-exact": "a repair gives up exactly what cannot be read",
    "repair-told": "what repairs gave up is told later too",
    "never-again": "offsets are not given out again",
    snapshot: "a snapshot is what was stored, or is not served",
    "dump-named": "a dump is refused where something is damaged, and only there; its file is intact",
    "file-named": "of a file that changed, verify says that it is damaged",
    "file-refused": "of a file that changed, nothing is restored",
    restored: "a dump is restored as it was",
  },
  features: {
    objects: "damage to archived segments",
    rows: "damage to chunks in the database",
    numbers: "damage to the numbers beside a chunk's body",
    prints: "damage to the fingerprints of chunks in the database",
    manifest: "damage to the rows of segments, and their fingerprints",
    fates: "objects and rows that are cut off, missing, swapped, another's",
    times: "readers that begin at a time",
    rewriting: "segments that were rewritten",
    snapshots: "damage to snapshots",
    repairs: "repairs",
    files: "files of dumps",
  },
  plan: damagePlan,
  run: runDamage,
  smaller: (plan, violation) => {
    const named = violation?.subjects.find((subject) => /^s\d+$/.test(subject));
    return smaller(plan, named === undefined ? -1 : Number(named.slice(1)));
  },
  size: ({ streams, file }) => {
    const blows = streams.flatMap((stream) => stream.blows.flat()).length;
    return `${streams.length} streams, ${blows} blows, ${file?.blows.length ?? 0} to a file`;
  },
};
