/** Draws scripts: phrases that bring a group into the corners where its promises are hard to keep. */
import type { Kill } from "../frame/gate.ts";
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type { AppendedKey, Choice, Forgery, GroupConfig, Pick, Script, ScriptPlan, Step } from "./plan.ts";

interface Drawing {
  readonly random: Random;
  readonly keys: number;
  readonly group: GroupConfig;
  readonly has: (feature: string) => boolean;
}

const members = ["m1", "m2", "m3"];
const pick = (of: Pick["of"], from: number, count: number): Pick => ({ of, from, count });
const all = (of: Pick["of"]) => pick(of, 0, 1000);

function some({ random, has }: Drawing): Pick {
  const of = random.weighted([
    [6, "live"],
    [has("late") ? 2 : 0, "past"],
    [has("late") ? 1 : 0, "done"],
    [has("late") ? 1 : 0, "any"],
  ] as const);
  return pick(of, random.next(), random.weighted([[3, 1] as const, [3, 3] as const, [1, 20] as const]));
}

function choice({ random }: Drawing): Choice {
  return { all: random.chance(0.2), from: random.next(), count: random.int(1, 4), twice: random.chance(0.3) };
}

function append({ random, keys }: Drawing, most = 6): Step {
  const records = Array.from({ length: random.int(1, most) }, (): AppendedKey => {
    const key = random.chance(0.15) ? null : random.int(0, keys - 1);
    return { key, ...(random.chance(0.5) && { tag: random.pick(["red", "blue"]) }) };
  });
  return { do: "append", records };
}

const receive = ({ random }: Drawing, max = random.pick([1, 2, 5, 100])): Step => ({
  do: "receive",
  member: random.pick(members),
  max,
  waitMs: random.chance(0.2) ? 300 : 0,
  ...(random.chance(0.15) && { ack: pick("live", random.next(), random.int(1, 5)) }),
});

const clean = (draw: Drawing): Step[] => [receive(draw, 1000), { do: "ack", pick: all("live") }];

/** Nacks what comes, until it is dead or the group goes on trying. */
function poison(draw: Drawing): Step[] {
  const rounds = draw.random.int(1, draw.group.maxDeliveries + 1);
  const fail: Step[] = [receive(draw, 20), { do: "nack", pick: all("live"), delayMs: 0 }];
  return Array.from({ length: rounds }, () => fail).flat();
}

/** Parked keys in a parent, records of the same keys in its children, and acks that come twice. */
function splitBehindFailures(draw: Drawing): Step[] {
  const { random } = draw;
  return [
    append(draw, 10),
    ...poison(draw),
    { do: "grow", by: random.int(1, 2) },
    append(draw, 10),
    receive(draw, 100),
    { do: "ack", pick: pick("live", 0, random.int(1, 100)), twice: random.chance(0.5) },
    { do: "ack", pick: all("done") },
    receive(draw, 100),
  ];
}

function seeks(draw: Drawing): Step[] {
  const to = draw.random.pick(["earliest", "earliest", "latest", "time", "offset"] as const);
  return [
    { do: "seek", to, share: draw.random.next() },
    receive(draw),
    { do: "ack", pick: some(draw) },
    receive(draw, 100),
  ];
}

function sockets(draw: Drawing): Step[] {
  const { random } = draw;
  const member = random.pick(["w1", "w2"]);
  return [
    { do: "socket", member, credits: random.pick([1, 1, 3, 50]) },
    append(draw),
    random.chance(0.7)
      ? { do: "socket-ack", member, pick: some(draw) }
      : { do: "socket-nack", member, pick: some(draw) },
    ...(random.chance(0.5) ? [{ do: "credit", member, credits: random.pick([1, 5]) } as const] : []),
    { do: "sleep", ms: random.pick([10, 400, 1300]) },
    { do: "cut", member, politely: random.chance(0.5) },
  ];
}

