/** `POST …/records`: parse, split by partition, ask each once, and put the verdicts back in the order of the records. */
import { type ErrorCode, errors, ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { type AppendQuery, appendQuery, producerTerms } from "../../schemas/record.ts";
import { routeHash } from "../catalog/map.ts";
import { batchOf, type Checked, media, notOneKey, ofOneKey, rulesOf, takeIn } from "../intake/intake.ts";
import { encodeText } from "../lib/bytes.ts";
import { check } from "../lib/check.ts";
import { murmur3 } from "../lib/hash.ts";
import { addRun, type Run, type Terms } from "../log/sequence.ts";
import type { Env } from "../objects/stubs.ts";
import { readBody } from "./body.ts";
import { ask, lookup, type Route } from "./lookup.ts";
import { query } from "./parse.ts";
import { json, problem } from "./problem.ts";
import { type Group, split } from "./split.ts";

/** A run with the partition that gave it. */
export type Placed = Run & { partition: number };

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
  const body = await readBody(request, route.value.stream.config.batchBytesMax);
  if (!body.ok) return problem(body.refusal);
  const checked = takeIn(request.headers, body.value, terms.value, route.value.stream.config, Date.now());
  if (!checked.ok) return problem(checked.refusal);
  const job = new Append(env, route.value, checked.value, terms.value, producer.value);
  const groups = job.split(route.value, checked.value);
  if (!groups.ok) return problem(groups.refusal);
  if (terms.value.ack === "none") {
    later(job.run(groups.value));
    return json({ accepted: job.count }, 202);
  }
  await job.run(groups.value);
  const frames = request.headers.get("content-type")?.startsWith(media.frames) ?? false;
  return job.answer(terms.value.verdicts ?? (frames ? "runs" : "each"));
}

type Producer = { id: string; epoch: number; sequence: number };

function producerOf(headers: Headers): Result<Producer | undefined> {
  const id = headers.get("producer-id");
  const epoch = headers.get("producer-epoch");
  const sequence = headers.get("producer-seq");
  if (id === null && epoch === null && sequence === null) return ok(undefined);
  if (id === null || epoch === null || sequence === null) {
    return refuse("invalid", "headers: Producer-Id, Producer-Epoch and Producer-Seq go together; send all three");
  }
  return check(producerTerms, { id, epoch, sequence }, "headers: Producer");
}

/** Records on their way to their partitions. */
export class Append {
  readonly count: number;
  readonly #runs: Placed[] = [];
  /** Verdicts by place, where more than one partition has a say. */
  #slots: Placed[] | undefined;
  #refused: Refusal | undefined;

  constructor(
    readonly env: Env,
    public route: Route,
    frames: readonly Checked[],
    readonly terms: AppendQuery,
    readonly producer: Producer | undefined,
  ) {
    this.count = frames.reduce((sum, { frame }) => sum + frame.count, 0);
  }

  split(route: Route, frames: readonly Checked[]): Result<Group[]> {
    const { ranges, stream } = route;
    const wanted = this.terms.partition;
    const only = wanted === undefined ? undefined : stream.map.find(({ partition }) => partition === wanted);
    if (wanted !== undefined && only === undefined) {
      return refuse("partition-not-found", `the stream has no partition ${wanted}`, { partitions: ranges.length });
    }
    if (only?.sealed) return refuse("sealed", `partition ${wanted} was split; leave partition out, or read the map`);
    // A producer's retry must come to the partition that knows its number.
    const chance = Math.floor(Math.random() * ranges.length);
    const keyless =
      this.producer === undefined ? ranges[chance] : routeHash(ranges, murmur3(encodeText(this.producer.id)));
    const groups = split(frames, ranges, keyless, only, rulesOf(stream.config, Date.now()));
    if (!groups.ok) return groups;
    if (groups.value.length > 1) {
      if (this.terms.atomic) {
        const detail = "the keys of the batch belong to several partitions; send them apart, or without atomic";
        return refuse("atomic-spans-partitions", detail, {
          partitions: groups.value.map(({ partition }) => partition),
        });
      }
      if (this.terms.expectedOffset !== undefined) {
        return refuse(
          "invalid",
          "query: expectedOffset: the batch goes to several partitions; name one with partition",
        );
      }
    }
    if (this.terms.expectedKeyOffset !== undefined && !ofOneKey(frames)) return { ok: false, refusal: notOneKey };
    return groups;
  }

