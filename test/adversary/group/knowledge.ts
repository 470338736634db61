/**
 * What is known of a group: its records, its terms, and what may have become of each while nobody looked. Where the guide
 * leaves two ways open, or nobody can know which came first, both are possible.
 */
import type { Checks } from "../frame/checks.ts";
import type { GroupConfig } from "./plan.ts";
import { countAfter, failuresNow, holds, type Lease, type Span, type Tracked } from "./tracked.ts";

/** What passes between this process and the service when the machine is busy, in ms. */
export const clockSlackMs = 60;

export class Knowledge {
  readonly records = new Map<string, Tracked>();
  readonly receipts = new Map<string, Lease>();
  readonly #byKey = new Map<string, Tracked[]>();
  readonly #byPartition = new Map<number, Tracked[]>();
  /** Long polls and sockets to which something may be on its way. */
  readonly askers = new Set<object>();
  /** Since when nothing may go out, as was answered. */
  pausedAt: number | undefined;
  only: { keys: ReadonlySet<string>; at: number } | undefined;
  /** When the present incident began, or the last one; undefined where there was none. */
  incidentAt: number | undefined;
  /** When the service was up again after the last time that it died. */
  diedAt: number | undefined;
  /** Fewest and most deliveries that any configuration allowed so far. */
  maxDeliveries: Span;
  everFails: boolean;

  constructor(
    readonly checks: Checks,
    public config: GroupConfig,
    readonly now: () => number,
  ) {
    this.maxDeliveries = [config.maxDeliveries, config.maxDeliveries];
    this.everFails = config.onFailure !== "block";
  }

  configure(change: Partial<GroupConfig>): void {
    this.config = { ...this.config, ...change };
    const { maxDeliveries } = this.config;
    this.maxDeliveries = [
      Math.min(this.maxDeliveries[0], maxDeliveries),
      Math.max(this.maxDeliveries[1], maxDeliveries),
    ];
  }

  add(record: Tracked): void {
    if (this.records.has(record.place)) return;
    this.records.set(record.place, record);
    insert(this.#byPartition, record.partition, record);
    if (record.key !== undefined) insert(this.#byKey, record.key, record);
  }

  ofPartition(partition: number): readonly Tracked[] {
    return this.#byPartition.get(partition) ?? [];
  }

  ofKey(key: string): readonly Tracked[] {
    return this.#byKey.get(key) ?? [];
  }

  get matching(): Tracked[] {
    return [...this.records.values()].filter(({ matches }) => matches);
  }
  /** Failures that may have been counted by now. */
  failuresPossible(record: Tracked, now: number): Span {
    let [low, high] = failuresNow(record);
    if (record.lease !== undefined && this.mayBeWithdrawn(record, now)) low = Math.min(low, record.lease.attempt - 1);
    if (record.perhapsDone && record.lease?.ackedBySocket === undefined) high += 1;
    return [low, high];
  }

  /** Whether the service may have lent it to somebody at some moment up to now. */
  mightGo(record: Tracked, now: number): boolean {
    if (record.state !== "open" || !record.matches || holds(record.lease, now)) return false;
    if (this.pausedAt !== undefined || record.notBefore > now + clockSlackMs) return false;
    const { only } = this;
    if (only !== undefined && (record.key === undefined || !only.keys.has(record.key))) return false;
    if (record.loose || record.key === undefined || this.config.order === "none") return true;
    for (const earlier of this.ofKey(record.key)) {
      if (earlier === record) return true;
      if (!earlier.matches || earlier.loose) continue;
      if (!this.mayBeFinished(earlier, now)) return this.config.order === "partition";
    }
    return true;
  }

  /** Whether nothing may stand behind it any more. */
  mayBeFinished(record: Tracked, now: number): boolean {
    if (record.state === "done" || record.state === "past" || record.perhapsDone) return true;
    if (record.state === "dead") return !record.blocks;
    return this.config.onFailure === "skip" && this.mayBeDead(record, now);
  }

  /** Whether its last lease may have ended in a dead letter that this process has not seen. */
  mayBeDead(record: Tracked, now: number): boolean {
    const { lease } = record;
    if (record.state === "dead") return true;
    if (record.state === "past") return record.perhapsDead;
    if (record.state !== "open" || lease === undefined || !this.everFails) return false;
    if (lease.end === "nacked" || lease.end === "withdrawn") return lease.doubtful === true;
    if (now < lease.runsOut[0] && lease.end !== "left" && !lease.forgotten && !lease.doubtful) return false;
    return countAfter(lease)[1] >= this.maxDeliveries[0];
  }

  /** In the order of the partition: a record before it may have failed, and what was behind it goes again. */
  mayBeWithdrawn(record: Tracked, now: number): boolean {
    if (this.config.order !== "partition" || record.lease === undefined) return false;
    if (record.lease.end === "withdrawn") return true;
    return this.ofPartition(record.partition).some(
      ({ offset, state, lease }) =>
        offset < record.offset && state === "open" && lease && lease.end === undefined && !holds(lease, now),
    );
  }

  describe(record: Tracked, now: number): string {
    const { lease } = record;
    if (record.state !== "open") return stateWords[record.state];
    if (lease === undefined) return record.redriven ? "redriven" : "not delivered yet";
    if (holds(lease, now)) return `held by ${lease.member} (attempt ${lease.attempt})`;
    const end = lease.end ?? (lease.forgotten ? "held before a kill" : "run out");
    return `waiting after attempt ${lease.attempt} (${end})`;
  }

  /** What the history is to be about: the record, and its line. */
  subjects(record: Tracked): string[] {
    const partition = this.config.order === "partition" ? [partitionOf(record.place)] : [];
    return [record.place, ...(record.key === undefined ? [] : [record.key]), ...partition];
  }
}

/** The subject that all records of a partition are about. */
export const partitionOf = (place: string) => `p${place.split(".")[0]}`;

export const stateWords = {
  open: "open",
  done: "finished",
  dead: "a dead letter",
  past: "behind the place of a seek",
} as const;

function insert<K>(lines: Map<K, Tracked[]>, name: K, record: Tracked): void {
  const line = lines.get(name);
  if (line === undefined) {
    lines.set(name, [record]);
    return;
  }
  line.push(record);
  // A child's number is higher than its parent's: this is the order in which a key's records were appended.
  line.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}