/** A member that waits and goes away; then something comes. */
const leaves = (draw: Drawing): Step[] => [
  ...clean(draw),
  { do: "leave", member: "gone", afterMs: draw.random.int(60, 250) },
  append(draw),
  receive(draw, 100),
];

/** What is redriven is changed, and somebody still has the receipt of before. */
const edits = (draw: Drawing): Step[] => [
  ...poison(draw),
  { do: "redrive", choice: choice(draw), edit: draw.random.chance(0.5) },
  receive(draw, 20),
  { do: "redrive", choice: choice(draw), edit: true },
  { do: "ack", pick: pick("past", draw.random.next(), 5) },
  receive(draw, 20),
];

const letters = ({ random, ...rest }: Drawing): Step[] => [
  random.chance(0.5)
    ? { do: "redrive", choice: choice({ random, ...rest }), edit: random.chance(0.3) }
    : { do: "discard", choice: choice({ random, ...rest }) },
  { do: "look" },
];

const waits = ({ random }: Drawing): Step[] => [
  { do: "nack", pick: pick("live", 0, 2), delayMs: 600_000 },
  { do: "lane", order: random.pick(["resume", "skip"]), share: random.next() },
];

const incident = (draw: Drawing): Step[] => [
  { do: "only", keys: draw.random.sample([...Array(draw.keys).keys()], draw.random.int(1, 2)) },
  append(draw),
  receive(draw, 100),
  { do: "ack", pick: some(draw) },
  receive(draw, 100),
  ...(draw.random.chance(0.7) ? [{ do: "only", keys: null } as const] : []),
];

const paused = (draw: Drawing): Step[] => [
  { do: "pause" },
  append(draw),
  receive(draw, 100),
  { do: "ack", pick: some(draw) },
  { do: "look" },
  { do: "resume" },
];

function updates({ random }: Drawing): Step[] {
  const config: Partial<GroupConfig> = random.pick([
    { maxInFlight: random.pick([1, 3, 1000]) },
    { memberMaxInFlight: random.pick([1, 3, null]) },
    { maxDeliveries: random.int(1, 4) },
    { ackTimeoutMs: random.pick([300, 15_000]) },
    { backoff: random.pick([[0], [50], [0, 400]]) },
  ]);
  return [{ do: "update", config }];
}

const forgeries: readonly Forgery[] = [
  "digit",
  "letter",
  "swap",
  "offset",
  "offset",
  "cut",
  "longer",
  "empty",
  "elsewhere",
  "deleted",
];

const forge = ({ random }: Drawing): Step[] => [
  {
    do: "forge",
    pick: pick(random.pick(["live", "done", "any"]), random.next(), 1),
    how: random.pick(forgeries),
    call: random.weighted([[3, "ack"] as const, [1, "nack"] as const, [1, "extend"] as const]),
  },
];

type Phrase = readonly [weight: number, feature: string, (draw: Drawing) => Step[]];

const phrases: readonly Phrase[] = [
  [10, "", (draw) => [append(draw)]],
  [10, "", (draw) => [receive(draw)]],
  [8, "", (draw) => [{ do: "ack", pick: some(draw), twice: draw.random.chance(0.3) }]],
  [
    5,
    "",
    (draw) => [
      { do: "nack", pick: some(draw), ...(draw.random.chance(0.5) && { delayMs: draw.random.pick([0, 0, 300]) }) },
    ],
  ],
  [2, "", (draw) => [{ do: "extend", pick: some(draw), ackTimeoutMs: draw.random.pick([200, 5000]) }]],
  [2, "", (draw) => [{ do: "poll", member: draw.random.pick(members), max: draw.random.pick([1, 10]), waitMs: 1500 }]],
  [3, "", (draw) => [{ do: "sleep", ms: draw.random.pick([5, 400]) }]],
  [2, "", clean],
  [3, "", poison],
  [2, "", (_draw) => [{ do: "look" }]],
  [3, "forge", forge],
  [2, "leave", leaves],
  [2, "sockets", sockets],
  [3, "letters", letters],
  [2, "letters", edits],
  [2, "lanes", waits],
  [2, "pause", paused],
  [1, "only", incident],
  [1, "update", updates],
  [1, "seek", seeks],
  [1, "growth", splitBehindFailures],
  [0.3, "recreate", (_draw) => [{ do: "recreate" }]],
];

