/** Draws scripts: phrases that bring a log's past into the corners where its promises are hard to keep. */
import type { Kill } from "../frame/gate.ts";
import type { Mishap, Operation } from "../frame/mishap.ts";
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type { Drawn, HistoryPlan, Query, Script, Settings, Step, StoreFault } from "./plan.ts";

interface Drawing {
  readonly random: Random;
  readonly has: (feature: string) => boolean;
  /** How many streams there are by now, at most. */
  logs: number;
}

const keys = 6;
const subjects = 3;

function drawn({ random }: Drawing): Drawn {
  const key = random.chance(0.15) ? null : random.int(0, keys - 1);
  return {
    key,
    subject: random.chance(0.4) ? random.int(0, subjects - 1) : null,
    form: random.weighted([
      [10, "value"],
      [key === null ? 0 : 2, "marker"],
      [0.5, "large"],
    ] as const),
  };
}

function append(draw: Drawing, most = 8): Step {
  const { random } = draw;
  const batches = Array.from({ length: random.int(2, most) }, () =>
    Array.from({ length: random.int(1, 6) }, () => drawn(draw)),
  );
  return { do: "append", batches };
}

function query({ random }: Drawing): Query {
  return {
    by: random.pick(["forward", "backward", "key", "time", "newest"]),
    partition: random.chance(0.5) ? random.int(0, 3) : null,
    limit: random.pick([1, 3, 10, 50, 500]),
    share: random.next(),
    accept: random.chance(0.2) ? "ndjson" : "json",
  };
}

const look = (draw: Drawing): Step => ({
  do: "look",
  queries: Array.from({ length: draw.random.int(1, 4) }, () => query(draw)),
});

/** One bound or another, lowered or raised. */
function bounds({ random }: Drawing): Settings {
  return random.pick<Settings>([
    { retentionRecords: random.pick([8, 16, 24, 40, 80]), retentionAgeMs: null, retentionBytes: null },
    { retentionRecords: null, retentionAgeMs: random.pick([1000, 2000, 4000]), retentionBytes: null },
    { retentionRecords: null, retentionAgeMs: null, retentionBytes: random.pick([1000, 3000, 10_000]) },
    { retentionRecords: null, retentionAgeMs: null, retentionBytes: null },
  ]);
}

function compaction({ random }: Drawing): Settings {
  return { compact: random.chance(0.7), deleteMarkerGraceMs: random.pick([0, 0, 500, 2000, 86_400_000]) };
}

function settings(draw: Drawing): Settings {
  const { random, has } = draw;
  const some: Settings[] = [bounds(draw)];
  if (has("compaction")) some.push(compaction(draw));
  if (has("switching")) some.push({ archive: random.chance(0.6) });
  if (has("ages")) some.push({ archiveAgeMs: random.pick([null, 1000, 3000]) });
  if (has("keeping")) some.push({ keepForGroups: random.chance(0.5) }, { keepForSnapshot: random.chance(0.5) });
  if (has("windows")) some.push({ deduplicationWindowMs: random.pick([0, 0, 1000, 120_000]) });
  return random.pick(some);
}

function first(draw: Drawing): Settings {
  const { random, has } = draw;
  return {
    ...bounds(draw),
    ...(random.chance(0.6) && { retentionRecords: random.pick([8, 16, 32]) }),
    archive: random.chance(0.8),
    ...(has("windows") && random.chance(0.1) && { deduplicationWindowMs: random.pick([1000, 120_000]) }),
    ...(has("compaction") && random.chance(0.45) && { ...compaction(draw), compact: true }),
    ...(has("ages") && random.chance(0.15) && { archiveAgeMs: random.pick([1000, 3000]) }),
    ...(has("keeping") && random.chance(0.15) && { keepForGroups: true }),
    ...(has("keeping") && random.chance(0.15) && { keepForSnapshot: true }),
  };
}

const mishaps = (random: Random): Record<Operation, () => Mishap> => {
  const down = (): Mishap =>
    random.pick<Mishap>([
      { kind: "refuse", status: random.pick([500, 503, 429]) },
      { kind: "reset", done: false },
      { kind: "reset", done: true },
      { kind: "late", ms: random.pick([50, 300, 1500]) },
      { kind: "hang" },
    ]);
  return {
    write: down,
    list: down,
    delete: () => (random.chance(0.3) ? { kind: "partly" } : down()),
    read: () =>
      random.pick<Mishap>([
        down(),
        { kind: "cut", share: random.next() },
        { kind: "short", bytes: random.pick([1, 7, 200]) },
        { kind: "blind" },
        { kind: "blind" },
      ]),
  };
};

