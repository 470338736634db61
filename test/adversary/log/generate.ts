/** Draws scripts: phrases that bring a log into the corners where its promises are hard to keep. */
import type { Kill } from "../frame/gate.ts";
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type {
  Color,
  Cut,
  Door,
  Drawn,
  Filter,
  Follow,
  From,
  LogPlan,
  Query,
  Script,
  Shape,
  Step,
  Write,
} from "./plan.ts";
import { keyCount } from "./sent.ts";

interface Drawing {
  readonly random: Random;
  readonly keyIndex: boolean;
  readonly has: (feature: string) => boolean;
}

const doors: readonly Door[] = ["json", "json", "ndjson", "event", "events", "headers", "raw", "frames"];
const shapes: readonly Shape[] = [
  "plain",
  "plain",
  "odd",
  "escapes",
  "lines",
  "text",
  "number",
  "none",
  "bytes",
  "large",
];
const producers = 3;

function drawn({ random }: Drawing, id: boolean): Drawn {
  return {
    key: random.chance(0.2) ? null : random.int(0, keyCount - 1),
    id,
    color: random.chance(0.6) ? random.pick<Color>(["red", "blue"]) : null,
    type: random.chance(0.3) ? random.pick(["made", "paid"]) : null,
    shape: random.pick(shapes),
  };
}

function cutOf({ random, has }: Drawing): Cut | undefined {
  if (!has("cuts") || !random.chance(0.15)) return undefined;
  if (random.chance(0.5)) return { at: "body", share: random.next() };
  return { at: "answer", afterMs: random.pick([0, 0, 1, 3, 10]) };
}

function write(draw: Drawing, producer?: number, most = 8): Write {
  const { random, has } = draw;
  const door = has("doors") ? random.pick(doors) : "json";
  const id = random.chance(0.3);
  const cut = cutOf(draw);
  const one = producer === undefined && random.chance(0.15);
  return {
    door,
    records: Array.from({ length: random.int(1, most) }, () => drawn(draw, id)),
    retry: random.chance(0.7),
    ...(random.chance(0.15) && { gzip: true }),
    ...(random.chance(0.1) && { mark: true }),
    ...(door === "frames" ? { runs: random.chance(0.7) } : random.chance(0.15) && { runs: true }),
    ...(producer !== undefined && { producer }),
    ...(one && random.chance(0.5) && { where: random.next() }),
    ...(one && { atomic: true }),
    ...(cut && { cut }),
    ...(random.chance(0.15) && { times: random.int(2, 4) }),
  };
}

/** A producer has one batch under way at a time. */
function append(draw: Drawing, most = 4): Step {
  const names = draw.has("producers") ? draw.random.shuffle([...Array(producers).keys()]) : [];
  const writes = Array.from({ length: draw.random.int(1, most) }, () =>
    write(draw, draw.random.chance(0.4) ? names.pop() : undefined),
  );
  return { do: "append", writes };
}

/** What is on its way to a partition that is split goes on to its children. */
function amidGrowth(draw: Drawing): Step[] {
  const steps = [append(draw, 6), append(draw, 6)] as Extract<Step, { do: "append" }>[];
  const writes = steps.flatMap((step, i) =>
    step.writes.map(({ where: _, producer, ...write }) => ({
      ...write,
      // Each producer once.
      ...(i === 0 && producer !== undefined && { producer }),
    })),
  );
  return [append(draw), { do: "append", writes, grows: draw.random.int(1, 2) }, look(draw)];
}

function socket(draw: Drawing): Step {
  const { random, has } = draw;
  const producer = draw.has("producers") && random.chance(0.4) ? random.int(0, producers - 1) : undefined;
  const where = random.chance(0.3) && producer === undefined ? random.next() : null;
  const writes = Array.from({ length: random.int(1, 6) }, (_, i): Write => {
    const { cut: _cut, times: _times, where: _where, producer: _producer, ...plain } = write(draw);
    // Two numbers of a producer may not wait for each other.
    return { ...plain, ...(i === 0 && producer !== undefined && { producer }) };
  });
  return {
    do: "socket",
    writes,
    ...(has("frame-sockets") && random.chance(0.4) && { frames: true }),
    where,
    cutMs: draw.has("cuts") && random.chance(0.3) ? random.pick([0, 1, 3, 10]) : null,
  };
}

