/**
 * What a partition that continues another one leaves to that one. Until the other has read everything, nothing goes out
 * here, and then no key of which it has unfinished records. So order per key survives a split.
 *
 *     waiting ── it has read everything ──▶ holding some keys ── it has finished them ──▶ done
 *
 * Which keys those are only the other one knows: after a restart it is asked again, before anything goes out.
 */
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { Delivery } from "./delivery.ts";

/** How far a delivery is, for the one that continues it. */
export interface Unfinished {
  /** The partition takes no more appends, and everything was read. */
  readonly caughtUp: boolean;
  /** Keys with unfinished records, in the order of their texts, behind the one that was asked for. */
  readonly keys: readonly string[];
  /** Where there are more: the last of `keys`, to be asked for next. */
  readonly after?: string;
  /** Unfinished records, about: none where there are none. */
  readonly records: number;
}

/** Characters of the keys of one answer. */
const pageCharsMax = 1_000_000;

export class Heritage {
  #stage: "waiting" | "holding" | "done";
  /** Others continue this one, and wait for what it waits for. */
  heirs = false;

  constructor(readonly delivery: Delivery) {
    const { spec, store } = delivery.state;
    const stored = store.meta("heritage");
    const inherits = spec.parent !== undefined && spec.config.order !== "none";
    this.#stage = stored === "holding" || stored === "done" ? stored : inherits ? "waiting" : "done";
    if (this.#stage !== "done") this.#inherit();
  }

  /** True while the other delivery is to be asked. */
  get pending(): boolean {
    return this.#stage !== "done";
  }

  /** True where nothing goes out before it has answered. */
  get waiting(): boolean {
    return this.delivery.state.inherits;
  }

  /** Keys of which records wait here for the other one. */
  get held(): string[] {
    const lanes = [...this.delivery.state.lanes.byId.values()];
    return lanes.filter(({ held }) => held).map(({ key }) => key as string);
  }

  /** Keys of which the other one is asked whether it has finished them. */
  get asked(): string[] {
    const { heldKeys } = this.delivery.state;
    return this.heirs && heldKeys !== undefined ? [...heldKeys] : this.held;
  }

  /** The other one starts anew: it is waited for again. */
  again(now: number): void {
    const { spec, store } = this.delivery.state;
    if (spec.parent === undefined || spec.config.order === "none") return;
    this.#stage = "waiting";
    this.#inherit();
    this.delivery.state.heldKeys = undefined;
    store.dropMeta("heritage");
    this.delivery.admitOnly(now);
  }

  /** There is no other one, and never was. */
  none(now: number): void {
    this.released(this.held, now);
    this.#become("done");
  }

  /** Takes all keys of which the other one has unfinished records, once it has read everything; those that come here. */
  take(unfinished: ReadonlySet<string>, records: number, now: number): void {
    const { state } = this.delivery;
    // What is another half's is none of this one's business: nobody would ask here to forget it.
    const keys = new Set([...unfinished].filter((key) => this.#isOurs(key)));
    if (state.spec.config.order === "partition") {
      if (records === 0) this.#become("done");
      return;
    }
    for (const key of [...state.window.keys()]) {
      const first = keys.has(key) ? state.window.lineOf(key) : undefined;
      if (first !== undefined) state.detach(first);
    }
    const free = this.held.filter((key) => !keys.has(key));
    for (const lane of state.lanes.byId.values()) {
      if (lane.kind === "key" && keys.has(lane.key as string)) lane.held = true;
    }
    state.heldKeys = keys;
    this.#become("holding");
    this.released(free, now);
  }

  /** What the other one says of the keys that were asked for: those that it has finished, and how much it has left of anything. */
  heard({ keys, records }: Pick<Unfinished, "keys" | "records">, now: number): void {
    this.released(records === 0 ? this.held : keys, now);
    if (records === 0) this.#become("done");
  }

  #isOurs(key: string): boolean {
    const { range } = this.delivery.state.spec;
    if (range === undefined) return true;
    const hash = murmur3(encodeText(key));
    return hash >= range.from && hash < range.to;
  }

  /** The other one has finished these keys. */
  released(keys: Iterable<string>, now: number): void {
    const { state, reader } = this.delivery;
    const left = state.heldKeys === undefined ? undefined : new Set(state.heldKeys);
    for (const key of keys) {
      left?.delete(key);
      const lane = state.lanes.ofKey(key);
      if (lane === undefined || !lane.held) continue;
      lane.held = false;
      reader.lanes.settle(lane, now);
    }
    state.heldKeys = left;
    state.save();
    if (this.#stage === "holding" && left?.size === 0) this.#become("done");
  }

  /** What the delivery that continues this one is answered: its keys behind one, as many as an answer takes. */
  unfinished(after = ""): Unfinished {
    const keys: string[] = [];
    let chars = 0;
    for (const key of [...this.#keys()].filter((key) => key > after).sort()) {
      if (chars > pageCharsMax) return { ...this.left, keys, after: keys[keys.length - 1] };
      keys.push(key);
      chars += key.length;
    }
    return { ...this.left, keys };
  }

  /** Which of these keys are finished here. */
  finished(keys: readonly string[]): {
    readonly caughtUp: boolean;
    readonly keys: readonly string[];
    readonly records: number;
  } {
    const { left } = this;
    const unfinished = this.#keys();
    // What is yet to be read, as after a restart, may be of any key; but for those that an incident lets go ahead.
    const isOver = left.caughtUp ? (key: string) => !unfinished.has(key) : (key: string) => this.#isThrough(key);
    return { ...left, keys: keys.filter(isOver) };
  }

  /** Another text whenever something has been finished of what those that continue it wait for. */
  get progress(): string {
    const { heldKeys, lanes } = this.delivery.state;
    return `${this.left.records} ${heldKeys?.size ?? 0} ${lanes.made}`;
  }

  /** How much there is left here, for those that continue it. */
  get left(): { readonly caughtUp: boolean; readonly records: number } {
    const { state } = this.delivery;
    const caughtUp = !state.inherits && state.sealed && state.known !== undefined && state.cursor >= state.known;
    // What this one waits for itself is unfinished, whether there is a record of it here or not.
    const through = [...(state.lanes.only ?? [])].filter((key) => this.#isThrough(key)).length;
    const records = state.window.size + state.lanes.size - through;
    return { caughtUp, records: records + (this.pending || !caughtUp ? 1 : 0) };
  }

  /** Whether the lane of a key, which goes ahead in an incident, has come to the end and finished it all. */
  #isThrough(key: string): boolean {
    const { lanes, sealed, known, heldKeys } = this.delivery.state;
    const lane = lanes.only?.has(key) ? lanes.ofKey(key) : undefined;
    if (lane === undefined || lane.held || heldKeys?.has(key) || lane.state !== "open") return false;
    return sealed && known !== undefined && lane.read >= known && lane.queue.length === 0;
  }

  /** Nothing goes out before the other one was asked, not even of lanes that go ahead. */
  #inherit(): void {
    const { lanes } = this.delivery.state;
    this.delivery.state.inherits = true;
    for (const lane of lanes.byId.values()) {
      if (lane.kind !== "key") continue;
      lane.held = true;
      lanes.hungry.delete(lane);
    }
  }

  #keys(): Set<string> {
    const { window, lanes, heldKeys } = this.delivery.state;
    const keys = new Set(heldKeys);
    for (const key of window.keys()) keys.add(key);
    for (const { kind, key } of lanes.byId.values())
      if (kind === "key" && !this.#isThrough(key as string)) keys.add(key as string);
    return keys;
  }

  #become(stage: "holding" | "done"): void {
    const { state } = this.delivery;
    state.inherits = false;
    if (stage === "done") state.heldKeys = undefined;
    if (stage === this.#stage) return;
    this.#stage = stage;
    state.store.setMeta("heritage", stage);
  }
}
