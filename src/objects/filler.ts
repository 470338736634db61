/** Reads from the partition what a delivery wishes. One run at a time; whoever comes meanwhile waits for it. */
import type { Delivery } from "../delivery/delivery.ts";
import type { Lane } from "../delivery/item.ts";
import type { Wish } from "../delivery/wish.ts";
import { readThrough } from "./cold.ts";
import type { Inheriting } from "./inheriting.ts";
import { archiveReader, type Env, partition } from "./stubs.ts";

/** Reads in one run, so that a delivery that is never satisfied lets others in. */
const roundsMax = 64;

export class Filler {
  #running: Promise<void> | undefined;

  constructor(
    readonly env: Env,
    /** The catalog's name for the group's deliveries. */
    readonly id: string,
    readonly core: Delivery,
    readonly inheriting: Inheriting,
  ) {}

  get busy(): boolean {
    return this.#running !== undefined;
  }

  /** Whether there is something to ask for, or to read. */
  wants(enough: () => boolean): boolean {
    return this.inheriting.dueAt <= Date.now() || this.#wishes(enough).length > 0;
  }

  /** Reads until nothing is wished, or there is `enough`. */
  async fill(enough: () => boolean): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    if (!this.wants(enough)) return;
    await this.#alone(() => this.#run(enough));
  }

  /** What became of leases of before a restart shows, in letters too, when their records are read again. */
  async readOverdue(): Promise<void> {
    const { leases } = this.core.state;
    if (leases.isOverdue(Date.now())) await this.fill(() => !leases.isOverdue(Date.now()));
  }

  /** Lanes that may read learn what their first records are. Where they cannot, whoever asks goes on all the same. */
  async learnLanes(): Promise<void> {
    const { lanes } = this.core.state;
    await this.fill(() => lanes.hungry.size === 0).catch(() => {});
  }

  /** Brings a lane its next records now, whether it is time for them or not. What one is parked at is with the dead letters. */
  async bring(lane: Lane): Promise<void> {
    const { state, reader } = this.core;
    // In order a record that failed stays in the window, which a restart has emptied.
    if (lane.kind === "whole") return this.fill(() => state.window.items.has(lane.from));
    // A key's lane reads no further than the window, which a restart has put back.
    if (lane.exact && reader.lanes.hasRead(lane)) await this.fill(() => !reader.lanes.hasRead(lane));
    for (let round = 0; round < roundsMax; round++) {
      while (this.#running !== undefined) await this.#running;
      if (this.inheriting.stopped) return;
      const isOver = state.lanes.byId.get(lane.id) !== lane || lane.state === "parked" || lane.queue.length > 0;
      const wish = isOver ? undefined : reader.lanes.wish(lane, Date.now());
      if (wish === undefined) return;
      // A page may hold records of other keys alone.
      await this.#alone(() => this.#read(wish));
    }
  }

  async #alone(work: () => Promise<void>): Promise<void> {
    this.#running = work();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  async #run(enough: () => boolean): Promise<void> {
    await this.inheriting.ask();
    for (let round = 0; round < roundsMax && !this.inheriting.stopped; round++) {
      const wishes = this.#wishes(enough);
      if (wishes.length === 0) return;
      await Promise.all(wishes.map((wish) => this.#read(wish)));
    }
  }

  /** A lane that may go on, and has nothing at hand, is read for however much others have. */
  #wishes(enough: () => boolean): Wish[] {
    const wishes = this.core.reader.wishes(Date.now());
    return enough() ? wishes.filter(({ lane }) => lane !== undefined) : wishes;
  }

  async #read(wish: Wish): Promise<void> {
    const { state, reader } = this.core;
    const { logId, partition: number } = state.spec;
    // In an incident the window stands still, and the lanes are the ones that come to the tail.
    const follows = wish.lane === undefined || state.lanes.only !== undefined;
    const follower = follows ? { follower: this.id } : {};
    const where = { logId, partition: number, blobs: archiveReader(this.env) };
    const { count } = state.forgotten;
    let cold = false;
    const answer = await readThrough(where, { ...wish, ...follower, waitMs: 0 }, async (call) => {
      const page = await partition(this.env, logId, number, undefined).read(call);
      cold = page.ok && page.value.cold !== undefined;
      return page;
    });
    // The group is gone; or it may hold what was forgotten meanwhile, and is read again.
    if (this.inheriting.stopped || count !== state.forgotten.count) return;
    if (answer.ok) {
      reader.take(wish, answer.value, Date.now());
      // Of who came to the tail in the archive the partition does not know that it waits there: it is asked once more.
      if (cold && answer.value.to >= answer.value.tail) state.known = undefined;
    } else if ("moved" in answer) state.known = state.cursor;
    else if (answer.refusal.code === "trimmed") reader.trimmed(wish, Number(answer.refusal.facts?.head), Date.now());
    else if (answer.refusal.code === "past-tail") state.known = state.cursor;
    else throw new Error(answer.refusal.detail);
  }
}
