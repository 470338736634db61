/** One request that appends, its answer, and what the answer promises. */
import { request } from "node:http";
import { type Answer, type Json, Lost } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import type { Batch, Place } from "./batch.ts";
import { type Body, bodyOf } from "./doors.ts";
import { queryText } from "./model.ts";
import type { Cut, Door } from "./plan.ts";
import { placeOf } from "./read.ts";
import type { ScriptRun } from "./script.ts";

const persistMs = 45_000;

export interface Verdict extends Place {
  readonly verdict: "appended" | "duplicate" | "rejected";
  readonly reason?: string;
}

export type Terms = readonly (readonly [string, string])[];

/** The path and the parts of the request that appends this. */
function requestOf(run: ScriptRun, batch: Batch, door: Door, terms: Terms): Body & { path: string } {
  const { partition, sequence, write } = batch;
  const body = bodyOf(batch.records, door, write);
  const query = [
    ...body.query,
    ...(partition === undefined ? [] : [["partition", String(partition)] as const]),
    ...(write.atomic ? [["atomic", "true"] as const] : []),
    // Runs are the default of frames alone.
    ...(write.runs !== undefined ? [["verdicts", write.runs ? "runs" : "each"] as const] : []),
    ...terms,
  ];
  const headers = {
    ...body.headers,
    ...(sequence && {
      "producer-id": sequence.producer,
      "producer-epoch": String(sequence.epoch),
      "producer-seq": String(sequence.sequence),
    }),
  };
  return { ...body, headers, path: `${run.stream}/records${queryText(query)}` };
}

/** One whole request. Undefined where nobody knows what became of it. */
export async function sendOnce(
  run: ScriptRun,
  batch: Batch,
  door = batch.door,
  terms: Terms = [],
): Promise<Answer | undefined> {
  const { path, headers, body } = requestOf(run, batch, door, terms);
  batch.attempts++;
  batch.sentAt = Math.min(batch.sentAt, run.now());
  try {
    const answer = await run.round.call("POST", path, { headers, body });
    if (answer.status < 500 || answer.json?.clean === true) return answer;
    run.note(subjects(batch), () => `${batch}: ${answer.status} ${answer.body.toString().slice(0, 300)}`);
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    run.note(subjects(batch), () => `${batch}: ${error.message}`);
  }
  batch.unanswered++;
  return undefined;
}

export const subjects = (batch: Batch) => [`b${batch.number}`, ...batch.records.map(({ n }) => `n${n}`)];

/** As it was, until it is answered. */
export async function sendUntilAnswered(
  run: ScriptRun,
  batch: Batch,
  door = batch.door,
  terms: Terms = [],
): Promise<Answer> {
  const end = performance.now() + persistMs;
  for (;;) {
    const answer = await sendOnce(run, batch, door, terms);
    if (answer !== undefined && answer.status !== 503) return answer;
    if (run.round.stopped.aborted) throw new Error("the round was stopped");
    if (performance.now() > end) throw new Lost(`${batch} was not answered in ${persistMs} ms`);
    await sleep(150, run.round.stopped);
  }
}

/** The caller goes away before the body is over, or before the answer comes. */
export async function sendAndLeave(run: ScriptRun, batch: Batch, wanted: Cut): Promise<void> {
  const { path, headers, body } = requestOf(run, batch, batch.door, []);
  // A request without a body has nothing to be cut off from.
  const cut: Cut = body.length === 0 ? { at: "answer", afterMs: 0 } : wanted;
  if (cut.at === "answer") {
    batch.attempts++;
    batch.unanswered++;
    batch.sentAt = Math.min(batch.sentAt, run.now());
  }
  run.note(
    subjects(batch),
    () => `${batch}: left ${cut.at === "body" ? "amid its body" : `${cut.afterMs} ms after it was sent`}`,
  );
  run.round.operations++;
  await new Promise<void>((done) => {
    const sent = request(run.round.service.origin + path, {
      method: "POST",
      agent: false,
      headers: {
        ...headers,
        authorization: `Bearer ${run.round.service.token}`,
        "content-length": String(body.length),
      },
    });
    const leave = () => {
      sent.destroy();
      done();
    };
    sent.on("error", () => done());
    sent.on("response", (answer) => answer.resume());
    if (cut.at === "body") {
      // At least a byte is missing.
      sent.write(body.subarray(0, Math.min(body.length - 1, Math.floor(cut.share * body.length))));
      setTimeout(leave, 20);
    } else {
      sent.end(body, () => setTimeout(leave, cut.afterMs));
    }
  });
}

/** Verdicts one by one, also where they came as runs. */
export function verdictsOf(answer: Json): Verdict[] {
  if (answer.verdicts !== undefined) return answer.verdicts;
  return (answer.runs as Json[]).flatMap(({ count, ...run }) =>
    Array.from({ length: count }, (_, i) => ({ ...run, offset: run.offset + i })),
  );
}

/** An answer that is no refusal: what it says of each record is noted, and held against earlier answers. */
export function acknowledge(run: ScriptRun, batch: Batch, verdicts: readonly Verdict[]): void {
  const { checks } = run.round;
  const right = verdicts.length === batch.records.length && verdicts.every(({ verdict }) => verdict !== "rejected");
  checks.that("accepted", right, () => `${batch} was answered ${JSON.stringify(verdicts)}`, subjects(batch));
  batch.ackedAt = run.now();
  run.note(subjects(batch), () => `${batch}: ${verdicts.map((one) => `${one.verdict} ${placeOf(one)}`).join(", ")}`);
  for (const [i, { verdict, partition, offset }] of verdicts.entries()) {
    const { n } = batch.records[i] as { n: number };
    const before = batch.places?.[i];
    const words = () =>
      `n${n} of ${batch} is ${verdict} at ${placeOf({ partition, offset })}, and was at ${before && placeOf(before)}`;
    if (batch.once && before !== undefined) {
      const same = verdict === "duplicate" && placeOf(before) === placeOf({ partition, offset });
      checks.that("first-verdict", same, words, [`n${n}`]);
    }
    // Nobody sent it before.
    if (batch.attempts === 1) checks.that("first-verdict", verdict === "appended", words, [`n${n}`]);
    if (batch.partition !== undefined && before === undefined && verdict === "appended") {
      checks.that("partition", partition === batch.partition, words, [`n${n}`]);
    }
    batch.named[i]?.push({ partition, offset });
  }
  batch.places ??= verdicts.map(({ partition, offset }) => ({ partition, offset }));
}

/** What an answer says, where the documents leave nothing but success. */
export function mustAccept(run: ScriptRun, batch: Batch, answer: Answer): void {
  const words = () => `${batch} was answered ${answer.status}: ${answer.body.toString().slice(0, 1000)}`;
  run.round.checks.that("accepted", answer.status === 200 || answer.status === 201, words, subjects(batch));
  const verdicts = verdictsOf(answer.json);
  const some = verdicts.some(({ verdict }) => verdict === "appended");
  run.round.checks.that("status", (answer.status === 201) === some, words, subjects(batch));
  acknowledge(run, batch, verdicts);
}
