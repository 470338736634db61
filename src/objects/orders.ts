/** What is asked of a partition beside appends and reads, by name: each has the log before it, and answers once. */
import { ok, type Result } from "../../schemas/errors.ts";
import type { Facts } from "../log/facts.ts";
import type { Inheritance } from "../log/inheritance.ts";
import type { Position } from "../log/read.ts";
import type { ProducerTerms, Run } from "../log/sequence.ts";
import type { Report } from "../log/verify.ts";
import { dumpOrders } from "./dump-orders.ts";
import { lostBefore } from "./left-behind.ts";
import { type Desk, past } from "./past.ts";
import { snapshotOrders } from "./snapshot-orders.ts";

type Order = (desk: Desk, ...args: never[]) => Result<unknown> | Promise<Result<unknown>>;

export const orders = {
  facts: ({ log }: Desk): Result<Facts> => ok(log.facts()),

  /** The offset that a position names. */
  locate: ({ history }: Desk, position: Position): Promise<Result<number>> => history.locate(position),

  /** Ends a read's wait: its answer is not wanted any more. */
  endWait({ waits }: Desk, name: string): Result<undefined> {
    waits.end(name);
    return ok(undefined);
  },

  /** `before`: an offset, or a time. */
  async trim({ log, history }: Desk, before: Extract<Position, { at: "offset" | "time" }>): Promise<Result<Facts>> {
    const place = await history.locate(before);
    if (!place.ok) return place;
    const facts = log.trim(place.value, Date.now());
    history.kick();
    return facts;
  },

  fence: ({ log }: Desk, token: string | null, expected?: string | null): Result<Facts> =>
    log.fence(token ?? undefined, expected),

  seal({ log, changed }: Desk): Result<Facts> {
    const facts = log.seal();
    changed();
    return ok(facts);
  },

  /** Closes the partition if it is empty, and has been for so long. */
  close: ({ log }: Desk, idleMs: number): Result<boolean> => ok(log.close(idleMs, Date.now())),

  reopen({ log }: Desk): Result<undefined> {
    log.reopen();
    return ok(undefined);
  },

  /** From the beginning on, what was lost with the database of before is damage, too. */
  async verify({ log, history }: Desk, from: number, bytesMax: number): Promise<Result<Report>> {
    const lost = from === 0 ? await lostBefore(log, history.blobs) : ok(undefined);
    if (!lost.ok) return lost;
    const report = log.verify(from, bytesMax);
    return ok(lost.value === undefined ? report : { ...report, damaged: [lost.value, ...report.damaged] });
  },

  /** What a batch of a producer was answered with, whoever continues the partition. `count`: its records that came here. */
  answered: ({ log }: Desk, producer: ProducerTerms, count: number): Result<readonly Run[]> =>
    log.answered(producer, count),

  /** What the children of a sealed partition take over. */
  handOn: ({ log }: Desk): Result<Inheritance> => ok(log.handOn(Date.now())),

  ...past,
  ...snapshotOrders,
  ...dumpOrders,
} satisfies Record<string, Order>;

type Orders = typeof orders;
export type PartitionOrder = keyof Orders;
export type PartitionOrderArgs<N extends PartitionOrder> = Orders[N] extends (desk: Desk, ...args: infer A) => unknown
  ? A
  : never;
export type PartitionOrderValue<N extends PartitionOrder> =
  Awaited<ReturnType<Orders[N]>> extends Result<infer T> ? T : never;