function filter({ random }: Drawing): Filter {
  return random.weighted<() => Filter>([
    [5, () => ({})],
    [2, () => ({ key: random.int(0, keyCount - 1) })],
    [2, () => ({ tags: [random.pick<Color>(["red", "blue"])] })],
    [1, () => ({ tags: ["red", "blue"], match: random.pick(["any", "all"] as const) })],
    [1, () => ({ types: [random.pick(["made", "paid", "event"])] })],
  ])();
}

const starts = ({ random, has }: Drawing): From =>
  random.weighted<() => From>([
    [3, () => ({ at: "earliest" })],
    [1, () => ({ at: "default" })],
    [1, () => ({ at: "latest" })],
    [3, () => ({ at: "newest", count: random.pick([1, 2, 3, 7, 20, 100, 1000]) })],
    [
      2,
      () => ({
        at: "time",
        share: random.next(),
        plusMs: random.pick([0, 0, 1, -1, 50]),
        form: random.int(0, has("small-times") ? 3 : 2),
      }),
    ],
    [2, () => ({ at: "offset", share: random.next() })],
    [3, () => ({ at: "bookmark", share: random.next() })],
  ])();

function query(draw: Drawing): Query {
  const { random } = draw;
  const backward = random.chance(0.3);
  const partition = random.chance(0.45) ? random.int(0, 7) : null;
  const accepts =
    partition !== null && !backward
      ? (["json", "json", "ndjson", "frames"] as const)
      : (["json", "json", "ndjson"] as const);
  const accept = random.pick<Query["accept"]>(accepts);
  const from = starts(draw);
  const all = !backward && accept !== "frames" && random.chance(0.1);
  return {
    partition: from.at === "offset" ? (partition ?? random.int(0, 7)) : partition,
    filter: accept === "frames" ? {} : filter(draw),
    from: accept === "frames" && from.at === "bookmark" ? { at: "earliest" } : from,
    backward,
    limit: all ? 10_000 : random.pick([1, 2, 3, 5, 10, 50, 1000]),
    maxBytes: all ? "all" : random.chance(0.2) ? random.pick([1, 500, 20_000]) : null,
    accept,
    by: accept === "frames" && !draw.has("frame-heads") ? "next" : random.pick(["next", "cursor", "link"]),
    turnAfter: !backward && !all && accept === "json" && random.chance(0.3) ? random.int(0, 3) : null,
  };
}

function look(draw: Drawing): Step {
  return { do: "look", queries: Array.from({ length: draw.random.int(2, 8) }, () => query(draw)) };
}

function follow(draw: Drawing, name: string): Step {
  const { random } = draw;
  const plain = starts(draw);
  const from: From = plain.at === "default" ? { at: "earliest" } : plain;
  const kind = random.pick<Follow["kind"]>([
    "events",
    "socket",
    "poll",
    ...(draw.has("frame-sockets") ? (["frames", "frames"] as const) : []),
  ]);
  // Frames bring no cursor: of several partitions the first place must be one that can be named again.
  const fixed = ["earliest", "latest", "bookmark"].includes(from.at);
  const needed = from.at === "offset" || (kind === "frames" && !fixed);
  const partition = needed || random.chance(0.3) ? random.int(0, 7) : null;
  return {
    do: "follow",
    follow: { name, kind, partition, filter: filter(draw), from, window: random.pick([1, 3, 10, 100]) },
  };
}

function wait({ random, has }: Drawing): Step {
  const grows = has("growth") && random.chance(0.2);
  return {
    do: "wait",
    seconds: random.pick([1, 2]),
    color: random.pick<Color>(["red", "blue"]),
    lets: random.chance(0.7),
    grows,
  };
}

