/** A member on a WebSocket. Deliveries are taken as they come; what it is refused is looked at when it comes too. */
import type { Json } from "../frame/http.ts";
import { delivered } from "./delivering.ts";
import { GroupSocket } from "./group-socket.ts";
import { note } from "./receiving.ts";
import type { ScriptRun } from "./script.ts";
import type { Lease } from "./tracked.ts";
import { type Call, expected, settle } from "./verdicts.ts";

/** No message is on its way for so long. */
const wayMs = 5000;

export class Member {
  credits = 0;
  readonly #leases = new Set<Lease>();
  readonly #asked = new Map<string, { call: Call; sent: number }>();
  readonly #socket: GroupSocket;
  #since = 0;
  #ended = false;

  constructor(
    readonly run: ScriptRun,
    readonly name: string,
  ) {
    this.#socket = new GroupSocket(run.round, {
      group: run.group,
      member: name,
      pingMs: run.model.config.heartbeatMs / 3,
      onMessage: (message) => this.#take(message),
      onClose: (code) => this.#closed(code),
    });
  }

  open(): Promise<void> {
    this.#since = this.run.now();
    return this.#socket.open();
  }

  get usable(): boolean {
    return !this.#ended;
  }

  credit(credits: number): void {
    this.credits += credits;
    this.run.model.askers.add(this);
    this.run.note([], () => `${this.name} gives ${credits} credits, and has ${this.credits}`);
    this.#socket.send({ type: "credit", credits });
  }

  settle(call: "ack" | "nack", leases: readonly Lease[]): void {
    const sent = this.run.now();
    for (const lease of leases) this.#asked.set(lease.receipt as string, { call, sent });
    this.#socket.send({ type: call, receipts: leases.map(({ receipt }) => receipt) });
  }

  /** A refusal that must come, and has not come yet. */
  awaited(leases: readonly Lease[]): boolean {
    return leases.some((lease) => {
      const asked = this.#asked.get(lease.receipt as string);
      if (asked === undefined) return false;
      return !expected(this.run.model, lease, asked.call, asked.sent, this.run.now()).settled;
    });
  }

  /** What was not refused by now was taken, or will be refused yet. */
  taken(leases: readonly Lease[]): void {
    const { model } = this.run;
    for (const lease of leases) {
      const asked = this.#asked.get(lease.receipt as string);
      if (asked === undefined) continue;
      const { settled, refused } = expected(model, lease, asked.call, asked.sent, this.run.now());
      if (settled && refused) {
        if (asked.call === "ack") lease.record.perhapsDone = true;
        else lease.doubtful = true;
        continue;
      }
      this.#asked.delete(lease.receipt as string);
      this.#settled(lease, asked.call, true, asked.sent);
      if (asked.call === "ack" && lease.record.state === "done") lease.ackedBySocket = asked.sent;
    }
    for (const record of model.records.values()) if (record.lease?.end === "acked") this.#leases.delete(record.lease);
  }

  #settled(lease: Lease, call: Call, taken: boolean, sent: number): void {
    const { run } = this;
    const { model } = run;
    const now = run.now();
    const { settled, refused, because } = expected(model, lease, call, sent, now);
    const about = model.subjects(lease.record);
    run.note(about, () => `${call} of ${lease.record} on the socket of ${this.name}: ${taken ? "settled" : "refused"}`);
    run.round.checks.that(
      "receipts",
      taken ? settled : refused,
      () =>
        `${call} of ${lease.receipt} (${lease.record}) on a socket was ${taken ? "settled" : "refused"}; ${because}`,
      about,
    );
    settle(model, lease, call, taken, sent, now);
  }

  #take(message: Json): void {
    try {
      this.#message(message);
    } catch (error) {
      this.run.failed(error);
    }
  }

  #message(message: Json): void {
    const { run } = this;
    if (message.type === "deliveries") this.#deliveries(message.deliveries);
    if (message.type === "refused") this.#refused(message.refused);
    run.round.checks.that(
      "accepted",
      ["ready", "deliveries", "refused", "split", "lost"].includes(message.type),
      () => `the socket of ${this.name} was told ${JSON.stringify(message)}`,
    );
  }

  #deliveries(deliveries: Json[]): void {
    const { run } = this;
    const now = run.now();
    const from = Math.max(this.#since, now - wayMs);
    for (const delivery of deliveries) note(run, delivery, this.name);
    this.credits -= deliveries.length;
    run.round.checks.that(
      "credits",
      this.credits >= 0,
      () => `${this.name} got ${-this.credits} more than it had credits for`,
    );
    run.appending
      .then(() => {
        if (this.credits <= 0) run.model.askers.delete(this);
        for (const delivery of deliveries) this.#leases.add(delivered(run.model, delivery, this.name, from, now));
      })
      .catch((error) => run.failed(error));
  }

  #refused(refused: Json[]): void {
    for (const { receipt } of refused) {
      const lease = this.run.model.receipts.get(receipt);
      const asked = this.#asked.get(receipt);
      this.#asked.delete(receipt);
      if (lease === undefined || asked === undefined) continue;
      if (asked.call === "ack") lease.record.perhapsDone = false;
      this.#settled(lease, asked.call, false, asked.sent);
    }
  }

  /** Goes away. What it held goes back, and counts as failed. */
  leave(politely: boolean): void {
    this.#socket.leave(politely);
    this.gone();
  }

  #closed(code: number): void {
    this.run.note([], () => `the socket of ${this.name} was closed with ${code}`);
    this.gone();
  }

  gone(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.run.model.askers.delete(this);
    const { run } = this;
    const now = run.now();
    for (const lease of this.#leases) {
      if (lease.end !== undefined) continue;
      // One before it may have run out first.
      if (run.model.mayBeWithdrawn(lease.record, now)) lease.doubtful = true;
      lease.end = "left";
      lease.endedAt = now;
      if (run.model.config.order === "partition") run.model.withdrawBehind(lease.record, true);
    }
    for (const [receipt, { call }] of this.#asked) {
      const lease = run.model.receipts.get(receipt);
      if (lease !== undefined && call === "nack") lease.doubtful = true;
    }
    if (this.credits > 0) run.maybeReceived(this.name, this.#since, now + 1000, 1000);
    this.run.members.delete(this.name);
  }
}
