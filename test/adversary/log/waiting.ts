/** A reader that waits at the end of the stream, and an append that comes meanwhile. */
import { filterQuery, queryText } from "./model.ts";
import type { Drawn, Step } from "./plan.ts";
import { numberIn, readPage } from "./read.ts";
import type { ScriptRun } from "./script.ts";
import { mustAccept, sendUntilAnswered, subjects } from "./sending.ts";
import { readTruth } from "./truth.ts";
import { batchOf } from "./writing.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** What else the machine does takes its time; nothing here takes that long. */
const slackMs = 20_000;

export async function wait(run: ScriptRun, step: Of<"wait">): Promise<void> {
  const { checks } = run.round;
  const { seconds, color, lets, grows } = step;
  await readTruth(run);
  const filter = filterQuery({ tags: [color] });
  const first = await run.steady("GET", `${run.stream}/records${queryText([...filter, ["from", "latest"]])}`);
  const path = `${run.stream}/records${queryText([...filter, ["from", first.json.cursor], ["wait", String(seconds)]])}`;
  const began = run.now();
  const waiting = run.answered("GET", path);
  waiting.catch(() => {}); // It is awaited below.
  if (grows && !run.script.terms.keyIndex && run.model.open.length < 8) {
    await run.steady("PUT", run.stream, { partitions: run.model.open.length + 1 });
  }
  const record: Drawn = {
    key: null,
    id: run.script.terms.retention === undefined,
    color: lets ? color : color === "red" ? "blue" : "red",
    type: null,
    shape: "plain",
  };
  const batch = batchOf(run, { door: "json", records: [record], retry: true });
  const sent = run.now();
  mustAccept(run, batch, await sendUntilAnswered(run, batch));
  const took = run.now() - sent;
  checks.that(
    "wait-append",
    took < slackMs,
    () => `${batch} took ${Math.round(took)} ms beside a reader that waits`,
    subjects(batch),
  );
  const answer = await waiting;
  const lasted = run.now() - began;
  const words = () =>
    `a wait of ${seconds} s took ${Math.round(lasted)} ms, and was answered ${answer.status} ${answer.body.toString().slice(0, 500)}`;
  checks.that("wait-ends", answer.status === 200 && lasted < seconds * 1000 + slackMs, words, subjects(batch));
  const got = readPage(answer.body.toString()).map(numberIn);
  const { n } = batch.records[0] as { n: number };
  // What an unanswered append did late may have come before it; the next page has it then.
  const came = got.includes(n) || got.length > 0 || (await next(run, filter, answer.json.cursor)).includes(n);
  checks.that("wait-answer", lets ? came : !got.includes(n), words, subjects(batch));
  await readTruth(run);
}

/** The wait was over before the append was; what it says leads to it. */
async function next(run: ScriptRun, filter: readonly (readonly [string, string])[], cursor: string) {
  const page = await run.steady("GET", `${run.stream}/records${queryText([...filter, ["from", cursor]])}`);
  return readPage(page.body.toString()).map(numberIn);
}
