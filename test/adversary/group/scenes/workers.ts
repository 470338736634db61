/** Members of a scene that go on until they are stopped: they give every delivery to `work`, and settle it as that says. */
import { type Json, Lost } from "../../frame/http.ts";
import type { Round } from "../../frame/round.ts";
import { sleep } from "../../frame/time.ts";
import { GroupSocket } from "../group-socket.ts";
import type { Ground } from "./ground.ts";

export type Verdict = "ack" | "nack" | "keep";
/** `from`: the lease began after it. */
export type Work = (delivery: Json, from: number) => Verdict | Promise<Verdict>;

export interface WorkerOptions {
  readonly ground: Ground;
  readonly member: string;
  /** How many at once. */
  readonly batch: number;
  readonly work: Work;
  readonly stopped: AbortSignal;
}

export async function pull({ ground, member, batch, work, stopped }: WorkerOptions): Promise<void> {
  while (!stopped.aborted) {
    const from = ground.round.now();
    const deliveries = await unlessStopped(ground.receive({ max: batch, waitSeconds: 1, member }, stopped), stopped);
    if (deliveries === undefined) return;
    const settled: Record<Verdict, Json[]> = { ack: [], nack: [], keep: [] };
    for (const delivery of deliveries) settled[await work(delivery, from)].push(delivery);
    for (const call of ["ack", "nack"] as const) {
      if (settled[call].length > 0) await unlessStopped(ground.settle(call, settled[call]), stopped);
    }
  }
}

async function unlessStopped<T>(asking: Promise<T>, stopped: AbortSignal): Promise<T | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (stopped.aborted && error instanceof Lost) return undefined;
    throw error;
  }
}

/** The partition was split: a member that has nothing of it at hand connects again. */
const splitCode = 4002;

/** Gives a credit back for each delivery that it has worked at. */
export async function socket(options: WorkerOptions): Promise<void> {
  const { round } = options.ground;
  for (let closed: number | undefined = splitCode; closed === splitCode; ) closed = await bySocket(options, round);
}

/** Until it is stopped, or closed: then the close code. */
async function bySocket({ ground, member, batch, work, stopped }: WorkerOptions, round: Round) {
  const since = round.now();
  let closed: number | undefined;
  const queue: Json[] = [];
  const one = new GroupSocket(round, {
    group: ground.group,
    member,
    pingMs: 5000,
    onMessage: (message) => {
      if (message.type === "deliveries") queue.push(...message.deliveries);
    },
    onClose: (code) => {
      closed = code;
    },
  });
  await one.open();
  one.send({ type: "credit", credits: batch });
  try {
    while (!stopped.aborted) {
      if (closed !== undefined) return mayBeClosed(round, closed, member, queue);
      const delivery = queue.shift();
      if (delivery === undefined) {
        await sleep(5, stopped);
        continue;
      }
      const call = await work(delivery, since);
      if (call !== "keep") one.send({ type: call, receipts: [delivery.receipt] });
      one.send({ type: "credit", credits: 1 });
    }
  } finally {
    one.leave(false);
  }
  return undefined;
}

function mayBeClosed(round: Round, closed: number, member: string, queue: readonly Json[]): number {
  const may = closed === splitCode && queue.length === 0;
  const seen = () => `the socket of ${member} was closed with ${closed}, and had ${queue.length} deliveries at hand`;
  round.checks.that("accepted", may, seen);
  return closed;
}
