/** A group as its guide describes it, over one script: how each event changes what is known. */
import { Knowledge } from "./knowledge.ts";
import { countAfter, failuresNow, type Lease, plus, type Tracked } from "./tracked.ts";

export class Model extends Knowledge {
  /** A failed attempt that is known: a nack that was taken. */
  failed(lease: Lease, at: number, delayMs: number | undefined): void {
    const { record } = lease;
    lease.end = "nacked";
    lease.endedAt = this.now();
    const [low, high] = countAfter(lease);
    record.failures = [low, high];
    record.perhapsDone = false;
    const { backoff, maxDeliveries, onFailure } = this.config;
    const pause = delayMs ?? (backoff[Math.min(lease.attempt, backoff.length) - 1] as number);
    record.notBefore = lease.doubtful ? 0 : at + pause;
    record.delayedTo = at + pause;
    const dies = onFailure !== "block" && lease.attempt >= maxDeliveries;
    // Behind what is dead and passed over nothing need go again.
    if (this.config.order === "partition") this.withdrawBehind(record, dies);
    if (dies) {
      if (low === high) this.die(record);
      else lease.doubtful = true;
    }
  }

  /**
   * What is behind it in its partition goes again, but for letters that went out again, which stand in no order; nobody is to
   * blame for that. Whether it does so behind such a letter is not said. `now`: what is given out with it, and perhaps after it, stays.
   */
  withdrawBehind(record: Tracked, doubtful: boolean, now?: Pick<Lease, "from" | "to">): void {
    for (const later of this.ofPartition(record.partition)) {
      const { lease } = later;
      if (later.offset <= record.offset || later.loose || lease === undefined || lease.end !== undefined) continue;
      if (lease.from === now?.from && lease.to === now.to) continue;
      const after = now !== undefined && lease.to > now.from;
      // A lease that may have run out by itself may have been counted.
      const ranOut = this.now() >= lease.runsOut[0];
      if (doubtful || record.loose || after || ranOut) lease.doubtful = true;
      if (record.loose || after) continue;
      lease.end = "withdrawn";
      lease.endedAt = this.now();
    }
  }

  /** What is behind it in its partition may have been taken back. */
  doubtBehind(record: Tracked): void {
    for (const { offset, lease } of this.ofPartition(record.partition)) {
      if (offset > record.offset && lease !== undefined && lease.end === undefined) lease.doubtful = true;
    }
  }

  die(record: Tracked, attempts?: number): void {
    const { order, onFailure } = this.config;
    const counted = failuresNow(record);
    record.failures = attempts === undefined ? counted : [attempts, attempts];
    for (const lease of record.leases) lease.end ??= "dead";
    record.lease = undefined;
    record.state = "dead";
    record.perhapsDone = false;
    record.redriven = false;
    record.deaths++;
    const inLine = order === "partition" || (order === "key" && record.key !== undefined);
    record.blocks = onFailure === "park" && inLine && !record.loose;
    record.loose = !record.blocks;
    if (order === "partition") this.withdrawBehind(record, true);
  }

  /** A letter goes out again, from its first attempt on. */
  revive(record: Tracked, value: string | undefined): void {
    const counted = failuresNow(record);
    for (const lease of record.leases) {
      if (lease.end !== "sought" && lease.end !== "deleted") lease.end = "redriven";
    }
    record.earlier = plus(record.earlier, counted);
    record.failures = [0, 0];
    record.lease = undefined;
    if (record.state === "dead") record.loose = !record.blocks;
    record.blocks = false;
    record.state = "open";
    record.perhapsDone = false;
    record.redriven = true;
    record.astray = false;
    record.notBefore = 0;
    if (value !== undefined) record.value = value;
  }

  finish(record: Tracked): void {
    if (record.state !== "open") return;
    record.state = "done";
    record.perhapsDone = false;
    record.redriven = false;
  }

  /** The group stands at `offset` of the partition: from there on everything is new again, and nothing before it is waited for. */
  sought(partition: number, offset: number, now: number): void {
    for (const record of this.ofPartition(partition)) {
      record.perhapsDead = this.mayBeDead(record, now);
      for (const lease of record.leases) if (lease.end !== "deleted") lease.end = "sought";
      if (record.offset >= offset) record.reset();
      else if (record.state === "open" && record.redriven) {
        // Its letter stays, whether as dead or as redriven is not said; but where it is finished there is none.
        record.state = record.perhapsDone ? "past" : "dead";
        record.perhapsDead = true;
        record.failures = [record.failures[0], Math.max(record.failures[1], failuresNow(record)[1])];
        record.lease = undefined;
        record.loose = true;
        record.redriven = false;
        record.astray = true;
      } else if (record.state === "open") record.state = "past";
      else if (record.state === "dead") {
        record.blocks = false;
        record.loose = true;
      }
    }
  }

  /** The service died, not before `from`, and is back. Leases that were young are forgotten. */
  killed(from: number, now: number): void {
    this.diedAt = now;
    for (const record of this.records.values()) {
      const { lease } = record;
      if (lease === undefined || lease.end === "acked") continue;
      // Sockets have gone by now, and what they held with them.
      const kept = lease.end === undefined && lease.receipt !== undefined && lease.to < from - keptMs;
      if (!kept) forget(record, from, now);
      const acked = lease.ackedBySocket ?? record.guessedDoneAt;
      if (acked !== undefined && now - acked < 2000 && record.state === "done") {
        record.state = "open"; // Acks of sockets are written down a little later.
        record.perhapsDone = true;
      }
    }
  }
}

/** What is older is written down; it is certain of what is older than the second, as a busy service does so later. */
const youngMs = 5000;
const keptMs = 8000;

/** Within this time it is noticed that a socket is gone. */
const noticedMs = 1000;

/** Leases that nobody gave back by an answered call, or by going, may be forgotten, and their failures with them. */
function forget({ leases }: Tracked, from: number, now: number): void {
  let floor = Number.POSITIVE_INFINITY;
  for (const lease of leases.toReversed()) {
    const { end, receipt, attempt, to, endedAt = now } = lease;
    if (end === "left" && endedAt < from - noticedMs) break;
    if (end !== undefined && end !== "left" && end !== "withdrawn" && end !== "passed") break;
    if (end !== "passed") lease.forgotten = true;
    if (receipt !== undefined) floor = Math.min(floor, attempt - 1);
    if (receipt !== undefined && to < now - youngMs) break;
  }
  const last = leases.at(-1);
  if (last?.forgotten) last.floor = Math.min(last.floor ?? floor, floor);
}
