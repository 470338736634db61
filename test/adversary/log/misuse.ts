/** Steps that send again what was answered, and that send what must change nothing. */
import type { Answer } from "../frame/http.ts";
import { Batch, type Sequence } from "./batch.ts";
import type { Door, Step } from "./plan.ts";
import { placeOf } from "./read.ts";
import type { ScriptRun } from "./script.ts";
import { mustAccept, sendUntilAnswered, subjects, verdictsOf } from "./sending.ts";
import { isEvent, keyName, type Sent, sentOf } from "./sent.ts";
import { producerOf, stampedAs } from "./writing.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** So many of its batches a partition remembers of a producer. */
const remembered = 5;

/** Whether every partition still knows it: none of them has had more than four since. */
function isRemembered(run: ScriptRun, { sequence }: Batch): boolean {
  if (sequence === undefined) return true;
  const { epoch, next } = run.producers.get(sequence.producer) ?? { epoch: 0, next: 0 };
  return sequence.epoch === epoch && sequence.sequence >= next - remembered;
}

/** Whether nothing of it was trimmed: after a restart, or a split, the id of what was is not known any more. */
const isWhole = ({ model }: ScriptRun, { places }: Batch) =>
  places?.every(({ partition, offset }) => offset >= model.head(partition)) === true;

/** A partition that was named and has been split since takes no more. */
const takes = ({ model }: ScriptRun, { partition }: Batch) => partition === undefined || model.open.includes(partition);

const code = (answer: Answer) => `${answer.status} ${answer.json?.code ?? ""}`.trim();

/** An earlier batch as it was: the same answer, or that it is too long ago. */
export async function again(run: ScriptRun, { share, door }: Of<"again">): Promise<void> {
  const batch = run.share(
    run.answeredBatches(
      (batch) =>
        batch.once && !batch.write.atomic && takes(run, batch) && (batch.sequence !== undefined || isWhole(run, batch)),
    ),
    share,
  );
  if (batch === undefined) return;
  const lines = batch.door === "ndjson" && door === "json";
  const answer = await sendUntilAnswered(run, batch, lines ? "json" : batch.door);
  if (isRemembered(run, batch)) return mustAccept(run, batch, answer);
  const codes = ["fenced", "sequence-stale"];
  const verdicts = answer.status < 300 ? verdictsOf(answer.json) : [];
  // Each partition answers for itself, by what it knows.
  const right = verdicts.every((verdict, i) => {
    const place = batch.places?.[i];
    if (verdict.verdict === "rejected") return codes.includes(verdict.reason ?? "");
    return verdict.verdict === "duplicate" && place !== undefined && placeOf(verdict) === placeOf(place);
  });
  const refusal = answer.status === 409 && codes.includes(answer.json?.code);
  const words = () => `${batch}, sent again, was answered ${answer.body.toString()}`;
  run.round.checks.that("stale", answer.status < 300 ? right : refusal, words, subjects(batch));
  run.note(subjects(batch), () => `${batch}, sent again: ${code(answer)}`);
}

/** Records of the same keys, and nothing else of them. */
function others(run: ScriptRun, batch: Batch): Sent[] {
  return batch.records.map(({ fields }) => {
    const n = run.model.number();
    return { n, data: { json: `{"n":${n}}` }, fields: { ...(fields.key !== undefined && { key: fields.key }) } };
  });
}

/** A batch that must be refused, and leave no trace. */
async function refused(
  run: ScriptRun,
  batch: Batch,
  wanted: readonly string[],
  terms: readonly (readonly [string, string])[] = [],
) {
  run.model.add(batch);
  batch.refused = true;
  const answer = await sendUntilAnswered(run, batch, batch.door, terms);
  const words = () =>
    `${batch}: ${wanted.join(" or ")} was due, and came ${answer.status} ${answer.body.toString().slice(0, 500)}`;
  run.round.checks.that("misuse", wanted.includes(code(answer)), words, subjects(batch));
  run.note(subjects(batch), () => `${batch} was refused: ${code(answer)}`);
}

