/** What receipts stand for: the record, whoever has it now, and acks that come before the record is back in memory. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import type { Item } from "./item.ts";
import type { Reader } from "./reader.ts";
import { type Receipt, readReceipt } from "./receipt.ts";
import type { State } from "./state.ts";

/** Acks that are remembered for records that are yet to be read again. */
const earlyMax = 20_000;

export const stale = (offset: number) =>
  refuse(
    "stale-lease",
    `the lease of the record at offset ${offset} has passed on; leave the record to whoever has it`,
  );

export class Receipts {
  constructor(
    readonly state: State,
    readonly reader: Reader,
  ) {}

  understand(text: string): Result<Receipt> {
    const receipt = readReceipt(text);
    const { partition } = this.state.spec;
    if (receipt === undefined || receipt.partition !== partition) {
      return refuse("invalid", `'${text}' is no receipt of partition ${partition}; send it as the delivery has it`);
    }
    if (receipt.era !== this.state.era) return stale(receipt.offset);
    return ok(receipt);
  }

  /** The unfinished record of a receipt; undefined where it is not in memory. Refuses where another has it. */
  holder({ offset, generation }: Receipt): Result<Item | undefined> {
    const lease = this.state.leases.get(offset);
    const restored = this.state.leases.restored.get(offset);
    const holder = lease?.generation ?? restored?.[1];
    if (holder !== undefined && holder !== generation) return stale(offset);
    return ok(lease?.item ?? this.state.live(offset));
  }

  /** Acked before it was read again after a restart, or long ago. */
  early(offset: number): void {
    const { state } = this;
    state.leases.restored.delete(offset);
    let found = false;
    // Several may stand there: the one whose record it is, and others that only have got so far, and lose nothing by it.
    for (const lane of [...state.lanes.byId.values()]) {
      if (lane.from !== offset || lane.queue.length > 0) continue;
      found = true;
      state.finishedTo = Math.max(state.finishedTo, offset + 1);
      if (lane.kind !== "key") {
        state.lanes.remove(lane);
        if (offset >= state.cursor) state.done.add(offset);
      } else {
        lane.read = offset + 1;
        this.reader.advance(lane, 0);
      }
      state.unsaved++;
    }
    if (found) return;
    const belongs = offset >= state.cursor && offset < (state.known ?? Number.MAX_SAFE_INTEGER);
    if (!belongs || state.done.has(offset) || state.done.size >= earlyMax) return;
    state.done.add(offset);
    state.finishedTo = Math.max(state.finishedTo, offset + 1);
    state.horizon = Math.max(state.horizon, offset + 1);
    state.unsaved++;
  }
}