function fault({ random, has }: Drawing): StoreFault {
  const usual = (["read", "write", "delete", "list"] as const).filter((on) => has(`failing-${on}s`) || on === "list");
  const on = random.pick(usual);
  const mishap = mishaps(random)[on]();
  const wide = mishap.kind === "refuse" || mishap.kind === "reset";
  return {
    on: wide && random.chance(0.3) && has("failing-deletes") ? ["read", "write", "delete", "list"] : [on],
    every: random.pick([1, 1, 2, 3]),
    mishap,
  };
}

function erase({ random }: Drawing): Step {
  const target = random.chance(0.7) ? { key: random.int(0, keys - 1) } : { subject: random.int(0, subjects - 1) };
  return { do: "erase", ...target, wait: random.chance(0.6) };
}

function copy(draw: Drawing): Step {
  const { random, has } = draw;
  if (has("moves") && random.chance(0.3)) return { do: "copy", how: "moved", elsewhere: false };
  draw.logs++;
  return { do: "copy", how: "new-id", elsewhere: random.chance(0.4) };
}

function harm({ random }: Drawing): Step {
  const how = random.pick(["flipped", "cut", "gone", "swapped"] as const);
  return { do: "harm", how, share: random.next(), isolate: random.chance(0.5) };
}

/** The store is not well for some steps. */
function illness(draw: Drawing): Step[] {
  const { random } = draw;
  const between = Array.from({ length: random.int(1, 3) }, () => plain(draw));
  const steps: Step[] = [{ do: "store", fault: fault(draw) }, ...between];
  if (random.chance(0.5)) steps.push({ do: "sleep", ms: random.pick([100, 500, 1500]) });
  return [...steps, { do: "store", fault: null }, look(draw)];
}

function plain(draw: Drawing): Step {
  const { random, has } = draw;
  const share = random.next();
  const step = random.weighted<Step>([
    [6, append(draw)],
    [3, look(draw)],
    [has("settings") ? 3 : 0, { do: "settings", settings: settings(draw) }],
    [has("erasures") ? 2 : 0, erase(draw)],
    [has("trims") ? 0.7 : 0, { do: "trim", where: random.next(), share }],
    [has("growth") ? 0.5 : 0, { do: "grow", by: 1 }],
    [has("groups") ? 1.5 : 0, { do: "receive", max: random.pick([1, 5, 50]), nack: random.chance(0.3) }],
    [has("groups") ? 0.3 : 0, { do: "redrive" }],
    [has("snapshots") ? 0.8 : 0, { do: "snapshot", where: random.next(), share }],
    [1, { do: "verify" }],
    [0.5, { do: "sleep", ms: random.pick([50, 300, 1200]) }],
    [0.5, { do: "settle" }],
  ]);
  return draw.logs > 1 ? { ...step, on: random.int(0, draw.logs - 1) } : step;
}

function phrase(draw: Drawing): Step[] {
  const { random, has } = draw;
  const choices: [number, () => Step[]][] = [
    [6, () => [plain(draw)]],
    [has("illness") ? 1.5 : 0, () => illness(draw)],
    [has("copies") ? 0.5 : 0, () => [copy(draw)]],
    [has("harm") ? 1 : 0, () => [append(draw), harm(draw)]],
    [has("erasures") ? 1 : 0, () => [append(draw), erase(draw), append(draw), look(draw)]],
  ];
  return random.weighted(choices)();
}

function script(random: Random, scale: Scale): Script {
  // What could not be deleted is tried again half a minute later: too long for brief rounds.
  const has = (feature: string) => !scale.without.has(feature) && !(scale.brief && feature === "failing-deletes");
  const draw: Drawing = { random, has, logs: 1 };
  const steps: Step[] = [append(draw), append(draw), look(draw)];
  const length = scale.brief ? random.int(6, 9) : random.int(15, 35);
  while (steps.length < length) steps.push(...phrase(draw));
  return {
    partitions: random.weighted([
      [3, 1],
      [1, 2],
    ] as const),
    settings: first(draw),
    steps,
  };
}

export function historyPlan(random: Random, scale: Scale): HistoryPlan {
  const scripts = Array.from({ length: scale.brief ? 2 : random.int(2, 5) }, (_, i) => script(random.fork(i), scale));
  const longest = Math.max(...scripts.map(({ steps }) => steps.length));
  const deaths = scale.without.has("kills") ? 0 : scale.brief ? 1 : random.int(0, 3);
  const kills = Array.from(
    { length: deaths },
    (): Kill => ({
      step: random.int(2, longest),
      how: random.chance(0.8) ? "kill" : "term",
      ...(random.chance(0.7) && { amidMs: random.pick([0, 5, 20, 60, 200]) }),
    }),
  );
  return { scripts, kills };
}
