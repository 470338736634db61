/** Draws rounds of the webhook program. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type { Beat, Failing, Habit, Phase, PushGroup, RetryAfter, Sent, Theme, WebhookPlan } from "./plan.ts";

const keys = 12;
const failing: readonly Failing[] = ["500", "500", "400", "302", "garbage", "reset", "hang"];
const forms: readonly Sent["form"][] = ["number", "number", "number", "text", "binary", "none", "attributes", "long"];
const themes: readonly (readonly [number, Theme])[] = [
  [4, "poison"],
  [4, "quirks"],
  [2, "busy"],
  [1, "capped"],
  [2, "gone"],
  [1, "down"],
  [1, "away"],
  [1, "handshake"],
  [2, "moving"],
];

function quirk(random: Random): Habit {
  return random.pick<Habit>([
    { kind: "flaky", share: 0.4, times: random.int(1, 3), by: random.pick(failing) },
    { kind: "losing", share: 0.5 },
    // Shorter, and a receiver under load closes what has just arrived, each time.
    { kind: "idle", ms: random.int(50, 400) },
    { kind: "slow", ms: random.int(20, 250) },
    { kind: "late", share: 0.3, ms: random.int(20, 150) },
    { kind: "slow-body", ms: random.int(50, 400) },
    { kind: "huge-body" },
  ]);
}

const retryAfters: readonly RetryAfter[] = [
  "1",
  "2",
  "0",
  "1.5",
  "-1",
  "7, 9",
  "soon",
  "imf",
  "rfc850",
  "asctime",
  "past",
];

function busy(random: Random): Habit {
  const retryAfter = random.chance(0.15) ? undefined : random.pick(retryAfters);
  const status = retryAfter !== undefined && random.chance(0.4) ? 503 : 429;
  return { kind: "busy", status, ...(retryAfter !== undefined && { retryAfter }) };
}

/** Phases, and how long they last. */
function phases(random: Random, theme: Theme, brief: boolean): Phase[] {
  const long = brief ? 7000 : 12_000;
  const first = { ms: random.int(100, 600), habit: { kind: "good" } } as const;
  switch (theme) {
    case "poison":
      return [first, { ms: long, habit: { kind: "poisoned", keys: random.int(1, 4), by: random.pick(failing) } }];
    case "quirks":
      return Array.from({ length: brief ? 2 : 4 }, () => ({ ms: random.int(800, 2500), habit: quirk(random) }));
    case "busy":
      return [first, { ms: brief ? 2500 : random.int(2000, 5000), habit: busy(random) }];
    case "capped":
      return [{ ms: 4000, habit: { kind: "busy", status: random.pick([429, 503]), retryAfter: "9999999999" } }];
    case "gone":
      return [first, { ms: 3000, habit: { kind: "gone" } }];
    case "down":
      return [first, { ms: long, habit: { kind: "down", by: random.pick(["500", "400", "302"] as const) } }];
    case "away":
      return [first, { ms: random.int(500, 2000), habit: { kind: "away" } }];
    case "handshake":
      return [{ ms: 3000, habit: { kind: "no-handshake" } }];
    case "moving":
      return [{ ms: 4000, habit: { kind: "slow", ms: random.int(5, 150) } }];
  }
}

function group(random: Random, theme: Theme, brief: boolean): PushGroup {
  // Where one counted failure is a death, every failure that should not have been counted is seen.
  const strict = theme === "busy" || theme === "capped" || theme === "gone" || theme === "handshake";
  const format = random.pick(["binary", "structured", "batch", "batch"] as const);
  // In the order of the partition a record that fails stops everything, as it should.
  const whole = theme === "poison" ? 0 : 1;
  const order = random.weighted([[6, "key"] as const, [whole, "partition"] as const, [1, "none"] as const]);
  return {
    theme,
    order,
    onFailure: strict ? "skip" : theme === "poison" ? "block" : random.pick(["block", "park", "skip"]),
    maxDeliveries: strict ? 1 : random.int(2, 4),
    backoff: [random.pick([50, 100, 300])],
    format,
    batch: random.pick([2, 10, 100]),
    // Requests that are under way together arrive in any order.
    concurrency: order === "partition" ? 1 : random.int(1, 6),
    timeoutMs: random.int(1500, 2000),
    pauseAfterMs: theme === "down" || theme === "poison" ? random.int(1000, 2500) : 86_400_000,
    secrets: random.int(0, 2),
    validate: theme === "handshake" || random.chance(0.1),
    phases: phases(random, theme, brief),
  };
}

function records(random: Random, many: number): Sent[] {
  return Array.from({ length: random.int(1, many) }, () => ({
    key: random.chance(0.1) ? null : random.int(0, keys - 1),
    form: random.pick(forms),
  }));
}

function beat(random: Random, groups: number, has: (feature: string) => boolean): Beat {
  const afterMs = random.int(10, 700);
  const choice = random.weighted([
    [12, "append"],
    [has("growth") ? 1 : 0, "grow"],
    [has("moving") ? 1 : 0, "pause"],
    [has("moving") ? 1 : 0, "rotate"],
    [has("moving") ? 1 : 0, "retarget"],
  ] as const);
  const any = random.int(0, groups - 1);
  switch (choice) {
    case "append":
      return { afterMs, do: "append", records: records(random, random.pick([1, 5, 40])) };
    case "grow":
      return { afterMs, do: "grow", by: 1 };
    case "pause":
      return { afterMs, do: "pause", group: any, ms: random.int(300, 2500) };
    default:
      return { afterMs, do: choice, group: any };
  }
}

export function webhookPlan(random: Random, scale: Scale): WebhookPlan {
  const has = (feature: string) => !scale.without.has(feature);
  const usable = themes.filter(([, theme]) => has(theme));
  const count = scale.brief ? 4 : 6;
  const groups = Array.from({ length: count }, (_, i) =>
    group(random.fork(i), random.fork(`theme ${i}`).weighted(usable), scale.brief),
  );
  const beats: Beat[] = [{ afterMs: 0, do: "append", records: records(random, 30) }];
  for (let i = 0; i < (scale.brief ? 6 : 12); i++) beats.push(beat(random, count, has));
  if (has("kills") && random.chance(0.5)) {
    const kill: Beat = { afterMs: random.int(0, 300), do: "kill", how: random.chance(0.8) ? "kill" : "term" };
    beats.splice(random.int(2, beats.length), 0, kill);
  }
  const killAtEnd = has("kills") && has("attempts") && random.chance(scale.brief ? 0 : 0.3);
  const idleMs = has("attempts") && killAtEnd ? random.pick([6000, 25_000]) : 0;
  return { partitions: random.pick([1, 2, 4]), groups, beats, idleMs, killAtEnd };
}
