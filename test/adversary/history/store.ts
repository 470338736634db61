/** What lies in the store: whether it is all there, what `verify` says of it, and what becomes of it when it is harmed. */
import type { Json } from "../frame/http.ts";
import { eventually } from "../frame/time.ts";
import { receipts } from "./forgetting.ts";
import { look } from "./look.ts";
import type { Model, Part, Range } from "./model.ts";
import type { Harm, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";

const settledMs = 90_000;
const footerBytes = 200;

export async function ail(run: ScriptRun, { fault }: Extract<Step, { do: "store" }>): Promise<void> {
  run.ail(fault ?? undefined);
}

/** Waits until everything that is sealed is in the store, where it is to be. */
export async function settle(run: ScriptRun): Promise<void> {
  if (run.fault !== undefined) return;
  for (const log of run.logs) {
    if (!log.settings.archive) continue;
    for (const number of log.numbers) {
      let facts: Json;
      const all = await eventually(
        async () => {
          facts = (await run.steady("GET", `${log.path}/partitions/${number}`)).json;
          return facts.segments === facts.archived.segments;
        },
        run.round.patient(settledMs),
        50,
      );
      run.that("archived", all === true, () => `not everything is archived: ${JSON.stringify(facts)}`);
    }
  }
  run.unsettled = false;
}

export async function verify(run: ScriptRun, step: { readonly on?: number }): Promise<void> {
  const log = run.log(step.on);
  for (const number of log.numbers) await verified(run, log, log.part(number));
}

/** Intact exactly where nothing was harmed; what is named otherwise are the objects that were. */
async function verified(run: ScriptRun, log: Model, part: Part, harmed: readonly string[] = []): Promise<void> {
  const path = `${log.path}/partitions/${part.number}/verify`;
  const answer = await run.answered("POST", path, {}, run.fault !== undefined);
  // What the store does not give cannot be verified.
  if (answer.status === 503 && run.fault !== undefined) return;
  run.that("accepted", answer.status === 200, () => `POST ${path} was answered ${answer.status}: ${answer.body}`);
  const { intact, damaged } = answer.json as Json;
  const words = () => `${path}, where ${harmed.join(" and ") || "nothing"} was harmed: ${answer.body}`;
  const named = new Set((damaged as Json[]).map(({ object }) => object as string | undefined));
  run.that("verify", intact === (harmed.length === 0), words, [`${part.number}`]);
  run.that(
    "verify",
    [...named].every((object) => object !== undefined && harmed.includes(object)),
    words,
  );
  run.that(
    "verify",
    harmed.every((object) => named.has(object)),
    words,
  );
}

interface Segment extends Range {
  readonly key: string;
  readonly body: Buffer;
}

/** Objects of what is in the archive alone; of those that overlap the newest, as the document on storage says. */
function coldSegments(run: ScriptRun, log: Model, part: Part): Segment[] {
  const found: (Segment & { n: number })[] = [];
  for (const [key, body] of run.round.service.bucket.objects(`logs/${log.logId}/${part.number}/`)) {
    const footer = body.subarray(body.length - footerBytes);
    const number = (at: number) => Number(footer.readBigUInt64LE(at));
    found.push({ key, body, from: number(24), to: number(32), n: number(64) });
  }
  return found.filter(
    (one) =>
      one.from >= part.head &&
      one.to <= part.hotFrom &&
      !found.some((other) => other.n > one.n && other.from < one.to && other.to > one.from),
  );
}

/** Where the middle of the records is: a byte there belongs to them for sure. */
const middle = ({ body }: Segment) => 48 + Math.floor((body.readUInt32LE(48 + 4) + 32) / 2);

function harmedBody(how: Harm, one: Segment, other: Segment): Buffer | undefined {
  if (how === "gone") return undefined;
  if (how === "cut") return one.body.subarray(0, Math.floor(one.body.length / 2));
  if (how === "swapped") return other.body;
  const body = Buffer.from(one.body);
  body[middle(one)] = (body[middle(one)] as number) ^ 4;
  return body;
}

/** Harms an object that lies in the archive alone; then it is mended, or given up. */
export async function harm(run: ScriptRun, step: Extract<Step, { do: "harm" }>): Promise<void> {
  const log = run.log(step.on);
  // What is rewritten or dropped beside it would leave open what is to be told.
  const moves = log.epochs.some(({ settings }) => settings.compact || settings.archiveAgeMs != null);
  if (moves || run.fault !== undefined || !log.settings.archive) return;
  await settle(run);
  await receipts(run, log);
  if (log.erasures.some(({ done }) => !done)) return;
  await look(run, { do: "look", queries: [], ...(step.on !== undefined && { on: step.on }) });
  for (const number of log.numbers) {
    const part = log.part(number);
    const segments = coldSegments(run, log, part);
    const one = run.share(segments, step.share);
    const other = segments.find(({ key }) => key !== one?.key);
    if (one === undefined || other === undefined) continue;
    await harmOne(run, step, log, part, one, other);
    return;
  }
}

async function harmOne(
  run: ScriptRun,
  { how, isolate, on }: Extract<Step, { do: "harm" }>,
  log: Model,
  part: Part,
  one: Segment,
  other: Segment,
): Promise<void> {
  const { bucket } = run.round.service;
  run.note([], () => `${one.key}, ${one.from} to ${one.to}, is ${how}`);
  bucket.change(one.key, harmedBody(how, one, other));
  part.damaged.push({ from: one.from, to: one.to });
  log.damagedOnce = true;
  const looks = () => look(run, { do: "look", queries: [], ...(on !== undefined && { on }) });
  await looks();
  await verified(run, log, part, [one.key]);
  if (isolate) await isolated(run, log, part, one);
  else bucket.change(one.key, one.body);
  part.damaged.pop();
  await looks();
  await settle(run);
  await verified(run, log, part);
}

async function isolated(run: ScriptRun, log: Model, part: Part, one: Segment): Promise<void> {
  const path = `${log.path}/partitions/${part.number}/repair`;
  await run.steady("POST", path, { mode: "isolate" });
  const { json } = await run.steady("GET", path);
  const lost = json.lost as Range[];
  const known = [...part.holes, one];
  // Holes beside each other may be told as one.
  const isKnown = (offset: number) => known.some((hole) => offset >= hole.from && offset < hole.to);
  const exact = lost.every(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at).every(isKnown));
  const words = () => `${one.from} to ${one.to} was harmed, and the repair says ${JSON.stringify(json)}`;
  run.that("isolate", exact, words);
  run.that(
    "isolate",
    lost.some(({ from, to }) => from < one.to && to > one.from),
    words,
  );
  part.holes.splice(0, part.holes.length, ...lost);
}
