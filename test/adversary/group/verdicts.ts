/** What a receipt is worth: the guide's table, by what has become of the record. */
import type { Model } from "./model.ts";
import { holds, type Lease } from "./tracked.ts";

export type Call = "ack" | "nack" | "extend";

/** Which answers are right. Both, where the guide does not say, or nobody can know what came first. */
export interface Expectation {
  readonly settled: boolean;
  readonly refused: boolean;
  readonly because: string;
}

const triesTold = 10;
/** What is just after a restart. */
const restartMs = 20_000;

const settles = (because: string): Expectation => ({ settled: true, refused: false, because });
const refuses = (because: string): Expectation => ({ settled: false, refused: true, because });
const either = (because: string): Expectation => ({ settled: true, refused: true, because });

/** `sent` and `answered`: between them the service has looked at it. */
export function expected(model: Model, lease: Lease, call: Call, sent: number, answered: number): Expectation {
  const { record } = lease;
  if (lease.end === "deleted") return refuses("its group was deleted");
  if (record.state === "done") return finished(model, lease, call, answered);
  if (lease.end === "sought") return refuses("the group was moved by a seek");
  if (lease.end === "redriven") return redriven(lease, call);
  if (record.state === "dead") return buried(lease, call);
  const later = record.leases.slice(record.leases.indexOf(lease) + 1);
  if (later.some(({ receipt }) => receipt !== undefined)) return passedOn(lease, call, answered);
  if (later.length > 0) return either("an answer that was lost may have given it to somebody else");
  if (lease.end === "nacked") return nacked(model, lease, call, answered);
  const unsure = lease.doubtful || lease.end === "withdrawn" || model.mayBeWithdrawn(record, answered);
  if (unsure) return either("nobody knows whether the lease was ended");
  return underLease(model, lease, call, sent, answered);
}

function finished({ diedAt }: Model, lease: Lease, call: Call, answered: number): Expectation {
  if (call === "extend") return refuses("the record was finished");
  // What was being tried again before the restart is read as its turn comes, and until then one cannot tell.
  const restarted = diedAt !== undefined && (lease.from < diedAt || answered - diedAt < restartMs);
  if (call === "nack" && restarted) return either("the record was finished, and the service restarted not long ago");
  if (lease.end === "acked") return settles("the record was finished by this receipt");
  return either("the record was finished by another receipt");
}

/** A nack that had ended it before is settled for as long as the tries tell of it. */
function redriven({ record }: Lease, call: Call): Expectation {
  if (record.perhapsDone && call === "ack") return either("it may be finished");
  return call === "nack"
    ? either("the record was redriven, and had perhaps been given back")
    : refuses("the record was redriven");
}

function buried(lease: Lease, call: Call): Expectation {
  if (call === "nack" && lease.doubtful) return either("it may be that it died of this very nack");
  if (call !== "nack" || lease.end !== "nacked") return refuses("the record is a dead letter");
  // The last tries are told, and no others.
  if (lease.record.leases.at(-1) !== lease) return either("it was given back by this nack, some attempts ago");
  return settles("it was given back by this very nack, and died of it");
}

function passedOn(lease: Lease, call: Call, answered: number): Expectation {
  if (call === "nack" && (lease.end === "nacked" || lease.doubtful)) {
    // As many attempts are told as the guide says, and no others.
    const told = lease.record.leases.length - lease.record.leases.indexOf(lease) < triesTold;
    if (told && !lease.doubtful) return settles("it was given back by this very nack, and went to somebody else");
    return either("it was given back by this nack, as far as one knows, and went to somebody else");
  }
  if (lease.record.perhapsDone && call !== "extend") return either("it may be finished");
  if (call === "ack" && !holds(lease.record.lease, answered)) return either("somebody else has had it since");
  return refuses("somebody else has it");
}

function nacked(model: Model, lease: Lease, call: Call, answered: number): Expectation {
  if (model.mayBeDead(lease.record, answered)) return either("it was given back, and may be a dead letter");
  if (call === "nack") return settles("it was given back by this very nack");
  return refuses("it was given back by a nack");
}

function underLease(model: Model, lease: Lease, call: Call, sent: number, answered: number): Expectation {
  const { record } = lease;
  if (holds(lease, answered) && !record.perhapsDone) return settles("it is under this lease");
  if (call === "ack") {
    if (model.mayBeDead(record, answered)) return either("it may have become a dead letter");
    return settles("nobody has had it since");
  }
  if (record.perhapsDone) return either("it may be finished");
  const over = sent > lease.runsOut[1] && !lease.forgotten && lease.end !== "left";
  return over ? refuses("the lease has run out") : either("the lease may have ended");
}

/** What an answer tells. */
export function settle(
  model: Model,
  lease: Lease,
  call: Call,
  taken: boolean,
  sent: number,
  answered: number,
  delayMs?: number,
): void {
  const { record } = lease;
  const last = record.leases.at(-1) === lease;
  const ended = lease.end === "sought" || lease.end === "deleted" || lease.end === "redriven";
  // What came behind it had told already that it is finished.
  if (taken && call === "ack" && record.state === "done") lease.end ??= "acked";
  if (ended || record.state !== "open") return;
  if (!taken) {
    // It is over, by its time or by what was sent before.
    if (last && lease.end === undefined)
      lease.runsOut = [Math.min(lease.runsOut[0], sent), Math.min(lease.runsOut[1], answered)];
    return;
  }
  if (call === "ack") {
    // It may have run out before, and those behind it were taken back with it.
    if (model.config.order === "partition" && answered > lease.runsOut[0]) model.doubtBehind(record);
    lease.end = "acked";
    model.finish(record);
    return;
  }
  const later = record.leases.slice(record.leases.indexOf(lease) + 1);
  if (call === "extend" || lease.end === "nacked" || later.some(({ receipt }) => receipt !== undefined)) return;
  if (record.perhapsDone) {
    lease.doubtful = true; // Taken because it is finished, or because it was not.
    return;
  }
  if (later.length > 0) {
    lease.end = "nacked"; // Whether answers that were lost lent it to somebody before or after stays open.
    return;
  }
  if (lease.end === "withdrawn") lease.doubtful = true;
  if (lease.forgotten) lease.doubtful = false; // It was remembered after all, and the failure is counted.
  model.failed(lease, sent, delayMs);
}
