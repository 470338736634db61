/** Members that pull: at once, waiting, and gone before the answer. */
import type { Answer, Json } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import { delivered } from "./delivering.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { Flight, refusals, report } from "./settling.ts";
import type { Lease } from "./tracked.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** What came, as the model has to hear of it. */
export function taken(run: ScriptRun, answer: Answer, member: string, from: number, to: number): Lease[] {
  const { checks } = run.round;
  checks.that("accepted", answer.status === 200, () => `a receive was answered ${answer.status}: ${answer.body}`);
  const lost = (answer.json.lost ?? []) as Json[];
  checks.that("none-lost", lost.length === 0, () => `lost: ${JSON.stringify(lost)}, and nothing was trimmed`);
  return (answer.json.deliveries as Json[]).map((delivery) => {
    note(run, delivery, member);
    return delivered(run.model, delivery, member, from, to);
  });
}

export function note(run: ScriptRun, delivery: Json, member: string): void {
  const { partition, offset, key, attempt, receipt } = delivery;
  run.note(
    [`${partition}.${offset}`, ...(key === undefined ? [] : [key])],
    () =>
      `${partition}.${offset}${key === undefined ? "" : ` (${key})`} → ${member}, attempt ${attempt}, receipt ${receipt}`,
  );
}

export async function receive(run: ScriptRun, step: Of<"receive">): Promise<void> {
  const acked = step.ack === undefined ? [] : run.pick(step.ack);
  const flight = new Flight("ack", acked);
  const from = run.now();
  run.model.askers.add(step);
  const answer = await run.try("POST", `${run.group}/receive`, {
    max: step.max,
    waitSeconds: step.waitMs / 1000,
    member: step.member,
    ...(acked.length > 0 && { ack: acked.map(({ receipt }) => receipt) }),
  });
  run.model.askers.delete(step);
  if (answer === undefined || answer.status >= 500) {
    run.note([], () => `receive by ${step.member}: no answer`);
    run.maybeReceived(step.member, from, run.now());
    return;
  }
  if (acked.length > 0) report(run, "ack", flight.landed(), refusals(acked, answer), from);
  const came = taken(run, answer, step.member, from, run.now());
  run.round.checks.that(
    "credits",
    came.length <= step.max,
    () => `${came.length} came, and ${step.max} were asked for`,
  );
  if (came.length === 0 && run.lastSaid !== step.member) run.note([], () => `receive by ${step.member}: nothing`);
  run.lastSaid = came.length === 0 ? step.member : "";
}

/** A long poll beside everything else. */
export async function poll(run: ScriptRun, step: Of<"poll">): Promise<void> {
  const from = run.now();
  const wait = async () => {
    const answer = await run.try("POST", `${run.group}/receive`, {
      max: step.max,
      waitSeconds: step.waitMs / 1000,
      member: step.member,
    });
    const to = run.now();
    await run.appending;
    run.model.askers.delete(step);
    if (answer === undefined || answer.status >= 500) run.maybeReceived(step.member, from, to);
    else taken(run, answer, step.member, from, to);
  };
  run.model.askers.add(step);
  const polling = wait().catch((error) => run.failed(error));
  run.polls.add(polling);
  polling.then(() => {
    run.model.askers.delete(step);
    run.polls.delete(polling);
  });
}

/** Asks, waits, and goes away before there is anything. Nothing may be lent to it. */
export async function leave(run: ScriptRun, step: Of<"leave">): Promise<void> {
  const gone = new AbortController();
  const from = run.now();
  const asking = run.try(
    "POST",
    `${run.group}/receive`,
    { max: 10, waitSeconds: 20, member: step.member },
    gone.signal,
  );
  await Promise.race([asking, sleep(step.afterMs)]);
  gone.abort();
  const answer = await asking;
  if (answer !== undefined && answer.status < 500) {
    taken(run, answer, step.member, from, run.now());
    return;
  }
  await sleep(150); // The service has noticed by then.
  run.note([], () => `${step.member} waited for ${step.afterMs} ms, and went away`);
  run.maybeReceived(step.member, from, run.now());
}
