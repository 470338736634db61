/** A stream at rest: made, archived as far as it goes, and read once, while nothing is amiss. */
import type { Json } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { eventually } from "../frame/time.ts";
import { elements, members } from "../log/json-text.ts";
import { type Read, readRecord } from "../log/read.ts";
import type { Commit, StreamPlan } from "./plan.ts";
import type { Told } from "./readers.ts";

const settleMs = 60_000;
const stampedFrom = Date.UTC(2026, 0, 1);

/** What lies in one partition. */
export interface Truth {
  readonly partition: number;
  readonly tail: number;
  /** By offset. */
  readonly records: ReadonlyMap<number, Read>;
}

export interface Snapshot {
  readonly offset: number;
  readonly body: Buffer;
  /** The service has a checksum of it. */
  readonly summed: boolean;
}

export class Stored {
  logId = "";
  truths: Truth[] = [];
  readonly snapshots = new Map<number, Snapshot>();
  /** What readers of pages were told when they were asked last. */
  told: readonly Told[] = [];
  /** What the bucket has a sound copy of. */
  copies: readonly Told[] = [];
  /** What a repair gave up. */
  holes: readonly Told[] = [];
  name = "";

  constructor(
    readonly round: Round,
    readonly plan: StreamPlan,
    number: number,
  ) {
    this.name = `s${number}`;
  }

  /** The same content under another name. */
  as(name: string): Stored {
    return Object.assign(Object.create(Stored.prototype), this, { name });
  }

  /** Below the round's namespace. */
  get path(): string {
    return `/streams/${this.name}`;
  }

  note(words: () => string): void {
    this.round.history.note([this.name], () => `${this.name}: ${words()}`);
  }

  async make(): Promise<void> {
    const { plan, round } = this;
    const body = {
      partitions: plan.partitions,
      archive: true,
      retentionRecords: plan.keep,
      deduplicationWindowMs: 0,
      ...(plan.stamps && { timestamps: "client" }),
    };
    this.logId = (await round.must("PUT", this.path, { body })).logId;
    await Promise.all(plan.commits.map((commits, partition) => this.#append(commits, partition)));
    if (plan.rewriting === "erase") await this.#erase();
    await Promise.all(plan.commits.map((_, partition) => this.#settle(partition)));
    for (const partition of plan.commits.keys()) this.truths.push(await this.#truth(partition));
    if (plan.snapshot !== undefined) await this.#snapshot(plan.snapshot);
    this.note(() => `${plan.partitions} partitions with ${this.truths.map(({ tail }) => tail).join(" and ")} records`);
  }

  async #append(commits: readonly Commit[], partition: number): Promise<void> {
    let at = stampedFrom;
    let n = 0;
    for (const { records } of commits) {
      const body = {
        records: records.map(({ key, size, afterMs }) => {
          at += afterMs;
          return {
            ...(key !== null && this.plan.partitions === 1 && { key: `key-${key}` }),
            ...(this.plan.partitions > 1 && key !== null && { type: `type-${key}` }),
            ...(key === 1 && { subject: "one", tags: ["odd"] }),
            ...(this.plan.stamps && { timestamp: at }),
            data: { n: n++, text: "x".repeat(size) },
          };
        }),
      };
      await this.round.must("POST", `${this.path}/records?partition=${partition}`, { body });
    }
  }

  /** The records of a subject; the receipt says that it is done. */
  async #erase(): Promise<void> {
    const { id } = await this.round.must("POST", `${this.path}/erasures`, { body: { subject: "one" } });
    const done = () => this.round.must("GET", `${this.path}/erasures/${id}`).then((json) => json.done === true);
    this.round.checks.found(
      "settles",
      await eventually(done, this.round.patient(settleMs), 100),
      () => `${id} goes on`,
      [this.name],
    );
  }

  async facts(partition: number): Promise<Json> {
    return this.round.must("GET", `${this.path}/partitions/${partition}`);
  }

  /** Until everything that is sealed is in the bucket, and nothing moves any more. */
  async #settle(partition: number): Promise<void> {
    let before = "";
    const still = async () => {
      const facts = await this.facts(partition);
      const { hotFrom, segments, archived } = facts;
      const now = JSON.stringify([hotFrom, segments, archived]);
      const moved = now !== before;
      before = now;
      return !moved && archived.segments === segments;
    };
    const settled = await eventually(still, this.round.patient(settleMs), 150);
    this.round.checks.found("settles", settled, () => `partition ${partition} does not come to rest: ${before}`, [
      this.name,
    ]);
  }

  async #truth(partition: number): Promise<Truth> {
    const answer = await this.round.ask("GET", `${this.path}/records?partition=${partition}&limit=10000`);
    const list = members(answer.body.toString()).get("records") as string;
    const records = elements(list).map((text) => readRecord(text, false));
    const { tail, damaged } = answer.json;
    const sent = (this.plan.commits[partition] as readonly Commit[]).reduce((sum, one) => sum + one.records.length, 0);
    const whole = tail === sent && records.length === sent && damaged === undefined;
    const dense = records.every(({ offset }, i) => offset === i);
    this.round.checks.that("whole", whole && dense, () => `of ${sent} records ${records.length} are there`, [
      this.name,
    ]);
    return { partition, tail, records: new Map(records.map((record) => [record.offset, record])) };
  }

  /** One more record is there. */
  async learn(truth: Truth, offset: number): Promise<void> {
    const query = `partition=${truth.partition}&from=${offset}`;
    const answer = await this.round.ask("GET", `${this.path}/records?${query}`);
    const list = members(answer.body.toString()).get("records") as string;
    const [record] = elements(list).map((text) => readRecord(text, false));
    const right = record?.offset === offset && record.json === '"after the repair"';
    this.round.checks.that("reads", right, () => `${offset} was appended, and read is ${answer.body}`, [this.name]);
    const records = new Map(truth.records).set(offset, record as Read);
    this.truths = this.truths.map((one) => (one === truth ? { ...truth, records, tail: offset + 1 } : one));
  }

  async #snapshot(size: number): Promise<void> {
    for (const { partition, tail } of this.truths) {
      const body = Buffer.from(`${this.name}/${partition}/`.repeat(size)).subarray(0, size);
      const path = `/v1/${this.round.name}${this.path}/snapshots/${tail}?partition=${partition}`;
      const call = { body, headers: { "content-type": "application/octet-stream" } };
      const { status } = await this.round.call("PUT", path, call);
      this.round.checks.that("accepted", status === 201, () => `a snapshot was answered ${status}`, [this.name]);
      const list = await this.round.must("GET", `${this.path}/snapshots?partition=${partition}`);
      const summed = list.snapshots[0]?.crc32c !== undefined;
      this.snapshots.set(partition, { offset: tail, body, summed });
    }
  }
}
