/**
 * A push to a receiver that answers in every way, while the group is changed, paused, trimmed, and dies. An attempt is charged to
 * a record for a request that was about it alone, and was answered with a failure, or not at all; what was taken is not sent
 * again, but after a crash; and once the receiver is good, everything comes to its end.
 */
import fc from "fast-check";
import { expect, vi } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { operate } from "../../src/objects/operating.ts";
import { type Rig, value } from "./delivery.ts";
import { check } from "./delivery-check.ts";
import { damage, look } from "./delivery-holes.ts";
import { type Asked, PushWorld, type Reply, targetOf } from "./push-world.ts";

/** What becomes of a request with a key in it: the first of these that one of its keys has. `late`: done, when nobody waits any more. */
const habits = ["hang", "late", "refuse", "slow", "good"] as const;
type Habit = (typeof habits)[number];
/** What the receiver answers to everything. */
type Mood = "well" | "429" | "503" | "503 for a while" | "410" | "no";

const keys = ["a", "b", "c", "d"] as const;
const key = fc.constantFrom(...keys);
const several = fc.array(key, { minLength: 1, maxLength: 6 });
const one = <T extends string>(name: T) => fc.constant(name);

const config = fc.record<Partial<GroupConfig>>({
  onFailure: fc.constantFrom("block", "park", "skip"),
  maxDeliveries: fc.integer({ min: 1, max: 4 }),
  backoff: fc.constantFrom([50], [1_000, 5_000]),
  ackTimeoutMs: fc.constantFrom(1_000, 30_000),
  batch: fc.constantFrom(
    { records: 4, waitMs: 0, bytes: 1_000_000 },
    { records: 4, waitMs: 300, bytes: 1_000_000 },
    { records: 2, waitMs: 0, bytes: 10 },
  ),
  filter: fc.constantFrom(null, null, null, { key: "a" }),
  maxInFlight: fc.constantFrom(1, 4, 100),
});
const target = fc.record({
  format: fc.constantFrom("binary", "batch"),
  concurrency: fc.integer({ min: 1, max: 4 }),
  timeoutMs: fc.constantFrom(1_000, 4_000),
  validate: fc.constantFrom(false, false, true),
  url: fc.constantFrom("http://127.0.0.1:9/", "http://127.0.0.1:9/", "http://127.0.0.1:9/other"),
});
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: one("append"), keys: several }) },
  { weight: 6, arbitrary: fc.record({ do: one("pass"), ms: fc.constantFrom(1, 30, 400, 2_500, 12_000) }) },
  { weight: 4, arbitrary: fc.record({ do: one("habit"), key, is: fc.constantFrom(...habits) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: one("mood"),
      is: fc.constantFrom<Mood[]>("well", "well", "429", "503", "503 for a while", "410", "no"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: one("change"), config, target }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("crash", "split") }) },
  { weight: 1, arbitrary: fc.record({ do: one("apart"), is: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("pause", "resume", "resume", "redrive") }) },
  { weight: 1, arbitrary: fc.record({ do: one("trim"), share: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  { weight: 1, arbitrary: fc.record({ do: one("damage"), pick: fc.nat(5) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const answerMs = 5;
/** What was taken is noted after so long. */
const notedMs = 1_000;
const isFailure = (status: number | undefined, busy: boolean) =>
  status === undefined || (status >= 300 && status !== 410 && !busy);

export class Trial {
  readonly world: PushWorld;
  readonly #habits = new Map<string, Habit>();
  mood: Mood = "well";
  #config: Partial<GroupConfig>;
  /** Failures of each record alone; and since when it was taken. */
  readonly #failures = new Map<string, number>();
  readonly #taken = new Map<string, number>();
  readonly #again: string[] = [];
  /** A crash may forget what was charged just before it. */
  #died = false;

  constructor(open: () => Sql, config: Partial<GroupConfig>, target: object) {
    this.#config = config;
    this.world = new PushWorld(open, () => "good", config, target);
    this.world.answers = (asked) => this.#answer(asked);
    this.world.ended = (...ended) => this.#ended(...ended);
    this.world.agrees = () => this.mood !== "no";
  }

  get #rigs() {
    return this.world.places.map(({ rig }) => rig);
  }

  /** An order to every partition of the group. */
  async #operate(order: "pause" | "resume" | "redrive"): Promise<void> {
    for (const [number, rig] of this.#rigs.entries()) {
      const keeper = this.world.at(number);
      if (order === "redrive") await operate(keeper, order, "all", undefined);
      else if (order === "resume") await operate(keeper, order, { version: ++rig.version });
      else await operate(keeper, order, "an operator", Date.now(), ++rig.version);
    }
  }

  async run(step: Step): Promise<void> {
    const { world } = this;
    const [rig] = this.#rigs;
    switch (step.do) {
      case "append":
        world.append(...step.keys);
        return;
      case "pass":
        await vi.advanceTimersByTimeAsync(step.ms);
        return;
      case "habit":
        this.#habits.set(step.key, step.is);
        return;
      case "mood":
        this.mood = step.is;
        return;
      case "change":
        this.change({ ...step.config, push: targetOf(step.target) });
        return;
      case "crash":
        // What has begun is sent: a dead object sends nothing more, which the world cannot keep it from.
        await vi.advanceTimersByTimeAsync(0);
        this.#died = true;
        world.crash();
        // What was taken just before may not have been noted.
        for (const [name, at] of this.#taken) if (at > Date.now() - notedMs) this.#taken.delete(name);
        return;
      case "pause":
      case "resume":
      case "redrive":
        await this.#operate(step.do);
        return;
      case "split":
        if (world.places.length < 5) world.split();
        return;
      case "apart":
        world.apart = step.is;
        return;
      case "trim":
        value(rig.log.trim(Math.round(step.share * rig.log.span.tail), Date.now()));
        return;
      case "damage":
        damage(rig, step.pick);
        return;
    }
  }

  /** As the object has it do so. */
  change(config: Partial<GroupConfig>): void {
    this.#config = { ...this.#config, ...config };
    this.world.config = this.#config;
    for (const [number, rig] of this.#rigs.entries()) {
      const keeper = this.world.at(number);
      rig.now = Date.now();
      rig.configure(this.#config);
      keeper.pusher.reset();
      keeper.configured();
    }
  }

  check(): void {
    expect(this.#again, "taken, and sent again").toEqual([]);
    for (const [number, rig] of this.#rigs.entries()) this.#check(number, rig);
  }

  #check(number: number, { delivery: { state }, log }: Rig): void {
    check(state);
    for (const offset of Array(log.span.tail).keys()) {
      const letter = state.letters.get(offset);
      const lane = state.lanes.at(offset);
      const own = lane === undefined || letter?.state === "dead" ? 0 : lane.attempts;
      const attempts = (letter?.attempts ?? 0) + own;
      const failures = this.#failures.get(`${number}.${offset}`) ?? 0;
      expect(attempts, `attempts of ${offset}`).toBeLessThanOrEqual(failures);
      if (!this.#died && (letter !== undefined || lane !== undefined)) expect(attempts, `of ${offset}`).toBe(failures);
    }
  }

  /** All is well from now on: everything is delivered in a few minutes, and what no operator has to see to by itself. */
  async finish(): Promise<void> {
    this.mood = "well";
    this.world.apart = false;
    this.#habits.clear();
    await vi.advanceTimersByTimeAsync(120_000);
    const seen = this.#rigs.map((rig) => rig.status());
    if (seen.every(({ paused, deadLetters }) => paused === undefined && deadLetters === 0))
      expect(this.#isOver(), "goes on by itself").toBe(true);
    this.change({ filter: null });
    await this.run({ do: "resume" });
    await this.run({ do: "redrive" });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(this.#isOver(), "goes on when an operator has seen to it").toBe(true);
    this.check();
    for (const rig of this.#rigs) {
      expect(rig.status()).toMatchObject({ lag: 0, inFlight: 0, paused: undefined });
      const { lanes, window } = rig.delivery.state;
      expect([lanes.size, window.size]).toEqual([0, 0]);
    }
  }

  #isOver(): boolean {
    return this.#rigs.every((rig) => {
      look(rig, rig.delivery);
      const { lag, deadLetters } = rig.status();
      return lag === 0 && deadLetters === 0;
    });
  }

  #answer(asked: Asked): Reply {
    for (const { name } of asked) {
      if (this.#taken.has(name)) this.#again.push(name);
    }
    const { timeoutMs } = this.#config.push ?? targetOf({});
    if (this.mood === "429") return { status: 429, headers: { "retry-after": "2" }, afterMs: answerMs };
    if (this.mood === "503") return { status: 503, afterMs: answerMs };
    if (this.mood === "503 for a while") return { status: 503, headers: { "retry-after": "3" }, afterMs: answerMs };
    if (this.mood === "410") return { status: 410, afterMs: answerMs };
    const habit = habits.find((habit) => asked.some(({ key }) => this.#habits.get(key as string) === habit)) ?? "good";
    if (habit === "hang") return { afterMs: answerMs };
    if (habit === "refuse") return { status: 500, afterMs: answerMs };
    return { status: 204, afterMs: { late: timeoutMs + 3_000, slow: 700, good: answerMs }[habit] };
  }

  #ended(asked: Asked, { status, headers }: Partial<Reply>, life: number): void {
    if (life !== this.world.life) return;
    const taken = status !== undefined && status < 300;
    for (const { name } of taken ? asked : []) this.#taken.set(name, Date.now());
    const busy = status === 429 || (status === 503 && headers?.["retry-after"] !== undefined);
    if (asked.length > 1 || !isFailure(status, busy)) return;
    const [{ name }] = asked;
    this.#failures.set(name, (this.#failures.get(name) ?? 0) + 1);
  }
}

type History = [config: Partial<GroupConfig>, target: object, steps: Step[]];

const history: fc.Arbitrary<History> = fc.tuple(
  config.map((config) => ({ ...config, filter: null })),
  target,
  fc.array(step, { minLength: 1, maxLength: 30, size: "max" }),
);

export const pushProperty = (open: () => Sql) =>
  fc.asyncProperty(history, async ([config, target, steps]) => {
    vi.useFakeTimers();
    const trial = new Trial(open, config, target);
    try {
      for (const one of steps) {
        await trial.run(one);
        trial.check();
      }
      await trial.finish();
    } finally {
      trial.world.end();
    }
  });

/** Histories that once broke a promise. */
export const foundPushes: [History][] = [
  // Of a partition that was sealed while its delivery was being told of a record, the delivery never heard, and the halves waited for ever.
  [
    [
      { onFailure: "block", maxDeliveries: 1, backoff: [50], maxInFlight: 1 },
      { format: "binary", concurrency: 1, timeoutMs: 1_000 },
      [{ do: "pass", ms: 1 }, { do: "append", keys: ["a"] }, { do: "split" }, { do: "append", keys: ["a"] }],
    ],
  ],
];