function config(random: Random, has: Drawing["has"]): GroupConfig {
  return {
    order: random.weighted([
      [6, "key"],
      [has("partition") ? 2 : 0, "partition"],
      [1, "none"],
    ] as const),
    onFailure: random.pick(["block", "park", "skip"]),
    maxDeliveries: random.int(1, 3),
    ackTimeoutMs: random.weighted([[1, 400] as const, [3, 15_000] as const]),
    backoff: random.pick([[0], [0], [50], [0, 400]]),
    maxInFlight: random.pick([1, 5, 1000, 1000, 1000]),
    memberMaxInFlight: random.pick([null, null, null, 2]),
    heartbeatMs: 30_000,
    filter: random.chance(0.15) ? { tags: ["red"], match: "any" } : null,
  };
}

function script(random: Random, length: number, has: Drawing["has"]): Script {
  const group = config(random, has);
  const draw = { random, keys: random.int(1, 8), group, has };
  // Incident mode is for groups in order by key.
  const usable = phrases.filter(
    ([, feature]) => feature === "" || (has(feature) && (feature !== "only" || group.order === "key")),
  );
  const steps: Step[] = [append(draw, 10)];
  while (steps.length < length) {
    steps.push(...random.weighted(usable.map(([weight, , phrase]) => [weight, phrase] as const))(draw));
  }
  return { partitions: random.pick([1, 1, 2, 4]), group, steps };
}

/**
 * Work that lasts, amid a time in which nothing else happens: leases are written down, and objects fall asleep. All scripts
 * rest at once, and the service may die before the last look of it.
 */
function rest(random: Random, sleeps: readonly [number, number]): Step[] {
  const extend: Step = { do: "extend", pick: all("live"), ackTimeoutMs: 30_000 };
  return [
    { do: "receive", member: random.pick(members), max: random.pick([1, 5, 100]), waitMs: 0 },
    { do: "sleep", ms: sleeps[0] },
    random.chance(0.5) ? extend : { do: "look" },
    { do: "look" },
    { do: "sleep", ms: sleeps[1] },
    { do: "receive", member: random.pick(members), max: 100, waitMs: 0 },
  ];
}

function withRest(plan: ScriptPlan, at: number, random: Random, dies: boolean): ScriptPlan {
  const sleeps = [random.pick([8500, 12_500]), random.pick([5, 8000])] as const;
  const scripts = plan.scripts.map(({ steps, ...script }, i) => ({
    ...script,
    steps: steps.toSpliced(at, 0, ...rest(random.fork(i), sleeps)),
  }));
  const kills = dies ? [...plan.kills, { step: at + 3, how: "kill" } as const] : plan.kills;
  return { ...plan, scripts, kills };
}

export function scriptPlan(random: Random, scale: Scale): ScriptPlan {
  const has = (feature: string) => !scale.without.has(feature);
  const length = scale.brief ? 60 : random.pick([60, 120, 250]);
  const scripts = Array.from({ length: scale.brief ? 4 : 8 }, (_, i) => script(random.fork(i), length, has));
  const deaths = has("kills") ? random.int(0, scale.brief ? 1 : 3) : 0;
  const kills = Array.from(
    { length: deaths },
    (): Kill => ({
      step: random.int(5, length - 1),
      how: random.chance(0.8) ? "kill" : "term",
      ...(random.chance(0.5) && { amidMs: random.int(0, 15) }),
    }),
  );
  const plan: ScriptPlan = { kind: "script", scripts, kills };
  const resting = random.fork(scripts.length);
  if (scale.brief || !has("rests") || resting.chance(0.75)) return plan;
  return withRest(plan, resting.int(5, length), resting, has("kills") && resting.chance(0.6));
}
