/** Members on sockets: what they are, what they say, and what they are sent. */
import type { Result } from "../../schemas/errors.ts";
import type { GroupMessage, MemberMessage } from "../../schemas/frames.ts";
import type { Delivery, Leased } from "../delivery/delivery.ts";
import { giveBack } from "../delivery/giving-back.ts";
import { DeliveryWriter } from "../delivery/show.ts";
import { JsonWriter } from "../log/json.ts";
import type { Account } from "./owed.ts";

export interface Member {
  readonly id: string;
  /** It is a Worker's, which looks after the other partitions itself. */
  readonly relayed: boolean;
  /** It asked for this partition and no other: it stays until that is finished. */
  readonly named?: true;
  credits: number;
  /** The Worker was told that there is something. */
  told: boolean;
  /** When it last said anything, in ms since 1970, or up to a quarter of a heartbeat before that. */
  seen: number;
  /** Its ticket is over then, in ms since 1970, and the socket with it. */
  readonly until?: number;
  /** Of a member that says what it has read: what it owes. */
  readonly account?: Account;
  /** Bytes that it takes for one loan, one record at least: a Worker's, that has to hold them. */
  readonly loanBytes?: number;
  /** Of those, what is left of the loan. */
  loan?: number;
}

/**
 * When members last said anything, whatever it was. With their sockets that is written down now and then, and not at every
 * message: of one whose socket slept since, the latest time is believed that it can have been.
 */
export class Heard {
  readonly #at = new WeakMap<Member, number>();

  /** True where the member is to be written down. */
  note(member: Member, heartbeatMs: number, now: number): boolean {
    this.#at.set(member, now);
    if (now - member.seen < heartbeatMs / 4) return false;
    member.seen = now;
    return true;
  }

  isSilent(member: Member, heartbeatMs: number, pinged: number, now: number): boolean {
    const seen = this.#at.get(member) ?? member.seen + heartbeatMs / 4;
    return Math.max(seen, pinged) + heartbeatMs <= now;
  }
}

/** A message that settles leases. */
export type Settling = Exclude<MemberMessage, { type: "credit" | "confirm" }>;

/** Does what a message says with its receipts; the refusals. */
export function settledBy(
  core: Delivery,
  message: Settling,
  now: number,
): Extract<GroupMessage, { type: "refused" }>["refused"] {
  const { receipts } = message;
  return resultsOf(core, message, now).flatMap((result, index) =>
    result.ok ? [] : [{ receipt: receipts[index], code: result.refusal.code, detail: result.refusal.detail }],
  );
}

function resultsOf(core: Delivery, message: Settling, now: number): Result<undefined>[] {
  const { receipts } = message;
  if (message.type === "ack") return core.ack(receipts, now);
  if (message.type === "release") return giveBack(core, receipts, now);
  if (message.type === "extend") {
    return core.extend(receipts, message.ackTimeoutMs ?? core.state.spec.config.ackTimeoutMs, now);
  }
  const { delayMs, reason = "nack" } = message;
  return core.nack(receipts, { delayMs, reason }, now, Math.random);
}

/** Deliveries as the message that brings them. */
export function deliveriesBytes(core: Delivery, leased: readonly Leased[]): Uint8Array {
  const writer = new JsonWriter();
  const { spec, era } = core.state;
  const { groupId, partition } = spec;
  const shown = new DeliveryWriter({ groupId, partition, era });
  writer.text('{"type":"deliveries","deliveries":[');
  leased.forEach((one, index) => {
    if (index > 0) writer.text(",");
    const { item, generation, attempt } = one;
    shown.delivery(writer, item, generation, core.tag(item.offset, generation), attempt);
  });
  writer.text("]}");
  return writer.take();
}
