/**
 * What a receipt is worth: which lease it proves, and what has become of the record since. Everything that follows from a
 * receipt is decided on what is said here.
 *
 * After a restart a record may not be in memory, and its key not known. What the receipt proves helps: a record that was
 * once under lease was then the first unfinished one of its key, so that no lane which stands at an earlier record is its own.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { planAfter } from "./attempts.ts";
import type { Item, Try } from "./item.ts";
import { goesOn, type Restored } from "./lease-row.ts";
import { isFinished } from "./place.ts";
import { type Receipt, readReceipt, type Signer } from "./receipt.ts";
import type { State } from "./state.ts";

export type Standing =
  /** Under this very lease. */
  | { readonly is: "leased"; readonly item: Item }
  /** The same, from before a restart; the record is yet to be read again. */
  | { readonly is: "restored"; readonly lease: Restored }
  /** Nobody has it. It is at hand; or it is yet to be read again. */
  | { readonly is: "free"; readonly item: Item }
  | { readonly is: "unread" }
  /** It was given back as failed by this very receipt. */
  | { readonly is: "nacked" }
  | { readonly is: "finished" };

const refused = (offset: number, why: string) =>
  refuse("stale-lease", `the lease of the record at offset ${offset} is void: ${why}`);

export const ranOut = (offset: number) =>
  refused(
    offset,
    "it has run out, which counted as a failed attempt, or a crash has forgotten it; the record is delivered again",
  );

export const notHeld = (offset: number) => refused(offset, "it is over; nothing is left to extend");

export const usedUp = (offset: number) => refused(offset, "the record was given back as failed; it is delivered again");

export class Receipts {
  constructor(
    readonly state: State,
    readonly signer: Signer,
  ) {}

  read(text: string): Result<Receipt> {
    const receipt = readReceipt(text);
    const { partition } = this.state.spec;
    const signed = receipt !== undefined && this.signer.tag(receipt.offset, receipt.era, receipt.generation);
    if (receipt === undefined || receipt.partition !== partition || receipt.tag !== signed) {
      return refuse("invalid", `'${text}' is no receipt of partition ${partition}; send it as the delivery has it`);
    }
    if (receipt.era !== this.state.era) return refused(receipt.offset, "the group was moved by a seek");
    return ok(receipt);
  }

  /** Where the record of a receipt stands. Refuses where another has it, or it is not the receipt's any more. */
  standing({ offset, generation }: Receipt, now: number): Result<Standing> {
    const { leases, letters } = this.state;
    const lease = leases.get(offset);
    if (lease?.generation === generation) return ok({ is: "leased", item: lease.item });
    const item = this.state.live(offset);
    const lane = item?.lane ?? this.state.lanes.at(offset);
    const letter = letters.get(offset);
    const gaveBack = (tries: readonly Try[] | undefined) =>
      tries?.some((one) => one.nacked && one.generation === generation) === true;
    if (letter?.state === "dead") {
      return gaveBack(JSON.parse(letter.tries)) ? ok({ is: "nacked" }) : dead(offset);
    }
    if (letter !== undefined && (lane === undefined || generation <= lane.voided)) {
      return refused(offset, "the record was redriven since; it is delivered again");
    }
    if (gaveBack(lane?.tries ?? item?.tries)) return ok({ is: "nacked" });
    if (lease !== undefined) return had(offset);
    if (item !== undefined) return ok({ is: "free", item });
    const restored = leases.restored.get(offset);
    if (lane === undefined && isFinished(this.state, offset, generation)) return ok({ is: "finished" });
    if (restored !== undefined && goesOn(restored, now)) {
      return restored.generation === generation ? ok({ is: "restored", lease: restored }) : had(offset);
    }
    if (restored?.nacked !== undefined && restored.generation === generation) return ok({ is: "nacked" });
    // One that has run out, or was given back, becomes one as soon as it is read again.
    if (restored !== undefined && this.#dies(restored.attempt)) return dead(offset);
    return ok({ is: "unread" });
  }

  #dies(attempt: number): boolean {
    return planAfter(this.state.spec.config, attempt, undefined, 0).next !== "retry";
  }
}

const dead = (offset: number) => refused(offset, "the record is a dead letter; redrive or discard it");

const had = (offset: number) => refused(offset, "another member has the record; leave it to that one");
