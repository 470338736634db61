/** Receipts: given back in every way, true and made up. */
import { Violation } from "../frame/checks.ts";
import type { Answer, Json } from "../frame/http.ts";
import type { Model } from "./model.ts";
import type { Forgery, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import type { Lease } from "./tracked.ts";
import { type Call, expected, settle } from "./verdicts.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

const receiptsOf = (leases: readonly Lease[]) => leases.map(({ receipt }) => receipt as string);

export async function ack(run: ScriptRun, step: Of<"ack">): Promise<void> {
  const leases = run.pick(step.pick);
  await call(run, "ack", leases, {});
  if (step.twice) await call(run, "ack", leases, {});
}

export const nack = (run: ScriptRun, step: Of<"nack">) =>
  call(run, "nack", run.pick(step.pick), {
    reason: "no",
    ...(step.delayMs !== undefined && { delayMs: step.delayMs }),
  });

export const extend = (run: ScriptRun, step: Of<"extend">) =>
  call(run, "extend", run.pick(step.pick), { ackTimeoutMs: step.ackTimeoutMs });

interface Terms {
  readonly delayMs?: number;
  readonly ackTimeoutMs?: number;
  readonly reason?: string;
}

export async function call(run: ScriptRun, name: Call, leases: readonly Lease[], terms: Terms): Promise<void> {
  if (leases.length === 0) return;
  const sent = run.now();
  const flight = new Flight(name, leases);
  const answer = await run.try("POST", `${run.group}/${name}`, { receipts: receiptsOf(leases), ...terms });
  if (answer === undefined || (answer.status >= 500 && answer.status !== 500)) {
    for (const lease of leases) unanswered(run, name, lease, sent, terms);
    return;
  }
  const refused = refusals(leases, answer);
  report(run, name, flight.landed(), refused, sent, terms);
}

/** Until it is answered others may see its effect: the record may be finished, or with somebody else. */
export class Flight {
  readonly #before: { lease: Lease; last: boolean; open: boolean; perhapsDone: boolean; doubtful: boolean }[];

  constructor(
    readonly call: Call,
    leases: readonly Lease[],
  ) {
    this.#before = leases.map((lease) => ({
      lease,
      last: lease.record.leases.at(-1) === lease,
      open: lease.record.state === "open",
      perhapsDone: lease.record.perhapsDone,
      doubtful: lease.doubtful ?? false,
    }));
    for (const lease of leases) {
      if (call === "ack") lease.record.perhapsDone ||= lease.record.state === "open";
      if (call === "nack" && lease.end === undefined) lease.doubtful = true;
    }
  }

  /** It was answered. Leases that meanwhile passed on are left out: both answers are right. */
  landed(): Lease[] {
    const rest: Lease[] = [];
    for (const { lease, last, open, perhapsDone, doubtful } of this.#before) {
      const { record } = lease;
      // What comes behind a record tells that it died of this nack, and may be here before its answer.
      const died = this.call === "nack" && open && record.state === "dead";
      const passed = died || (last && record.leases.at(-1) !== lease);
      if (passed) {
        if (this.call === "nack" && !died) lease.end = "nacked";
        continue;
      }
      if (this.call === "ack") record.perhapsDone = perhapsDone;
      if (this.call === "nack") lease.doubtful = doubtful;
      rest.push(lease);
    }
    return rest;
  }
}

function unanswered(run: ScriptRun, name: Call, lease: Lease, sent: number, terms: Terms): void {
  run.note(run.model.subjects(lease.record), () => `${name} of ${lease.receipt}: no answer`);
  if (name === "nack" && lease.end === undefined) {
    lease.doubtful = true;
    lease.record.delayedTo = Math.max(lease.record.delayedTo, run.now() + (terms.delayMs ?? 0));
  }
  if (name !== "extend") return;
  const timeout = terms.ackTimeoutMs as number;
  const [low, high] = lease.runsOut;
  lease.runsOut = [Math.min(low, sent + timeout), Math.max(high, run.now() + timeout)];
}

