/** A group and its receiver: every request that came, and what was answered. */
import { Violation } from "../frame/checks.ts";
import { type Received, Receiver } from "../frame/receiver.ts";
import type { Round } from "../frame/round.ts";
import type { Stalls } from "../frame/stalls.ts";
import { type Event, eventsOf } from "./events.ts";
import { type Decision, decide, type Outcome } from "./habits.ts";
import { judge } from "./judge.ts";
import type { Habit, PushGroup } from "./plan.ts";
import type { Pushed } from "./records.ts";
import { secretOf } from "./signatures.ts";

/** An answer has come in time for certain when this share of the time was left, and nobody stood still for as long. */
const leftShare = 0.5;

export interface Request {
  readonly at: number;
  readonly received: Received;
  readonly deliveryId: string;
  readonly partition: number;
  readonly attempt: number;
  readonly events: readonly Event[];
  readonly status: number | undefined;
  outcome: Outcome;
  /** When the answer went out. */
  answeredAt?: number;
  readonly waitMs?: number;
  /** What may have signed it. */
  readonly secrets: readonly (readonly string[])[];
  readonly paths: readonly string[];
}

/** What all groups of a round share. */
export interface Stream {
  readonly round: Round;
  readonly path: string;
  readonly records: Map<string, Pushed>;
  readonly byKey: Map<string, Pushed[]>;
  /** When each began, and when the service was up again, in turn. */
  readonly kills: number[];
  readonly stalls: Stalls;
  /** Appends that are not answered: what they appended may be pushed before. */
  appending: number;
}

export class Watch {
  readonly name: string;
  readonly path: string;
  readonly requests: Request[] = [];
  readonly sightings = new Map<string, Request[]>();
  /** Which records each id came with, and each of these sets its id. */
  readonly named = new Map<string, string>();
  readonly names = new Map<string, string>();
  readonly receiver: Receiver;
  habit: Habit = { kind: "good" };
  /** When the present habit began. */
  habitSince = 0;
  /** Of each habit that it had: from when on. */
  readonly habits: { habit: Habit; at: number }[] = [];
  secrets: readonly (readonly string[])[];
  paths: readonly string[];
  groupId = "";
  /** Nothing may come from then on, until it goes on. */
  pausedAt: number | undefined;
  /** When the group's terms changed last: another target is another receiver. */
  updatedAt = 0;
  /** Letters that went out again, and when: from their first attempt on. */
  readonly redriven = new Map<string, number>();
  /** Requests were made that did not reach the receiver. */
  unseen = false;
  #judged = 0;
  #failure: unknown;

  constructor(
    readonly stream: Stream,
    readonly plan: PushGroup,
    readonly number: number,
  ) {
    this.name = `g${number}`;
    this.path = `${stream.path}/groups/${this.name}`;
    this.secrets = [Array.from({ length: plan.secrets }, (_, i) => secretOf(10 * number + i))];
    this.paths = ["/hook"];
    this.receiver = new Receiver(
      (received) => this.#react(received),
      (error) => this.fail(error),
    );
  }

  fail(error: unknown): void {
    this.#failure ??= this.#blamed(error);
    this.stream.round.stop();
  }

  /** Whose violation it is, so that the other groups can be left out. */
  #blamed(error: unknown): unknown {
    if (!(error instanceof Violation)) return error;
    return new Violation(error.invariant, error.words, [this.name, ...this.#scoped(error.subjects)]);
  }

  /** What it does fails as its own. */
  async own(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.fail(error);
      this.rethrow();
    }
  }

