/** Draws readers of every kind, and where they begin. */
import type { Random } from "../frame/random.ts";
import type { Color, Filter, Follow, From, Query, Step } from "./plan.ts";
import { keyCount } from "./sent.ts";

/** What a script is drawn with. */
export interface Drawing {
  readonly random: Random;
  readonly keyIndex: boolean;
  /** Records may have ids. */
  readonly ids: boolean;
  readonly stamps: boolean;
  readonly has: (feature: string) => boolean;
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
    [has("snapshots") ? 1 : 0, () => ({ at: "snapshot" })],
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
    ...(from.at !== "latest" && all === false && !backward && random.chance(0.2) && { wait: true }),
    turnAfter: !backward && !all && accept === "json" && random.chance(0.3) ? random.int(0, 3) : null,
  };
}

export function look(draw: Drawing): Step {
  return { do: "look", queries: Array.from({ length: draw.random.int(2, 8) }, () => query(draw)) };
}

export function follow(draw: Drawing, name: string): Step {
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

export const snapshots = ({ random }: Drawing): Step[] =>
  Array.from({ length: random.int(1, 3) }, () => ({ do: "snapshot", where: random.next(), share: random.next() }));

/** Who was in the midst of what is trimmed is told so, wherever he goes from there. */
export function trims(draw: Drawing): Step[] {
  const { random } = draw;
  const midst = (): From =>
    random.chance(0.5) ? { at: "bookmark", share: random.next() } : { at: "offset", share: random.next() / 2 };
  const queries = Array.from({ length: random.int(2, 5) }, (): Query => {
    const { maxBytes, accept, ...rest } = query(draw);
    const from = midst();
    const partition = from.at === "offset" ? (rest.partition ?? random.int(0, 7)) : rest.partition;
    return {
      ...rest,
      from,
      partition,
      accept: accept === "frames" ? "json" : accept,
      maxBytes: maxBytes === "all" ? null : maxBytes,
    };
  });
  const steps: Step[] = [
    look(draw),
    ...(draw.has("snapshots") ? snapshots(draw) : []),
    { do: "trim", where: random.next(), share: random.next() },
    { do: "look", queries },
  ];
  if (!draw.has("followers") || random.chance(0.4)) return steps;
  const begun = follow(draw, `f${random.int(0, 5)}`) as Extract<Step, { do: "follow" }>;
  const from = midst();
  const partition = from.at === "offset" ? (begun.follow.partition ?? random.int(0, 7)) : begun.follow.partition;
  return [...steps, { do: "follow", follow: { ...begun.follow, from, partition } }];
}

export function wait({ random, has }: Drawing): Step {
  const grows = has("growth") && random.chance(0.2);
  return {
    do: "wait",
    seconds: random.pick([1, 2]),
    color: random.pick<Color>(["red", "blue"]),
    lets: random.chance(0.7),
    grows,
  };
}
