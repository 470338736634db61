/** Acks, nacks and extensions that arrive together: one transaction, one row, and to each caller its own answer. */
import { ok, type Result } from "../../schemas/errors.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { GroupCommit } from "./commit.ts";
import type { Keeper } from "./keeper.ts";
import type { Refused } from "./rpc.ts";

/** Answers each of the receipts that it is about. */
export type Change = (core: Delivery) => Result<undefined>[];

export class Changes {
  readonly #commit: GroupCommit<Change, Result<undefined>[]>;

  constructor(
    readonly keeper: Keeper,
    storage: DurableObjectStorage,
  ) {
    this.#commit = new GroupCommit(
      (changes) => this.#apply(changes),
      () => storage.sync(),
      () => 0,
    );
  }

  /** The receipts that were refused. */
  async settle(change: Change): Promise<Result<Refused[]>> {
    this.keeper.used();
    const results = await this.#commit.add(change);
    if (!results.ok) return results;
    return ok(results.value.flatMap((one, place) => (one.ok ? [] : [{ place, refusal: one.refusal }])));
  }

  #apply(changes: readonly Change[]): Result<Result<undefined>[]>[] {
    const { core } = this.keeper;
    const results = changes.map((change) => ok(change(core)));
    if (!this.keeper.stopped && core.state.spec.config.durable) core.state.save();
    this.keeper.kick();
    return results;
  }
}
