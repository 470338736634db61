/** A client that does nothing wrong, beside all that. It is answered soon, and what it was told is stored is there. */
import { availableParallelism, loadavg } from "node:os";
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import type { Stalls } from "../frame/stalls.ts";
import { eventually, sleep } from "../frame/time.ts";

/** What takes longer is a client that was forgotten; more where more wants to run than the machine has processors. */
const soonMs = 10_000;
const crowding = () => Math.min(4, Math.max(1, (loadavg()[0] ?? 0) / availableParallelism()));
const pauseMs = 150;
const drainMs = 40_000;
const stream = "/streams/kept";

export class Beside {
  #sent = 0;
  readonly #acked = new Set<number>();
  readonly #received = new Set<number>();
  #failed: Error | undefined;
  /** What goes on just now. */
  amid = "";
  #over = false;
  #running: Promise<void> = Promise.resolve();

  constructor(
    readonly round: Round,
    readonly stalls: Stalls,
  ) {}

  async start(): Promise<void> {
    const { round } = this;
    await round.must("PUT", stream, { body: { partitions: 2 } });
    await round.must("PUT", `${stream}/groups/own`, { body: { start: "earliest", ackTimeoutMs: 5000 } });
    this.#running = Promise.all([this.#loop(() => this.#append()), this.#loop(() => this.#consume())]).then(() => {});
  }

  /** What it found while others were at work. */
  rethrow(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async #loop(turn: () => Promise<void>): Promise<void> {
    try {
      while (!this.#over && !this.round.stopped.aborted) {
        await turn();
        await sleep(pauseMs, this.round.stopped);
      }
    } catch (error) {
      if (!this.round.stopped.aborted) this.#failed ??= error as Error;
    }
  }

  /** A kill is not waited for in good time, and loses what is under way. */
  async #timed<T>(ask: () => Promise<T>): Promise<T | undefined> {
    const { round } = this;
    const { deaths } = round;
    const from = performance.now();
    const disturbed = () => round.restarting || round.deaths !== deaths;
    let answer: T;
    try {
      answer = await ask();
    } catch (error) {
      if (error instanceof Lost && disturbed()) return undefined;
      throw error;
    }
    const took = performance.now() - from;
    const soon = soonMs * crowding() + this.stalls.worst(took);
    const { amid } = this;
    const words = () => `a client that does nothing wrong waited ${Math.round(took)} ms for an answer, amid ${amid}`;
    round.checks.that("served", disturbed() || took < round.patient(soon), words, [amid]);
    return answer;
  }

  async #append(): Promise<void> {
    const n = this.#sent++;
    const records = [{ key: `k${n % 5}`, data: n }];
    await this.#timed(async () => {
      await this.round.must("POST", `${stream}/records`, { body: { records } });
      this.#acked.add(n);
    });
    this.round.history.note(["kept"], () => `${n} was sent`);
    await this.#timed(() => this.round.must("GET", `${stream}/records?from=-1`));
  }

  async #consume(): Promise<void> {
    const { deliveries = [] } =
      (await this.#timed(() => this.round.must("POST", `${stream}/groups/own/receive`, { body: { max: 50 } }))) ?? {};
    if (deliveries.length === 0) return;
    for (const { data } of deliveries) this.#received.add(data);
    const receipts = deliveries.map(({ receipt }: { receipt: string }) => receipt);
    await this.#timed(() => this.round.must("POST", `${stream}/groups/own/ack`, { body: { receipts } }));
  }

  async end(): Promise<void> {
    this.#over = true;
    await this.#running;
    this.rethrow();
    await this.#isThere();
    const drained = async () => {
      await this.#consume();
      return [...this.#acked].every((n) => this.#received.has(n));
    };
    const all = await eventually(drained, this.round.patient(drainMs), 50);
    const missing = () =>
      `${[...this.#acked].filter((n) => !this.#received.has(n)).slice(0, 10)} never came to the group`;
    this.round.checks.that("kept", all === true, missing, ["kept"]);
  }

  /** Each once, those of a key in their order, and nothing that was not sent. */
  async #isThere(): Promise<void> {
    const { checks } = this.round;
    const found = new Set<number>();
    const newest = new Map<string, number>();
    for (let from = "earliest", more = true; more; ) {
      const page = await this.round.must("GET", `${stream}/records?limit=10000&from=${encodeURIComponent(from)}`);
      for (const { key, data } of page.records) {
        const own = Number.isInteger(data) && data < this.#sent && key === `k${data % 5}`;
        const fresh = own && !found.has(data) && data > (newest.get(key) ?? -1);
        checks.that("kept", fresh, () => `${JSON.stringify(data)} of ${key} is not where it was sent`, ["kept"]);
        found.add(data);
        newest.set(key, data);
      }
      from = page.cursor ?? page.next;
      more = !page.upToDate;
    }
    const lost = [...this.#acked].filter((n) => !found.has(n));
    checks.that("kept", lost.length === 0, () => `${lost.slice(0, 10)} were stored, and are gone`, ["kept"]);
  }
}