const again = ({ random }: Drawing): Step => ({
  do: "again",
  share: random.chance(0.5) ? 0.999 - random.next() / 8 : random.next(),
  door: "json",
});

const misuse = (draw: Drawing): Step[] => [
  append(draw),
  ...(draw.random.chance(0.4)
    ? ([{ do: "epoch", producer: draw.random.int(0, producers - 1) }, append(draw)] as const)
    : []),
  { do: "misuse", share: draw.random.next(), how: draw.random.pick(["conflict", "conflict", "gap", "fenced"]) },
];

const repeat = ({ random }: Drawing): Step => ({
  do: "repeat",
  share: random.next(),
  door: random.pick<Door>(["json", "ndjson", "events", "event", "headers", "frames"]),
  otherKey: random.chance(0.3) ? random.int(0, keyCount - 1) : null,
});

function condition({ random, keyIndex }: Drawing): Step {
  if (keyIndex) return { do: "expect-key", key: random.int(0, keyCount - 1), right: random.chance(0.5) };
  if (random.chance(0.3)) return { do: "fence", where: random.next(), right: random.chance(0.5) };
  return { do: "expect", where: random.next(), off: random.pick([0, 0, -1, 1]) };
}

/** What was answered before the stream grew is answered so afterwards. */
const growth = (draw: Drawing): Step[] => [
  append(draw),
  { do: "grow", by: draw.random.int(1, 2) },
  again(draw),
  repeat(draw),
  append(draw),
  look(draw),
];

function phrases(draw: Drawing): (readonly [number, () => Step[]])[] {
  const { random, has } = draw;
  const when = (feature: string, weight: number) => (has(feature) ? weight : 0);
  return [
    [6, () => [append(draw), ...(random.chance(0.5) ? [append(draw)] : [])]],
    [when("sockets", 3), () => [socket(draw)]],
    [4, () => [look(draw)]],
    [when("again", 4), () => [again(draw)]],
    [when("producers", 2), () => misuse(draw)],
    [when("again", 3), () => [repeat(draw)]],
    [when("conditions", draw.keyIndex ? 5 : 2), () => [condition(draw)]],
    [when("growth", 1.5), () => growth(draw)],
    [when("growth", 1.5), () => amidGrowth(draw)],
    [when("trims", 1), () => [{ do: "trim", where: random.next(), share: random.next() }, look(draw)]],
    [when("waits", 1), () => [wait(draw)]],
    [when("followers", 3), () => [follow(draw, `f${random.int(0, 5)}`)]],
    [when("followers", 1.5), () => [{ do: "shake" }, append(draw)]],
    [when("followers", 0.5), () => [{ do: "drop", name: `f${random.int(0, 5)}` }]],
  ];
}

function script(random: Random, scale: Scale): Script {
  const keyIndex = !scale.without.has("conditions") && random.chance(0.15);
  const draw: Drawing = { random, keyIndex, has: (feature) => !scale.without.has(feature) };
  const count = scale.brief ? random.int(4, 8) : random.int(8, 24);
  const all = phrases(draw);
  const body = Array.from({ length: count }, () => random.weighted(all)()).flat();
  const steps: Step[] = [append(draw), ...body, look(draw)];
  return { terms: { partitions: random.pick([1, 1, 2, 3]), keyIndex }, steps };
}

export function logPlan(random: Random, scale: Scale): LogPlan {
  const count = scale.brief ? 2 : random.int(2, 5);
  const scripts = Array.from({ length: count }, (_, i) => script(random.fork(i), scale));
  const longest = Math.max(...scripts.map(({ steps }) => steps.length));
  const kills = Array.from(
    { length: scale.without.has("kills") ? 0 : random.int(0, scale.brief ? 1 : 3) },
    (): Kill => {
      // The polite end waits for every reader that follows: half a minute that is seldom worth it.
      const how = scale.brief || random.chance(0.95) ? "kill" : "term";
      const amid = random.chance(0.7) ? { amidMs: random.pick([0, 2, 5, 15, 60]) } : {};
      return { step: random.int(1, longest - 1), how, ...amid };
    },
  );
  return { scripts, kills };
}
