/** Steps of members on sockets. */
import { eventually, sleep } from "../frame/time.ts";
import { Member } from "./member.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { Flight } from "./settling.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** So long after its last message a socket is taken to be quiet. */
const quietMs = 60;

export async function open(run: ScriptRun, step: Of<"socket">): Promise<void> {
  if (run.members.has(step.member)) return;
  const member = new Member(run, step.member);
  run.members.set(step.member, member);
  run.note([], () => `${step.member} opens a socket`);
  try {
    await member.open();
  } catch (error) {
    run.members.delete(step.member);
    // Amid a kill there is nobody to answer.
    if (run.round.restarting) return;
    throw error;
  }
  member.credit(step.credits);
  await sleep(quietMs);
}

export async function credit(run: ScriptRun, step: Of<"credit">): Promise<void> {
  run.members.get(step.member)?.credit(step.credits);
  await sleep(quietMs);
}

export async function cut(run: ScriptRun, step: Of<"cut">): Promise<void> {
  const member = run.members.get(step.member);
  if (member === undefined) return;
  await sleep(quietMs);
  run.note([], () => `${step.member} ${step.politely ? "closes its socket" : "is cut off"}`);
  member.leave(step.politely);
  await sleep(quietMs);
}

/** Sockets do not answer acks that they take: what is not refused soon was taken. */
export async function settleBySocket(run: ScriptRun, step: Of<"socket-ack"> | Of<"socket-nack">): Promise<void> {
  const member = run.members.get(step.member);
  const leases = run.pick(step.pick);
  if (member === undefined || leases.length === 0) return;
  const call = step.do === "socket-ack" ? "ack" : "nack";
  const flight = new Flight(call, leases);
  member.settle(call, leases);
  await sleep(2 * quietMs);
  const landed = flight.landed();
  await eventually(() => !member.usable || !member.awaited(landed), 5000);
  if (member.usable) member.taken(landed);
}

/** Before a step that voids leases: nobody may be given any while it goes on. */
export async function quiet(run: ScriptRun): Promise<void> {
  await Promise.all(run.polls);
  for (const member of [...run.members.values()]) {
    if (member.credits === 0) continue;
    run.note([], () => `${member.name} closes its socket`);
    member.leave(true);
  }
  await sleep(quietMs);
}
