/** Dead letters: what an operator looks at, and sets going again. */
import type { z } from "zod";
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { lettersBody, lettersQuery, redriveBody } from "../../../schemas/group.ts";
import { limits } from "../../../schemas/limits.ts";
import type { Which } from "../../delivery/admin.ts";
import type { Try } from "../../delivery/item.ts";
import type { Letter } from "../../delivery/letters.ts";
import { RawJson } from "../../intake/raw-json.ts";
import { concat } from "../../lib/bytes.ts";
import { eachRecord, readHeader } from "../../log/frame.ts";
import type { JsonWriter } from "../../log/json.ts";
import { decodeRecord, FrameWriter, kinds } from "../../log/record.ts";
import type { DeliveryRpc } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { isRepeat } from "../operation.ts";
import { readJson, readJsonBytes } from "../parse.ts";
import { answer, json, problem } from "../problem.ts";
import type { Later } from "../sending.ts";
import { partly } from "../several.ts";
import type { Names } from "./groups.ts";
import { idOf, type List, listPage } from "./pages.ts";
import { askAll, askDelivery, type GroupRoute, groupRoute, noPartition } from "./route.ts";

export const time = (ms: number) => new Date(ms).toISOString();

const letters: List<"letters", Letter> = {
  name: "letters",
  query: lettersQuery,
  ask: (one, behind, room) => one.admin("letters", behind, room.items),
  numberOf: ({ offset }) => offset,
  show: showLetter,
};

export const listLetters = (request: Request, env: Env, names: Names, later: Later): Promise<Response> =>
  listPage(request, env, names, later, letters);

/** A partition's letters behind an offset, and whether there are more. */
async function lettersOf(
  env: Env,
  target: GroupRoute,
  partition: number,
  after: number,
  limit: number,
): Promise<Result<{ letters: Letter[]; more: boolean }>> {
  const some = await askDelivery(env, target, partition, (one) => one.admin("letters", after, limit));
  return some ?? ok({ letters: [], more: false });
}

/** The record with its fields, and what became of it. */
function showLetter(writer: JsonWriter, letter: Letter, partition: number): void {
  const { body, offset, timestamp, checked, died, attempts, reason, tries, state } = letter;
  const more = {
    letter: `${partition}.${offset}`,
    state,
    reason,
    attempts,
    diedAt: time(died),
    tries: tries.map(showTry),
  };
  const item = { bytes: body, from: 0, to: body.length, offset, timestamp, checked };
  writer.record(item, partition, { write: () => writer.text(`,${JSON.stringify(more).slice(1, -1)}`) });
}

export async function redrive(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJsonBytes(request, redriveBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { value, bytes } = body.value;
  const repeated = isRepeat(request);
  if (!("letter" in value)) return eachLetter(env, target.value, value, "redrive", repeated);
  const { partition, number } = idOf(value.letter);
  if (!target.value.partitions.includes(partition)) return problem(noPartition(partition).refusal);
  const found = await lettersOf(env, target.value, partition, number - 1, 1);
  if (!found.ok) return problem(found.refusal);
  const letter = found.value.letters.find(({ offset }) => offset === number);
  const none = () => (repeated ? json({ redriven: 0 }) : problem(noLetters([value.letter])));
  if (letter === undefined) return none();
  const data = dataOf(bytes);
  const edited = data === undefined ? ok(undefined) : edit(letter, data);
  if (!edited.ok) return problem(edited.refusal);
  const done = await askDelivery(env, target.value, partition, (one) => one.admin("redrive", [number], edited.value));
  if (done === undefined || missingOf(done) !== undefined) return none();
  return answer(done, (redriven) => ({ redriven }));
}

/** All of a request that are not there, as it names them. */
const noLetters = (letters: readonly string[]): Refusal => ({
  code: "letter-not-found",
  detail: `there is no dead letter ${letters[0]}; it may have been redriven or discarded: list them anew`,
  facts: { letters },
});

/** The member `data` of an order, as it was sent. */
function dataOf(bytes: Uint8Array): Uint8Array | undefined {
  let data: Uint8Array | undefined;
  new RawJson(bytes).members((name, from, to) => {
    if (name === "data") data = bytes.slice(from, to);
  });
  return data;
}

/** The letter's record with other data. */
function edit({ body }: Letter, data: Uint8Array): Result<Uint8Array> {
  const record = decodeRecord(body, 0, body.length);
  const writer = new FrameWriter();
  const { datacontenttype: _, ...rest } = record;
  const length = writer.add({ ...rest, kind: kinds.json, data }, limits.recordBytesMax);
  if (length > limits.recordBytesMax) {
    const detail = `with these data the record has ${length} bytes; at most ${limits.recordBytesMax} are allowed`;
    return refuse("record-too-large", detail, { limit: limits.recordBytesMax });
  }
  const frame = readHeader(concat(writer.finish(0)), 0);
  let packed = body;
  if (frame.ok)
    eachRecord(frame.value, (from, to) => {
      packed = frame.value.bytes.slice(from, to);
    });
  return ok(packed);
}

export async function discard(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, lettersBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  return eachLetter(env, target.value, body.value, "discard", isRepeat(request));
}

const give = (one: DeliveryRpc, order: "redrive" | "discard", which: Which) =>
  order === "redrive" ? one.admin("redrive", which, undefined) : one.admin("discard", which);

const past = { redrive: "redriven", discard: "discarded" } as const;

async function eachLetter(
  env: Env,
  target: GroupRoute,
  which: z.output<typeof lettersBody>,
  order: "redrive" | "discard",
  repeated: boolean,
): Promise<Response> {
  if ("all" in which) {
    const done = await askAll<number>(env, target, (one) => give(one, order, "all"));
    return answer(done, (list) => ({ [past[order]]: list.reduce((sum, { value }) => sum + value, 0) }));
  }
  const byPartition = Map.groupBy(which.letters.map(idOf), ({ partition }) => partition);
  const none = [...byPartition.keys()].find((partition) => !target.partitions.includes(partition));
  if (none !== undefined) return problem(noPartition(none).refusal);
  // First whether all of them are there: a refusal changes nothing, and names all that are not.
  const missing = new Set<string>();
  let count = 0;
  for (const step of ["known", order] as const) {
    for (const [partition, ids] of byPartition) {
      // Of what is sent again, those that are not there any more were done.
      const numbers = ids.map(({ number }) => number).filter((number) => !missing.has(`${partition}.${number}`));
      if (numbers.length === 0) continue;
      const done = await askDelivery<number | undefined>(env, target, partition, (one) =>
        step === "known" ? one.admin("known", numbers) : give(one, step, numbers),
      );
      const gone = done === undefined ? numbers.map((number) => `${partition}.${number}`) : missingOf(done);
      if (gone === undefined && done?.ok === false) return problem(count === 0 ? done.refusal : partly(done.refusal));
      for (const one of gone ?? []) missing.add(one);
      count += (done?.ok && done.value) || 0;
    }
    const named = which.letters.filter((text) => missing.has(asListed(text)));
    if (named.length > 0 && !repeated) return problem(count === 0 ? noLetters(named) : partly(noLetters(named)));
  }
  return json({ [past[order]]: count });
}

/** Letters that a refusal says are not there. */
const missingOf = (done: Result<unknown>): readonly string[] | undefined =>
  done.ok ? undefined : (done.refusal.facts?.letters as readonly string[] | undefined);

/** A letter's name without zeros before its numbers. */
function asListed(text: string): string {
  const { partition, number } = idOf(text);
  return `${partition}.${number}`;
}

export const showTry = ({ attempt, at, member, reason }: Try) => ({ attempt, member, reason, at: time(at) });
