/** Steps on conditions: what holds appends, what does not changes nothing. */
import type { Json } from "../frame/http.ts";
import { Batch } from "./batch.ts";
import { grow } from "./changes.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { mustAccept, sendOnce, subjects, type Terms } from "./sending.ts";
import { keyName } from "./sent.ts";
import { readTruth } from "./truth.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

function plainBatch(run: ScriptRun, partition: number | undefined, key?: string): Batch {
  const n = run.model.number();
  const record = { n, data: { json: `{"n":${n}}` }, fields: { ...(key !== undefined && { key }) } };
  const batch = new Batch(run.model.batches.length, [record], "json", {}, partition, undefined);
  run.model.add(batch);
  return batch;
}

/** One append on a condition. Not sent again: the first may have made the condition untrue. */
async function conditional(run: ScriptRun, batch: Batch, terms: Terms, holds: boolean, refusal: string): Promise<void> {
  const others = () =>
    [...run.model.stored.values()].filter(({ sent }) => run.model.batchOf.get(sent.n) !== batch).length;
  const before = others();
  const answer = await sendOnce(run, batch, batch.door, terms);
  if (answer === undefined || answer.status === 503) return;
  const got = `${answer.status} ${answer.json?.code ?? ""}`.trim();
  if ((answer.status === 201) !== holds) {
    // An unanswered append of before may have come between.
    await readTruth(run);
    if (others() !== before) {
      batch.refused = answer.status >= 400;
      if (answer.status === 201) mustAccept(run, batch, answer);
      return;
    }
  }
  const words = () =>
    `${batch} with ${JSON.stringify(terms)}: ${holds ? "201" : refusal} was due, and came ${answer.body.toString()}`;
  run.round.checks.that("conditions", holds ? answer.status === 201 : got === refusal, words, subjects(batch));
  if (holds) return mustAccept(run, batch, answer);
  batch.refused = true;
}

export async function expectOffset(run: ScriptRun, { where, off }: Of<"expect">): Promise<void> {
  await readTruth(run);
  const partition = run.share(run.model.open, where) as number;
  const expected = run.model.tail(partition) + off;
  if (expected < 0) return;
  const batch = plainBatch(run, partition);
  await conditional(run, batch, [["expectedOffset", String(expected)]], off === 0, "412 expected-offset");
}

export async function expectKeyOffset(run: ScriptRun, { key, right }: Of<"expect-key">): Promise<void> {
  if (!run.script.terms.keyIndex) return;
  await readTruth(run);
  const name = keyName(key);
  // What was trimmed is none.
  const line = [...run.model.stored.values()].filter(
    ({ fields, partition, offset }) => fields.key === name && offset >= run.model.head(partition),
  );
  const newest = line.reduce((most, { offset }) => Math.max(most, offset), -1);
  const truth = newest < 0 ? "none" : String(newest);
  const wrong = newest < 0 ? undefined : newest === 0 ? "none" : String(newest - 1);
  const expected = right ? truth : wrong;
  if (expected === undefined) return;
  const batch = plainBatch(run, undefined, name);
  await conditional(run, batch, [["expectedKeyOffset", expected]], right, "412 expected-key-offset");
}

/** A token is set; who has another one is refused, in the partitions that continue it too. */
export async function fence(run: ScriptRun, { where, right, grows }: Of<"fence">): Promise<void> {
  await readTruth(run);
  const partition = run.share(run.model.open, where) as number;
  const token = `token-${run.model.number()}`;
  await run.steady("PUT", `${run.stream}/partitions/${partition}/fence`, { token });
  if (grows) await grow(run, { do: "grow", by: run.model.open.length });
  for (const heir of await openOf(run, partition)) {
    const batch = plainBatch(run, heir);
    await conditional(run, batch, [["fence", right ? token : "another"]], right, "409 fenced");
    await run.steady("PUT", `${run.stream}/partitions/${heir}/fence`, { token: null });
  }
}

/** Partitions that take appends of what one took. */
async function openOf(run: ScriptRun, partition: number): Promise<number[]> {
  const { json } = await run.steady("GET", `${run.stream}/partitions`);
  const family = new Set([partition]);
  const open: number[] = [];
  // A half has a higher number than what was halved.
  for (const one of json.partitions as Json[]) {
    if (family.has(one.parent as number)) family.add(one.partition as number);
    if (family.has(one.partition as number) && !one.sealed) open.push(one.partition as number);
  }
  return open;
}
