/** Says of each lease that `consume` has lost what becomes of its record. */
import type { ExactDelivery } from "./child.ts";

/** Deliveries that are done, and of which it may yet be heard that it was too late. */
const doneMax = 10_000;

export const placeOf = ({ partition, offset }: ExactDelivery): string => `${partition}.${offset}`;

/** Which record, and which attempt. */
export const nameOf = (delivery: ExactDelivery): string =>
  `${placeOf(delivery)}  key ${delivery.key === undefined ? "-" : JSON.stringify(delivery.key)}  attempt ${delivery.attempt}`;

export class Leases {
  readonly #atWork = new Map<string, ExactDelivery>();
  readonly #done = new Map<string, ExactDelivery>();

  begin(delivery: ExactDelivery): void {
    this.#atWork.set(delivery.receipt, delivery);
  }

  /** Its handler has ended; a failure has been told already. */
  end(delivery: ExactDelivery, isDone: boolean): void {
    const { receipt } = delivery;
    this.#atWork.delete(receipt);
    if (!isDone) return;
    this.#done.set(receipt, delivery);
    for (const oldest of this.#done.keys()) {
      if (this.#done.size <= doneMax) break;
      this.#done.delete(oldest);
    }
  }

  /** One line for each receipt and state, however often it is heard. */
  lost(receipt: string): void {
    const atWork = this.#atWork.get(receipt);
    const done = this.#done.get(receipt);
    this.#atWork.delete(receipt);
    this.#done.delete(receipt);
    if (atWork !== undefined) {
      const next =
        "the work goes on, and counts if nobody else has the record when it is done; else the record comes again";
      console.error(`lease lost: ${nameOf(atWork)}: ${next}`);
    } else if (done !== undefined) {
      const next = "done, but too late: the record comes again, or somebody else has it";
      console.error(`lease lost: ${nameOf(done)}: ${next}`);
    }
  }
}
