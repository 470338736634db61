/** Appending: a body becomes frames, each record goes to the partition of its key, and the verdicts come back in order. */
import { errors, ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { type AppendQuery, appendQuery } from "../../schemas/record.ts";
import {
  batchOf,
  type Checked,
  hasNames,
  media,
  notOneKey,
  ofOneKey,
  rulesOf,
  takeIn,
  takeKnown,
} from "../intake/intake.ts";
import { assert } from "../lib/assert.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { batchSum } from "../log/batch-sum.ts";
import { answeredBy, countOf, type ProducerTerms, type Run, type Terms } from "../log/sequence.ts";
import type { Env } from "../objects/stubs.ts";
import { bodyTooLarge, readBody } from "./body.ts";
import { ask, lookup, type Route, stub } from "./lookup.ts";
import { query } from "./parse.ts";
import { json, problem, thrown } from "./problem.ts";
import { type Producer, producerOf } from "./producer-headers.ts";
import { withRoom } from "./room.ts";
import { graver } from "./several.ts";
import { boundsOf, type Group, hasKeyless, placesIn, split } from "./split.ts";
import { answerBytes, answerOf, eachPlaced, joined, type Placed } from "./verdicts.ts";

export const noTerms: AppendQuery = { ack: "durable", atomic: false, raw: false };

export async function append(
  request: Request,
  env: Env,
  namespace: string,
  name: string,
  later: (work: Promise<unknown>) => void,
): Promise<Response> {
  const terms = request.url.includes("?") ? query(appendQuery, new URL(request.url), ["tag"]) : ok(noTerms);
  if (!terms.ok) return problem(terms.refusal);
  const producer = producerOf(request.headers);
  if (!producer.ok) return problem(producer.refusal);
  const route = await lookup(env, namespace, name);
  if (!route.ok) return problem(route.refusal);
  const { config } = route.value.stream;
  // A batch under a number may be one from before the limit was lowered, and cannot come in smaller ones.
  const body = await readBody(request, producer.value === undefined ? config.batchBytesMax : limits.batchBytesMax);
  if (!body.ok) return problem(body.refusal);
  const now = Date.now();
  const checked = takeKnown(config, (rules) => takeIn(request.headers, body.value, terms.value, rules, now));
  if (!checked.ok) return problem(checked.refusal);
  const { taken } = checked.value;
  const refused = body.value.length > config.batchBytesMax ? bodyTooLarge(config.batchBytesMax) : checked.value.refused;
  const mayBeKnown = terms.value.ack !== "none" && (producer.value !== undefined || hasNames(taken));
  if (refused !== undefined && !mayBeKnown) return problem(refused);
  const job = new Append(env, route.value, taken, terms.value, producer.value, refused);
  const groups = await job.groups();
  if (!groups.ok) return problem(groups.refusal);
  if (terms.value.ack === "none") {
    later(job.run(groups.value));
    return json({ accepted: job.count }, 202);
  }
  const frames = request.headers.get("content-type")?.startsWith(media.frames) ?? false;
  const form = terms.value.verdicts ?? (frames ? "runs" : "each");
  return withRoom(answerBytes(job.count, form), async () => {
    await job.run(groups.value);
    return job.answer(form);
  });
}

/** Records on their way to their partitions. */
export class Append {
  readonly count: number;
  readonly #runs: Placed[] = [];
  /** Verdicts by place, where more than one partition has a say. */
  #slots: Placed[] | undefined;
  #refused: Refusal | undefined;
  /** What routes a record with no key and no id. A producer's retry must come to the partition that knows its number. */
  readonly #keyless: number;
  readonly #named: Omit<ProducerTerms, "contiguous"> | undefined;
  /** Answers of partitions that were split, verdict by verdict; by partition. */
  readonly #recalled = new Map<number, Promise<Result<ReadonlyMap<number, Placed>>>>();

  constructor(
    readonly env: Env,
    public route: Route,
    readonly frames: readonly Checked[],
    readonly terms: AppendQuery,
    producer: Producer | undefined,
    /** Why it is not taken, unless it is known. */
    readonly refused: Refusal | undefined,
  ) {
    this.count = frames.reduce((sum, { frame }) => sum + frame.count, 0);
    this.#keyless = producer === undefined ? randomHash() : murmur3(encodeText(producer.id));
    this.#named = producer && { ...producer, sum: batchSum(frames.map(({ frame }) => frame)) };
  }

  /** The parts that go to the partitions; none where there is nothing to be done. */
  async groups(): Promise<Result<readonly Group[]>> {
    const groups = this.#split(this.route, this.frames);
    if (groups.ok) return groups;
    const answered = await this.#wasAnswered();
    if (!answered.ok) return answered;
    if (answered.value) return ok([]);
    return this.refused === undefined ? groups : { ok: false, refusal: this.refused };
  }

  /**
   * Whether a batch that cannot be appended any more as it is, because a partition was split, was appended before: then its
   * verdicts are those of then. Refused where none has answered it, and one could not be asked: who is told that it cannot be
   * appended may send it otherwise, and it may be there.
   */
  async #wasAnswered(): Promise<Result<boolean>> {
    if (this.#named === undefined) return ok(false);
    let unasked: Result<never> | undefined;
    const wanted = this.terms.partition;
    const [lowest, highest] = boundsOf(this.frames, this.#keyless);
    for (const { partition, sealed, from, to } of this.route.stream.map) {
      const whole = wanted === undefined ? lowest >= from && highest < to : partition === wanted;
      if (!sealed || !whole) continue;
      const answer = await this.#ask(partition, this.count);
      if (answer.ok) {
        this.#place({ partition, frames: this.frames, slots: undefined }, answer.value);
        return ok(true);
      }
      if (errors[answer.refusal.code].retryable) unasked = answer;
    }
    return unasked ?? ok(false);
  }

  #split(route: Route, frames: readonly Checked[]): Result<Group[]> {
    const { ranges, stream } = route;
    const wanted = this.terms.partition;
    const only = wanted === undefined ? undefined : stream.map.find(({ partition }) => partition === wanted);
    if (wanted !== undefined && only === undefined) {
      return refuse(
        "partition-not-found",
        `the stream has no partition ${wanted} that takes appends; …/partitions lists those that do`,
        { partitions: ranges.length },
      );
    }
    if (only?.sealed) return refuse("sealed", `partition ${wanted} was split; leave partition out, or read the map`);
    const groups = split(frames, ranges, this.#keyless, only, rulesOf(stream.config, Date.now()));
    if (!groups.ok) return groups;
    const problem = groups.value.length > 1 ? this.#spans(groups.value) : undefined;
    if (problem !== undefined) return problem;
    if (this.terms.expectedOffset !== undefined && only === undefined && ranges.length > 1 && this.#strays(frames)) {
      return ofNoPartition;
    }
    if (this.terms.expectedKeyOffset !== undefined && !ofOneKey(frames)) return { ok: false, refusal: notOneKey };
    return groups;
  }

  /** Why a batch may not go to several partitions, if so. */
  #spans(groups: readonly Group[]): { ok: false; refusal: Refusal } | undefined {
    if (this.terms.atomic) {
      const detail = "the keys of the batch belong to several partitions; send them apart, or without atomic";
      return refuse("atomic-spans-partitions", detail, { partitions: groups.map(({ partition }) => partition) });
    }
    return this.terms.expectedOffset === undefined ? undefined : ofNoPartition;
  }

  /** Whether chance decides where the batch goes. */
  #strays(frames: readonly Checked[]): boolean {
    return this.#named === undefined && hasKeyless(frames);
  }

  async run(groups: readonly Group[]): Promise<void> {
    if (groups.length === 1 && groups[0].slots === undefined) return this.#append(groups[0]);
    if (groups.length > 0) this.#slots ??= new Array(this.count);
    await Promise.all(groups.map((group) => this.#append(group)));
  }

  async #append(group: Group): Promise<void> {
    const { partition } = group;
    const { bytes, hashes } = batchOf(group.frames);
    const answer = await ask(this.env, this.route, partition, async (stub, version) => {
      const said = await stub.append(version, bytes, hashes, this.#termsOf());
      return typeof said === "number"
        ? ok([{ verdict: "appended", offset: said, count: recordsOf(group) } as const])
        : said;
    });
    if ("rerouted" in answer) return this.#again(group, answer.rerouted);
    if (answer.ok) return this.#place(group, answer.value);
    const owner = answeredBy(answer.refusal);
    if (owner === undefined) this.#refuse(group, answer.refusal);
    else await this.#recall(group, owner);
  }

  /** The map has changed, and the partition has taken nothing: its records are routed again, and the others are not. */
  async #again(group: Group, route: Route): Promise<void> {
    this.route = route;
    const groups = this.#split(route, group.frames);
    if (!groups.ok) {
      const answered = group.slots === undefined ? await this.#wasAnswered() : ok(false);
      if (answered.ok && answered.value) return;
      return this.#refuse(group, answered.ok ? groups.refusal : answered.refusal);
    }
    // Places within the group become places within the request.
    const place = (slot: number) => group.slots?.[slot] ?? slot;
    await this.run(groups.value.map((part) => ({ ...part, slots: part.slots?.map(place) ?? group.slots })));
  }

  /** A batch that was answered by a partition which was split since: its answer is about all that it was sent. */
  async #recall(group: Group, owner: number): Promise<void> {
    let recalled = this.#recalled.get(owner);
    if (recalled === undefined) {
      recalled = this.#answerOf(owner);
      this.#recalled.set(owner, recalled);
    }
    const answer = await recalled;
    if (!answer.ok) return this.#refuse(group, answer.refusal);
    const slots = group.slots ?? Array.from({ length: this.count }, (_, place) => place);
    this.#place(
      group,
      slots.map((slot) => answer.value.get(slot) as Placed),
    );
  }

  /** The verdicts of a partition that was split, by the places of the records in the request. */
  async #answerOf(owner: number): Promise<Result<ReadonlyMap<number, Placed>>> {
    const range = this.route.stream.map.find(({ partition }) => partition === owner);
    assert(range !== undefined, "a partition that was split is in the map");
    const places = placesIn(range, this.frames, this.#keyless);
    const answer = await this.#ask(owner, places.length);
    return answer.ok ? ok(new Map(eachPlaced(answer.value, owner).map((one, index) => [places[index], one]))) : answer;
  }

  /** What the producer's number was answered with by a partition, which may have been split. */
  async #ask(partition: number, count: number): Promise<Result<readonly Run[]>> {
    const producer = { ...this.#named!, contiguous: false };
    try {
      const answer = await stub(this.env, this.route, partition).order("answered", producer, count);
      if (answer.ok || "refusal" in answer) return answer;
      return refuse("sequence-stale", `partition ${partition}, which was split, does not know the sequence`);
    } catch (error) {
      return thrown(error);
    }
  }

  #termsOf(): Terms | undefined {
    const { expectedOffset, expectedKeyOffset, fence, atomic } = this.terms;
    const { refused } = this;
    if (this.terms === noTerms && this.#named === undefined && refused === undefined) return undefined;
    const contiguous = this.terms.partition !== undefined || this.route.ranges.length === 1;
    return {
      ...(this.#named === undefined ? {} : { producer: { ...this.#named, contiguous } }),
      ...(expectedOffset === undefined ? {} : { expectedOffset }),
      ...(expectedKeyOffset === undefined ? {} : { expectedKeyOffset }),
      ...(fence === undefined ? {} : { fence }),
      ...(atomic ? { atomic } : {}),
      ...(refused === undefined ? {} : { refused }),
    };
  }

  #refuse(group: Group, refusal: Refusal): void {
    this.#refused = graver(this.#refused, refusal);
    const { code, detail } = refusal;
    this.#place(group, [{ verdict: "rejected", reason: code, detail, count: recordsOf(group) }]);
  }

  #place(group: Group, runs: readonly Run[]): void {
    const { partition, slots } = group;
    assert(countOf(runs) === recordsOf(group), "every record has a verdict");
    if (slots === undefined) {
      for (const run of runs) this.#runs.push({ partition, ...run });
      return;
    }
    const verdicts = eachPlaced(runs, partition);
    for (let index = 0; index < slots.length; index++) this.#slots![slots[index]] = verdicts[index];
  }

  /** Verdicts in the order of the records; refused where no record was taken, and a partition said why. */
  outcome(): Result<readonly Placed[]> {
    const runs = this.#slots ?? this.#runs;
    if (this.#refused === undefined || runs.some(({ verdict }) => verdict !== "rejected")) return ok(joined(runs));
    return { ok: false, refusal: this.#refused };
  }

  answer(form: "each" | "runs"): Response {
    return answerOf(this.#slots ?? this.#runs, form, this.#refused);
  }
}

const ofNoPartition = refuse(
  "invalid",
  "expectedOffset: it is the tail of one partition, and the batch may go to several; name one with partition",
  { path: "expectedOffset" },
);
const recordsOf = (group: Group) => group.frames.reduce((sum, { frame }) => sum + frame.count, 0);
const randomHash = () => Math.floor(Math.random() * 2 ** 32);