  async run(groups: readonly Group[]): Promise<void> {
    if (groups.length === 1 && groups[0].slots === undefined) return this.#ask(groups[0]);
    this.#slots ??= new Array(this.count);
    await Promise.all(groups.map((group) => this.#ask(group)));
  }

  async #ask(group: Group): Promise<void> {
    const { partition } = group;
    const { bytes, hashes } = batchOf(group.frames);
    const answer = await ask(this.env, this.route, partition, async (stub, version) => {
      const said = await stub.append(version, bytes, hashes, this.#termsOf());
      return typeof said === "number"
        ? ok([{ verdict: "appended", offset: said, count: countOf(group) } as const])
        : said;
    });
    if ("rerouted" in answer) return this.#again(group, answer.rerouted);
    if (answer.ok) this.#place(group, answer.value);
    else {
      this.#refused ??= answer.refusal;
      const { code, detail } = answer.refusal;
      this.#place(group, [{ verdict: "rejected", reason: code, detail, count: countOf(group) }]);
    }
  }

  /** The map has changed, and the partition has taken nothing: its records are routed again, and the others are not. */
  async #again(group: Group, route: Route): Promise<void> {
    this.route = route;
    const groups = this.split(route, group.frames);
    if (!groups.ok) {
      this.#refused ??= groups.refusal;
      const { code, detail } = groups.refusal;
      return this.#place(group, [{ verdict: "rejected", reason: code, detail, count: countOf(group) }]);
    }
    // Places within the group become places within the request.
    const place = (slot: number) => group.slots?.[slot] ?? slot;
    await this.run(groups.value.map((part) => ({ ...part, slots: part.slots?.map(place) ?? group.slots })));
  }

  #termsOf(): Terms | undefined {
    const { expectedOffset, expectedKeyOffset, fence, atomic } = this.terms;
    if (this.terms === noTerms && this.producer === undefined) return undefined;
    const contiguous = this.terms.partition !== undefined || this.route.ranges.length === 1;
    return {
      ...(this.producer === undefined ? {} : { producer: { ...this.producer, contiguous } }),
      ...(expectedOffset === undefined ? {} : { expectedOffset }),
      ...(expectedKeyOffset === undefined ? {} : { expectedKeyOffset }),
      ...(fence === undefined ? {} : { fence }),
      ...(atomic ? { atomic } : {}),
    };
  }

  #place(group: Group, runs: readonly Run[]): void {
    const { partition, slots } = group;
    if (slots === undefined) {
      for (const run of runs) this.#runs.push({ partition, ...run });
      return;
    }
    let at = 0;
    for (const run of runs) {
      for (let index = 0; index < run.count; index++) {
        const offset = run.verdict === "rejected" ? {} : { offset: run.offset + index };
        this.#slots![slots[at++]] = { partition, ...run, ...offset, count: 1 };
      }
    }
  }

  /** Verdicts in the order of the records; refused where no record was taken, and a partition said why. */
  outcome(): Result<readonly Placed[]> {
    const runs = this.#slots ?? this.#runs;
    if (this.#refused === undefined || runs.some(({ verdict }) => verdict !== "rejected")) return ok(joined(runs));
    return { ok: false, refusal: this.#refused };
  }

  answer(form: "each" | "runs"): Response {
    const runs = this.#slots ?? this.#runs;
    const rejected = runs.filter((run) => run.verdict === "rejected");
    if (rejected.length === runs.length) return problem(this.#refused ?? asRefusal(rejected[0]));
    const status = runs.some((run) => run.verdict === "appended") ? 201 : 200;
    if (form === "runs") return json({ runs: joined(runs) }, status);
    return new Response(`{"verdicts":[${runs.map(each).join(",")}]}\n`, { status, headers: jsonHeaders });
  }
}

const countOf = (group: Group) => group.frames.reduce((sum, { frame }) => sum + frame.count, 0);

const jsonHeaders = { "content-type": media.json };

/** The verdict of every record of a run. */
function each(run: Placed): string {
  const parts: string[] = [];
  for (let index = 0; index < run.count; index++) {
    if (run.verdict === "rejected") {
      const { verdict, partition, reason, detail } = run;
      parts.push(JSON.stringify({ verdict, partition, reason, detail }));
    } else parts.push(`{"verdict":"${run.verdict}","partition":${run.partition},"offset":${run.offset + index}}`);
  }
  return parts.join(",");
}

function joined(placed: readonly Placed[]): Placed[] {
  const runs: Placed[] = [];
  for (const run of placed) {
    if (runs.length > 0 && runs[runs.length - 1].partition === run.partition) addRun(runs, run);
    else runs.push(run);
  }
  return runs;
}

const asRefusal = (run: Run): Refusal =>
  run.verdict === "rejected" && run.reason in errors
    ? { code: run.reason as ErrorCode, detail: run.detail }
    : { code: "internal", detail: "no verdict" };
