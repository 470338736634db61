/** The last requests of a push, as an operator sees them; written down a moment later, many at a time. */
import { forgottenReason } from "../delivery/forget.ts";
import type { Span } from "../delivery/sought.ts";
import type { State } from "../delivery/state.ts";
import type { Attempt } from "./rpc.ts";

const kept = 50;
const saveMs = 2_000;
const row = "attempts";

export class Attempts {
  readonly list: Attempt[];
  #saving: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly state: State) {
    this.list = numbered(JSON.parse(state.store.meta(row) ?? "[]"));
  }

  add(attempt: Omit<Attempt, "number">): void {
    this.list.push({ number: behind(this.list.at(-1)), ...attempt });
    if (this.list.length > kept) this.list.shift();
    if (this.state.spec.config.durable) this.#saving ??= setTimeout(() => this.#save(), saveMs);
  }

  /** Records `[from, to)` that each was about, with those between them. */
  get spans(): Span[] {
    return this.list.map(({ deliveryId }) => spanOf(deliveryId));
  }

  /** What receivers answered about records that are forgotten, or may be, goes; that they were asked stays. */
  forget(has: (span: Span) => boolean): void {
    const touched = this.list.some(({ deliveryId }) => has(spanOf(deliveryId)));
    if (!touched) return;
    const left = this.list.map((one) => (has(spanOf(one.deliveryId)) ? silent(one) : one));
    this.list.splice(0, this.list.length, ...left);
    if (this.state.spec.config.durable) this.#save();
  }

  /** The group is gone. */
  stop(): void {
    clearTimeout(this.#saving);
  }

  #save(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    this.state.store.setMeta(row, JSON.stringify(this.list));
  }
}

/** What a version before has written down, or answers, has no numbers. */
export function numbered(list: readonly (Omit<Attempt, "number"> & { number?: number })[]): Attempt[] {
  const all: Attempt[] = [];
  for (const one of list) all.push({ number: behind(all.at(-1)), ...one });
  return all;
}

const behind = (one: Attempt | undefined) => (one === undefined ? 0 : one.number + 1);

/** It has the lowest offset, and the highest where there are several. */
function spanOf(deliveryId: string): Span {
  const [first, last = first] = deliveryId.slice(deliveryId.lastIndexOf(".") + 1).split("-");
  return [Number(first), Number(last) + 1];
}

/** An attempt without anything that was said in it. */
export const silent = <T extends Pick<Attempt, "error" | "answer">>(one: T): T => ({
  ...one,
  error: one.error === undefined ? undefined : forgottenReason,
  answer: "",
});