export async function misuse(run: ScriptRun, { share, how }: Of<"misuse">): Promise<void> {
  const old = run.share(
    run.answeredBatches(
      (batch) => batch.sequence !== undefined && batch.records.every(({ fields }) => fields.id === undefined),
    ),
    share,
  );
  if (old?.sequence === undefined) return;
  const { producer, epoch, sequence } = old.sequence;
  const now = run.producers.get(producer) ?? { epoch, next: sequence + 1 };
  const batch = (to: Sequence) => new Batch(run.model.batches.length, others(run, old), "json", {}, undefined, to);
  if (how === "gap") {
    // Over several partitions numbers need only grow.
    if (run.model.partitions.size > 1 || epoch !== now.epoch) return;
    return refused(run, batch({ producer, epoch, sequence: now.next + 2 }), ["409 sequence-gap"]);
  }
  if (how === "fenced") {
    if (epoch >= now.epoch || !touched(run, old, now.epoch)) return;
    return refused(run, batch({ producer, epoch, sequence: sequence + 1 }), ["409 fenced"]);
  }
  if (epoch !== now.epoch) return;
  const wanted = ["409 sequence-conflict", ...(isRemembered(run, old) ? [] : ["409 sequence-stale"])];
  return refused(run, batch({ producer, epoch, sequence }), wanted);
}

/** Whether every key of the batch was written by the newer epoch: a partition that had no part in that cannot know. */
function touched(run: ScriptRun, { records, sequence: old }: Batch, epoch: number): boolean {
  const newer = run.answeredBatches(({ sequence }) => sequence?.epoch === epoch && sequence.producer === old?.producer);
  if (run.model.partitions.size === 1) return newer.length > 0;
  const keys = new Set(newer.flatMap((batch) => batch.records.map(({ fields }) => fields.key)));
  return records.every(({ fields }) => keys.has(fields.key));
}

/** Another instance takes the producer over. */
export async function epoch(run: ScriptRun, step: Of<"epoch">): Promise<void> {
  const { name, epoch } = producerOf(run, step.producer);
  run.producers.set(name, { epoch: epoch + 1, next: 0 });
  run.note([], () => `${name} has epoch ${epoch + 1}`);
}

/** The id of a record that is there, with other data: under its key a duplicate, under another key a record. */
export async function repeat(run: ScriptRun, { share, door, otherKey }: Of<"repeat">): Promise<void> {
  const free = run.answeredBatches((batch) => batch.partition === undefined && isWhole(run, batch));
  const ided = free.flatMap((batch) =>
    batch.records.flatMap((sent, i) => (sent.fields.id === undefined ? [] : [{ sent, place: batch.places?.[i] }])),
  );
  const first = run.share(ided, share);
  if (first?.place === undefined) return;
  const { sent, place } = first;
  if (otherKey !== null && sent.fields.key === keyName(otherKey)) return;
  const copy = otherwise(run, sent, door, otherKey);
  if (copy === undefined) return;
  const batch = new Batch(run.model.batches.length, [copy], door, {}, undefined, undefined);
  if (otherKey !== null && taken(run, copy)) return;
  run.model.add(batch);
  batch.refused = otherKey === null;
  const answer = await sendUntilAnswered(run, batch);
  const words = () =>
    `n${sent.n} is at ${placeOf(place)}; ${batch} with its id was answered ${answer.status} ${answer.body.toString()}`;
  run.round.checks.that("accepted", answer.status < 300, words, subjects(batch));
  if (otherKey !== null) return mustAccept(run, batch, answer);
  const [verdict] = verdictsOf(answer.json);
  const met = verdict?.verdict === "duplicate" && placeOf(verdict) === placeOf(place);
  run.round.checks.that("ids", met, words, [`n${sent.n}`, `n${copy.n}`]);
}

/** Whether the id was used under that key before. */
const taken = (run: ScriptRun, { fields }: Sent) =>
  run.model.batches.some((batch) =>
    batch.records.some(
      (one) => one.fields.id === fields.id && one.fields.source === fields.source && one.fields.key === fields.key,
    ),
  );

function otherwise(run: ScriptRun, { fields }: Sent, door: Door, otherKey: number | null): Sent | undefined {
  // Events have a source.
  if (isEvent(door) && fields.source === undefined) return undefined;
  const n = run.model.number();
  const fresh = sentOf(
    stampedAs(run, { key: null, id: false, color: null, type: null, shape: "plain" }),
    n,
    door === "raw" ? "json" : door,
  );
  const { id, source } = fields;
  const key = otherKey === null ? fields.key : keyName(otherKey);
  const { id: _, source: __, ...rest } = fresh.fields;
  return {
    n,
    data: fresh.data,
    ...(fresh.stamp !== undefined && { stamp: fresh.stamp }),
    fields: { ...rest, ...(key !== undefined && { key }), id, ...(source !== undefined && { source }) },
  };
}
