/**
 * A rate is the whole group's: each partition has its share, one that was split until the group is through with it. That is for the
 * catalog to know, which tells the others.
 */
import type { Delivery } from "../delivery/delivery.ts";
import { catalog, type Env } from "./stubs.ts";

/** After the catalog could not be reached. */
const retryMs = 5_000;

export class Sharing {
  /** What the catalog knows; undefined until it was told by this incarnation. */
  #told: boolean | undefined;
  #telling = false;
  /** When it could not be reached it is told again then, in ms since 1970. */
  dueAt = Number.POSITIVE_INFINITY;

  constructor(
    readonly env: Env,
    readonly core: Delivery,
    readonly stopped: () => boolean,
  ) {}

  /** The group has come further, or begins anew. */
  changed(): void {
    const { over, sealed, known, spec } = this.core.state;
    // How it stands is not known before it has read; until then it gives nothing out.
    if (!sealed || known === undefined || spec.config.rate === null || over === this.#told) return;
    const waits = this.#telling || (this.dueAt !== Number.POSITIVE_INFINITY && Date.now() < this.dueAt);
    if (!waits && !this.stopped()) void this.#tell(over);
  }

  async #tell(through: boolean): Promise<void> {
    const { namespace, stream, group, groupId, partition } = this.core.state.spec;
    this.#telling = true;
    this.dueAt = Number.POSITIVE_INFINITY;
    try {
      await catalog(this.env, namespace).order("through", stream, group, groupId, partition, through);
      this.#told = through;
    } catch (error) {
      console.error("delivery:", (error as Error).message);
      this.dueAt = Date.now() + retryMs;
    } finally {
      this.#telling = false;
    }
  }
}
