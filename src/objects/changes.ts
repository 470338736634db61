/** Acks, nacks and extensions that arrive together: one transaction, one row, and to each caller its own answer. */
import { ok, type Result } from "../../schemas/errors.ts";
import type { Delivery } from "../delivery/delivery.ts";
import { GroupCommit } from "./commit.ts";
import type { Refused } from "./rpc.ts";

/** Answers each of the receipts that it is about. */
export type Change = (core: Delivery) => Result<undefined>[];

/** What the changes need of the object around them. */
export interface ChangeHost {
  readonly core: Delivery;
  readonly stopped: boolean;
  used(): void;
  kick(): void;
}

export class Changes {
  readonly #commit: GroupCommit<Change, Result<undefined>[]>;

  constructor(
    readonly host: ChangeHost,
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
    this.host.used();
    const results = await this.#commit.add(change);
    if (!results.ok) return results;
    return ok(results.value.flatMap((one, place) => (one.ok ? [] : [{ place, refusal: one.refusal }])));
  }

  #apply(changes: readonly Change[]): Result<Result<undefined>[]>[] {
    const { core } = this.host;
    const results = changes.map((change) => ok(change(core)));
    if (!this.host.stopped && core.state.spec.config.durable) core.state.save();
    this.host.kick();
    return results;
  }
}
