/** The last requests of a push, as an operator sees them; written down a moment later, many at a time. */
import type { State } from "../delivery/state.ts";
import type { Attempt } from "./rpc.ts";

const kept = 50;
const saveMs = 2_000;
const row = "attempts";

export class Attempts {
  readonly list: Attempt[];
  #saving: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly state: State) {
    this.list = JSON.parse(state.store.meta(row) ?? "[]");
  }

  add(attempt: Attempt): void {
    this.list.push(attempt);
    if (this.list.length > kept) this.list.shift();
    if (this.state.spec.config.durable) this.#saving ??= setTimeout(() => this.#save(), saveMs);
  }

  /** The group is gone. */
  stop(): void {
    clearTimeout(this.#saving);
  }

  #save(): void {
    this.#saving = undefined;
    this.state.store.setMeta(row, JSON.stringify(this.list));
  }
}