/** Compares an answer with the table, and takes over what it tells. */
export function report(
  run: ScriptRun,
  name: Call,
  leases: readonly Lease[],
  refused: ReadonlyMap<string, string>,
  sent: number,
  terms: Terms = {},
): void {
  const answered = run.now();
  for (const lease of leases) {
    const code = refused.get(lease.receipt as string);
    const { model } = run;
    const { settled, refused: mayRefuse, because } = expected(model, lease, name, sent, answered);
    const about = model.subjects(lease.record);
    run.note(about, () => `${name} of ${lease.record}, receipt ${lease.receipt}: ${code ?? "settled"}`);
    run.round.checks.that(
      "receipts",
      code === undefined ? settled : mayRefuse && code === "stale-lease",
      () =>
        `${name} of ${lease.receipt} (${lease.record}, ${model.describe(lease.record, answered)}) was ${code ?? "settled"}; ${because}`,
      about,
    );
    if (name === "ack" && code === undefined) lease.record.twice ||= mayCountTwice(model, lease);
    settle(model, lease, name, code === undefined, sent, answered, terms.delayMs);
    if (name === "extend" && code === undefined) {
      const timeout = terms.ackTimeoutMs as number;
      lease.runsOut = [sent + timeout, answered + timeout + 60];
    }
  }
}

/** Whether it is a repeated ack, with a kill between: in a pause, in which nothing is read again; amid an incident, or after one. */
function mayCountTwice({ diedAt, incidentAt, pausedAt }: Model, { record, from }: Lease): boolean {
  if (diedAt === undefined || from >= diedAt || record.state !== "done") return false;
  return pausedAt !== undefined || incidentAt !== undefined;
}

/** The receipts that were refused, with their codes. */
export function refusals(leases: readonly Lease[], answer: Answer): Map<string, string> {
  const { status, json } = answer;
  const about = leases.map(({ record }) => record.place);
  if (status === 200) return new Map(((json.refused ?? []) as Json[]).map(({ receipt, code }) => [receipt, code]));
  // With a single receipt the refusal is the answer.
  if (leases.length === 1 && status === 409) return new Map([[(leases[0] as Lease).receipt as string, json?.code]]);
  throw new Violation("receipts", `${leases.length} receipts were answered ${status}: ${answer.body}`, about);
}

/** Texts that nobody was given. None may be taken, and none may have any effect: the model goes on as if they had not been. */
export async function forge(run: ScriptRun, step: Of<"forge">): Promise<void> {
  const [lease, other] = run.pick({ ...step.pick, count: 2 });
  const receipt = step.how === "elsewhere" ? await foreign(run) : forged(run, step.how, lease?.receipt, other?.receipt);
  if (receipt === undefined || (step.how !== "deleted" && run.model.receipts.has(receipt))) return;
  const terms = step.call === "extend" ? { ackTimeoutMs: 60_000 } : {};
  const answer = await run.try("POST", `${run.group}/${step.call}`, { receipts: [receipt], ...terms });
  if (answer === undefined || answer.status === 503) return;
  const about = lease === undefined ? [] : run.model.subjects(lease.record);
  run.note(about, () => `${step.call} of the made-up receipt ${receipt}: ${answer.status} ${answer.body}`);
  const settled = answer.status === 200 && answer.json.settled !== 0;
  run.round.checks.that("made-up", !settled, () => `${step.call} of ${receipt}, which nobody was given, was settled`, [
    ...about,
  ]);
}

function forged(
  run: ScriptRun,
  how: Exclude<Forgery, "elsewhere">,
  receipt = "0.0.aaaaaa.aaaaaaaa",
  other?: string,
): string | undefined {
  const parts = receipt.split(".");
  switch (how) {
    case "digit":
      return receipt.replace(/\d/g, (digit) => String((Number(digit) + 1) % 10));
    case "letter":
      return receipt.slice(0, -1) + (receipt.endsWith("a") ? "b" : "a");
    case "swap":
      return other === undefined ? undefined : [...other.split(".").slice(0, 2), ...parts.slice(2)].join(".");
    case "offset":
      return [parts[0], offsetToBe(run, Number(parts[0])), ...parts.slice(2)].join(".");
    case "cut":
      return receipt.slice(0, -2);
    case "longer":
      return `${receipt}0`;
    case "empty":
      return "0";
    case "deleted":
      return [...run.model.receipts.values()].find(({ end }) => end === "deleted")?.receipt;
  }
}

/** Of a record that nobody has had yet, or that is not there yet. */
function offsetToBe(run: ScriptRun, partition: number): number {
  const records = run.model.ofPartition(partition);
  return records.find(({ leases }) => leases.length === 0)?.offset ?? records.length + 3;
}

/** A receipt of another group of the stream, which stands at the same place. */
async function foreign(run: ScriptRun): Promise<string | undefined> {
  const group = `${run.stream}/groups/h`;
  await run.certainly("PUT", group, { start: "earliest", ackTimeoutMs: 60_000 });
  const answer = await run.try("POST", `${group}/receive`, { max: 1 });
  return answer?.json?.deliveries?.[0]?.receipt;
}
