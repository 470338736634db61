/** Appends, each by a producer, so that one whose answer was lost is sent again and answered as the first time. */
import type { Json } from "../frame/http.ts";
import { type Kept, type Model, placeOf, secretOf } from "./model.ts";
import type { Drawn, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";

const largeChars = 3000;

export const keyOf = (run: ScriptRun, key: number) => `key-${key}-of-${run.name}`;
export const subjectOf = (run: ScriptRun, subject: number) => `subject/${subject}/${run.name}`;

interface Sent {
  readonly n: number;
  readonly key?: string;
  readonly subject?: string;
  readonly data?: Json;
}

function sentOf(run: ScriptRun, { key, subject, form }: Drawn): Sent {
  const n = run.records++;
  const secret = secretOf(run.secret, n);
  return {
    n,
    ...(key !== null && { key: keyOf(run, key) }),
    ...(subject !== null && { subject: subjectOf(run, subject) }),
    ...(form !== "marker" && { data: { n, secret, ...(form === "large" && { pad: "p".repeat(largeChars) }) } }),
  };
}

export async function append(run: ScriptRun, step: Extract<Step, { do: "append" }>): Promise<void> {
  const log = run.log(step.on);
  for (const batch of step.batches) await appendBatch(run, log, batch);
}

async function appendBatch(run: ScriptRun, log: Model, batch: readonly Drawn[]): Promise<void> {
  const sent = batch.map((drawn) => sentOf(run, drawn));
  const sentAt = Date.now();
  const headers = { "producer-id": "writer", "producer-epoch": "0", "producer-seq": String(log.sequence++) };
  const records = sent.map(({ n: _, ...record }) => record);
  const { json } = await run.steady("POST", `${log.path}/records`, { records }, headers);
  const verdicts = json.verdicts as Json[];
  const words = () => `${sent.length} records were answered ${JSON.stringify(verdicts)}`;
  run.that("offsets", verdicts.length === sent.length, words);
  for (const [i, { verdict, partition, offset }] of verdicts.entries()) {
    const { n, key, subject, data } = sent[i] as Sent;
    const part = log.part(partition);
    const told = () => `${verdict} at ${partition}.${offset}, where ${part.records.length} is next; ${words()}`;
    run.that("offsets", verdict !== "rejected" && offset === part.records.length, told, [`${partition}`]);
    const kept: Kept = {
      n,
      partition,
      offset,
      sentAt,
      ...(key !== undefined && { key }),
      ...(subject !== undefined && { subject }),
      ...(data !== undefined && { data: JSON.stringify(data) }),
    };
    part.records.push(kept);
    const what = data === undefined ? "a marker" : `n${n}`;
    run.note(
      [placeOf(kept), ...(key === undefined ? [] : [key])],
      () => `appended ${what} of ${key}: ${placeOf(kept)}`,
    );
  }
}