  /** Every group has a record 0.0; what concerns all of a group is in each of its histories. */
  #scoped(subjects: readonly string[]): string[] {
    return [`${this.name}:*`, ...subjects.map((subject) => `${this.name}:${subject}`)];
  }

  rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  note(subjects: readonly string[], text: () => string): void {
    const scoped = this.#scoped(subjects);
    this.stream.round.history.note(subjects.length === 0 ? scoped : scoped.slice(1), text);
  }

  async start(): Promise<void> {
    await this.receiver.open();
    await this.put({ ...this.definition(), start: "earliest" });
    const { groupId } = await this.stream.round.surely("GET", this.path);
    this.groupId = groupId;
  }

  definition() {
    const { order, onFailure, maxDeliveries, backoff, batch } = this.plan;
    return {
      order,
      onFailure,
      maxDeliveries,
      backoff,
      batch: { records: batch },
      ackTimeoutMs: 30_000,
      ...this.push(),
    };
  }

  push() {
    const { format, concurrency, timeoutMs, pauseAfterMs, validate } = this.plan;
    const url = this.receiver.url + (this.paths.at(-1) as string);
    const secrets = this.secrets.at(-1);
    return { push: { url, format, concurrency, timeoutMs, pauseAfterMs, validate, secrets } };
  }

  put(body: object): Promise<unknown> {
    this.updatedAt = this.stream.round.now();
    return this.stream.round.surely("PUT", this.path, { body });
  }

  change(habit: Habit): void {
    const now = this.stream.round.now();
    this.habits.push({ habit, at: now });
    if (habit.kind === "away") {
      this.unseen = true;
      this.receiver.close();
    } else if (this.habit.kind === "away") this.receiver.open().catch((error) => this.fail(error));
    this.receiver.keepIdle(habit.kind === "idle" ? habit.ms : 60_000);
    this.habit = habit;
    this.habitSince = now;
    this.note([], () => `the receiver is now ${JSON.stringify(habit)}`);
  }

  #react(received: Received): { reaction: Decision["reaction"]; answered?: () => void } {
    const { round, stalls } = this.stream;
    round.operations++;
    if (received.method === "OPTIONS") return { reaction: this.#handshake(received) };
    const request = this.#taken(received);
    if (typeof request === "string") {
      this.fail(new Error(`a request cannot be understood: ${request}`));
      return { reaction: { status: 500 } };
    }
    this.judge();
    return {
      reaction: request.reaction,
      answered: () => {
        const now = round.now();
        request.entry.answeredAt = now;
        if (request.entry.outcome === "open") request.entry.outcome = request.meant;
        const most = this.plan.timeoutMs * leftShare;
        const late = now - request.entry.at > most || stalls.worst(this.plan.timeoutMs) > most / 2;
        if (late && request.meant !== "fail") request.entry.outcome = "unsure";
      },
    };
  }

  #handshake({ headers }: Received): Decision["reaction"] {
    if (this.habit.kind === "no-handshake") return { status: 405 };
    const origin = String(headers["webhook-request-origin"] ?? "*");
    return { status: 200, headers: { "webhook-allowed-origin": origin, "webhook-allowed-rate": "*" } };
  }

  #taken(received: Received): { reaction: Decision["reaction"]; entry: Request; meant: Outcome } | string {
    const { round } = this.stream;
    const { plan } = this;
    let events: Event[];
    try {
      events = eventsOf(received, plan.format);
    } catch (error) {
      return `${(error as Error).message}: ${received.body.toString().slice(0, 300)}`;
    }
    const keys = events.map(({ attributes }) => attributes.partitionkey);
    const seen = events.map(({ place }, i) => ({
      place,
      key: numberOf(keys[i]),
      before: this.sightings.get(place)?.length ?? 0,
    }));
    const { reaction, outcome, waitMs } = decide(this.habit, seen, plan.timeoutMs);
    const at = round.now();
    // A connection that is reset, and a request that is left hanging, have no answer to wait for.
    const silent = typeof reaction === "string";
    const entry: Request = {
      at,
      received,
      deliveryId: String(received.headers["webhook-id"]),
      partition: Number(events[0]?.place.split(".")[0]),
      attempt: Number(received.headers["millrace-attempt"]),
      events,
      status: silent ? undefined : reaction.status,
      outcome: silent || outcome === "unsure" ? outcome : "open",
      ...(silent && { answeredAt: at }),
      ...(waitMs !== undefined && { waitMs }),
      secrets: this.secrets,
      paths: this.paths,
    };
    this.requests.push(entry);
    for (const [i, { place }] of events.entries()) {
      this.sightings.set(place, [...(this.sightings.get(place) ?? []), entry]);
      const name = keys[i] ?? "no key";
      this.note([place, name], () => requestWords(entry, place, name));
    }
    return { reaction, entry, meant: outcome };
  }

  /** Looks at the requests whose records are known by now. */
  judge(): void {
    if (this.stream.appending > 0) return;
    try {
      for (; this.#judged < this.requests.length; this.#judged++) judge(this, this.requests[this.#judged] as Request);
    } catch (error) {
      this.fail(error);
    }
  }
}

function requestWords(entry: Request, place: string, key: string): string {
  const { deliveryId, attempt, events, status, outcome } = entry;
  const among = events.length === 1 ? "" : ` among ${events.length}`;
  return `${place} (${key})${among}, attempt ${attempt}, ${deliveryId}: ${status ?? outcome}`;
}

/** `k3`, and the awkward ones: the number that the habits know the key by. */
function numberOf(key: string | undefined): number | null {
  const digits = key?.match(/\d+/)?.[0];
  return digits === undefined ? null : Number(digits);
}
