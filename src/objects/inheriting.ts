/**
 * What a delivery asks of the one on the partition that its own continues, and what it tells those that continue its own. The
 * answer is waited for in growing pauses, as messages may be lost; whoever finishes something says so at once.
 */
import type { Heritage } from "../delivery/heritage.ts";
import { delivery, type Env } from "./stubs.ts";

const pauseMs = 250;
/** How long the pauses become: until the other partition is read; and while keys of it are held, for as long as they are parked. */
const [waitingMsMax, holdingMsMax] = [5_000, 300_000];
const tellMs = 50;
/** After one that is to hear of a new place could not be reached; of news, for which it may ask, the first of growing pauses. */
const retryMs = 1_000;
/** In the end that is a minute after the first. */
const tellsAgainMax = 6;
const row = "heirs";

export class Inheriting {
  /** The group is gone. */
  stopped = false;
  #pauses = 0;
  #dueAt = 0;
  /** When it was asked last, and of which keys; those that wait here since then are asked for soon. */
  #askedAt = 0;
  #asked: ReadonlySet<string> = new Set();
  readonly #heirs: Set<number>;
  #telling: ReturnType<typeof setTimeout> | undefined;
  /** Heirs that could not be told, and are told again. */
  readonly #tellAgain = new Map<number, ReturnType<typeof setTimeout>>();
  /** How far it had come when the heirs were told last. */
  #told = "";
  /** The other one has said that there is something to be asked. */
  #news = false;
  /** When those that are to hear of a new place are told again, in ms since 1970. */
  #tellAt = 0;

  constructor(
    readonly env: Env,
    /** The catalog's name for the group's deliveries. */
    readonly id: string,
    readonly heritage: Heritage,
  ) {
    this.#heirs = new Set(JSON.parse(this.#store.meta(row) ?? "[]"));
    heritage.heirs = this.#heirs.size > 0;
  }

