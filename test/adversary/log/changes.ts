/** Steps that change the stream itself: more partitions, less of the past. */
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { readTruth } from "./truth.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const partitionsMax = 8;

export async function grow(run: ScriptRun, { by }: Of<"grow">): Promise<void> {
  await widen(run, by);
  await readTruth(run);
}

/** Others may append meanwhile, so that nothing is read. */
export async function widen(run: ScriptRun, by: number): Promise<void> {
  // Neither a key index nor a sequence of offsets can be split.
  if (run.script.terms.keyIndex) return;
  if (run.model.partitions.size === 0) await readTruth(run);
  const partitions = Math.min(partitionsMax, run.model.open.length + by);
  await run.steady("PUT", run.stream, { partitions });
  run.note([], () => `the stream has ${partitions} partitions`);
}

export async function trim(run: ScriptRun, { where, share }: Of<"trim">): Promise<void> {
  await readTruth(run);
  const partition = run.share(run.model.numbers, where) as number;
  const head = run.model.head(partition);
  const tail = run.model.tail(partition);
  const beforeOffset = head + Math.floor(share * (tail - head));
  run.model.trimmed = true;
  run.model.byHand = true;
  const { json } = await run.steady("POST", `${run.stream}/partitions/${partition}/trim`, { beforeOffset });
  run.note(
    [],
    () => `partition ${partition} was trimmed before ${beforeOffset}, from ${head}-${tail}; its head is ${json.head}`,
  );
  const kept = json.head >= head && json.head <= beforeOffset;
  run.round.checks.that(
    "trim",
    kept,
    () => `a trim before ${beforeOffset} brought the head from ${head} to ${json.head}`,
  );
  await readTruth(run);
}
