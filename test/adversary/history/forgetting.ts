/** Requests to forget: what they concern, their receipts, and that what was forgotten is nowhere. */
import type { Json } from "../frame/http.ts";
import { eventually } from "../frame/time.ts";
import { keyOf, subjectOf } from "./appending.ts";
import { type Erasure, type Kept, type Model, placeOf, secretOf } from "./model.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";

const receiptMs = 60_000;

export async function erase(run: ScriptRun, step: Extract<Step, { do: "erase" }>): Promise<void> {
  const log = run.log(step.on);
  const target =
    step.key === undefined ? { subject: subjectOf(run, step.subject ?? 0) } : { key: keyOf(run, step.key) };
  const id = `erase-${run.erasures++}`;
  // What is sealed after archiving was switched off may be taken to be on its way.
  const stopped = log.settings.archive !== true && log.epochs.some(({ settings }) => settings.archive);
  const erasure: Erasure = { id, ...target, to: new Map(), prompt: !run.unsettled && !stopped, done: false };
  log.erasures.push(erasure);
  // A request whose answer is lost may have been taken.
  for (const record of concerned(log, erasure)) record.forgotten ??= "asked";
  const { json } = await run.steady("POST", `${log.path}/erasures`, { id, ...target });
  run.note([], () => `${JSON.stringify(target)} is to be forgotten: ${JSON.stringify(json)}`);
  told(run, log, erasure, json);
  if (step.wait) await receipts(run, log);
}

/** What the request is about: everything that was stored when it was made. */
function concerned(log: Model, { key, subject, to }: Erasure): Kept[] {
  return [...log.all()].filter((record) => {
    // Of what was stored after it, or in partitions that came after it, nothing.
    if (to.size > 0 && record.offset >= (to.get(record.partition) ?? 0)) return false;
    return key === undefined ? record.subject === subject : record.key === key;
  });
}

/** How it stands: every partition that has something is at work, or done. */
function told(run: ScriptRun, log: Model, erasure: Erasure, json: Json): void {
  const views = new Map((json.partitions as Json[]).map((view) => [view.partition as number, view]));
  const words = () => `${erasure.id} of ${log.path}: ${JSON.stringify(json)}`;
  for (const record of concerned(log, erasure)) {
    const view = views.get(record.partition);
    // Where it was done before the dump, a copy has no word of it.
    const known = view === undefined ? erasure.inherited === true : view.to > record.offset;
    run.that("receipts", known, () => `${JSON.stringify(record)} is not concerned by ${words()}`, [placeOf(record)]);
  }
  if (erasure.to.size === 0) for (const number of log.numbers) erasure.to.set(number, log.part(number).records.length);
  if (!json.done || erasure.done) return;
  erasure.done = true;
  for (const record of concerned(log, erasure)) {
    const unread = (views.get(record.partition)?.unread ?? []) as number[];
    // What a store does not give for a while is waited for, and nothing is harmed while something is to be forgotten.
    run.that("receipts", unread.length === 0, words);
    record.forgotten = "done";
  }
  run.note([], () => `the receipt: ${words()}`);
}

export async function ask(run: ScriptRun, log: Model): Promise<boolean> {
  for (const erasure of log.erasures) {
    if (erasure.done) continue;
    const path = `${log.path}/erasures/${erasure.id}`;
    const answer = await run.answered("GET", path);
    // What was done before the dump is over, and its receipt stays with the original.
    if (answer.status === 404 && erasure.inherited) continue;
    run.that("accepted", answer.status === 200, () => `GET ${path} was answered ${answer.status}: ${answer.body}`);
    told(run, log, erasure, answer.json);
  }
  await nowhere(run, log);
  return log.erasures.every(({ done, prompt }) => done || !prompt || run.cutOff);
}

/** Waits for every receipt that nothing keeps from coming. */
export async function receipts(run: ScriptRun, log: Model): Promise<void> {
  if (run.fault !== undefined) {
    await ask(run, log);
    return;
  }
  const all = await eventually(() => ask(run, log), run.round.patient(receiptMs), 50);
  const open = log.erasures.filter(({ done }) => !done).map(({ id }) => id);
  run.that("receipts", all === true, () => `after ${receiptMs / 1000} s there is no receipt for ${open.join(", ")}`);
}

/** What a receipt names is in none of the objects. */
async function nowhere(run: ScriptRun, log: Model): Promise<void> {
  const forgotten = [...log.all()].filter((record) => record.forgotten === "done" && record.data !== undefined);
  if (forgotten.length === 0) return;
  for (const prefix of [`logs/${log.logId}/`, "parquet/"]) {
    for (const [key, body] of run.round.service.bucket.objects(prefix)) {
      if (!key.includes(log.logId)) continue;
      for (const record of forgotten) {
        const words = () => `${key} has ${secretOf(run.secret, record.n)}, which is forgotten, at ${placeOf(record)}`;
        run.that("bucket", !body.includes(secretOf(run.secret, record.n)), words, [placeOf(record)]);
      }
    }
  }
}

/** The secrets of records that are forgotten, in a text. */
export function forgottenIn(run: ScriptRun, log: Model, bytes: Buffer, invariant: string, what: string): void {
  for (const record of log.all()) {
    if (record.forgotten !== "done" || record.data === undefined) continue;
    const words = () => `${what} has ${secretOf(run.secret, record.n)}, which is forgotten, at ${placeOf(record)}`;
    run.that(invariant, !bytes.includes(secretOf(run.secret, record.n)), words, [placeOf(record)]);
  }
}