  /** When the other delivery is to be asked, in ms since 1970; what holds nothing back, for nobody, asks nobody. */
  get dueAt(): number {
    const { heritage } = this;
    if (!heritage.pending) return Number.POSITIVE_INFINITY;
    const { waiting, held, heirs } = heritage;
    // The other one may have finished it long ago, when nobody here waited for it.
    if (held.some((key) => !this.#asked.has(key))) return Math.min(this.#dueAt, this.#askedAt + pauseMs);
    return waiting || this.#news || heirs || held.length > 0 ? this.#dueAt : Number.POSITIVE_INFINITY;
  }

  /** When somebody is to be told of a new place, in ms since 1970. */
  get tellAt(): number {
    return this.heritage.delivery.state.unheard.size > 0 ? this.#tellAt : Number.POSITIVE_INFINITY;
  }

  /** Tells those that continue this one that it begins anew. True where all of them have heard. */
  async tellUnheard(): Promise<boolean> {
    const { unheard } = this.heritage.delivery.state;
    try {
      for (let heir = unheard.next; heir !== undefined && !this.stopped; heir = unheard.next) {
        this.#tellAt = Date.now() + retryMs;
        await delivery(this.env, this.id, heir).inherit(true);
        if (!this.stopped) unheard.heard(heir);
      }
    } catch (error) {
      console.error("delivery:", (error as Error).message);
    }
    return unheard.size === 0;
  }

  /** The other one begins anew, and so does this one, for those that continue it: all of them have heard when it returns. */
  async beginAnew(): Promise<void> {
    this.heritage.again(Date.now());
    this.heritage.delivery.state.unheard.add([...this.#heirs]);
    if (!(await this.tellUnheard()))
      throw new Error("one that continues this partition could not be told that it begins anew");
  }

  /** The other one has news: it is asked at once. */
  news(): void {
    this.#pauses = 0;
    this.#dueAt = 0;
    this.#news = true;
  }

  /** Asks, if it is time. */
  async ask(): Promise<void> {
    const now = Date.now();
    const { heritage } = this;
    if (now < this.dueAt) return;
    const { spec } = heritage.delivery.state;
    if (spec.parent === undefined) return heritage.none(now);
    this.#news = false;
    this.#askedAt = now;
    const before = heritage.waiting ? -1 : heritage.asked.length;
    try {
      if (heritage.waiting) await this.#askAll(spec.parent, spec.partition);
      else await this.#askHeld(spec.parent, spec.partition);
    } catch (error) {
      if (heritage.waiting) throw error;
      // What waits for nobody need not wait for one that cannot be reached.
      console.error("delivery:", (error as Error).message);
      this.#news = true;
      this.#dueAt = Date.now() + retryMs;
      return;
    }
    const moved = before !== (heritage.waiting ? -1 : heritage.asked.length);
    this.#pauses = moved ? 0 : this.#pauses + 1;
    const max = heritage.waiting ? waitingMsMax : holdingMsMax;
    // News that came meanwhile may be newer than the answer.
    this.#dueAt = this.#news ? 0 : Date.now() + Math.min(max, pauseMs * 2 ** Math.min(this.#pauses, 20));
    // What is done with here is so for those that continue this one.
    this.changed();
  }

  /** Somebody continues this partition, and is to be told. */
  addHeir(partition: number): void {
    if (this.#heirs.has(partition)) return;
    this.#heirs.add(partition);
    this.heritage.heirs = true;
    this.#store.setMeta(row, JSON.stringify([...this.#heirs]));
    // For it every key is asked for, and not only those that wait here.
    this.news();
  }

  /** Something may have been finished. */
  changed(): void {
    const { heritage } = this;
    const { lanes } = heritage.delivery.state;
    const tells = this.#heirs.size > 0 && (heritage.left.caughtUp || lanes.only !== undefined);
    if (!tells || heritage.progress === this.#told) return;
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#told = heritage.progress;
      for (const heir of this.#heirs) this.#tell(heir);
    }, tellMs);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.#telling);
    for (const again of this.#tellAgain.values()) clearTimeout(again);
    this.#tellAgain.clear();
  }

  /** One that could not be told is told again, as it would ask by itself in minutes only; one that stays away is left to that. */
  #tell(heir: number, before = 0): void {
    clearTimeout(this.#tellAgain.get(heir));
    this.#tellAgain.delete(heir);
    delivery(this.env, this.id, heir)
      .inherit(false)
      .catch(() => {
        // What it was told since, or is about to be, speaks for this too.
        if (this.stopped || before >= tellsAgainMax || this.#tellAgain.has(heir)) return;
        const again = setTimeout(() => this.#tell(heir, before + 1), retryMs * 2 ** before);
        this.#tellAgain.set(heir, again);
      });
  }

  /** Every key that the other one has unfinished: a page after another. */
  async #askAll(parent: number, heir: number): Promise<void> {
    const keys = new Set<string>();
    const { forgotten } = this.heritage.delivery.state;
    const { count } = forgotten;
    for (let after: string | undefined; ; ) {
      const call = { heir, ...(after === undefined ? {} : { after }) };
      const answer = await delivery(this.env, this.id, parent).unfinished(call);
      // One that is not there yet will be: the catalog knows that the partition holds something.
      // And what was forgotten meanwhile is asked for again.
      if (this.stopped || !answer.ok || count !== forgotten.count) return;
      if (!answer.value.caughtUp) {
        // In an incident keys go ahead of what is read.
        if (this.heritage.delivery.state.lanes.only !== undefined) await this.#askHeld(parent, heir);
        return;
      }
      for (const key of answer.value.keys) keys.add(key);
      after = answer.value.after;
      if (after === undefined) return this.heritage.take(keys, answer.value.records, Date.now());
    }
  }

  async #askHeld(parent: number, heir: number): Promise<void> {
    const held = this.heritage.asked;
    this.#asked = new Set(held);
    const answer = await delivery(this.env, this.id, parent).unfinished({ heir, held });
    if (answer.ok && !this.stopped) this.heritage.heard(answer.value, Date.now());
  }

  get #store() {
    return this.heritage.delivery.state.store;
  }
}
