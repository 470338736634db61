/** Draws scripts: phrases that bring a log into the corners where its promises are hard to keep. */
import type { Kill } from "../frame/gate.ts";
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import { type Drawing, follow, look, snapshots, trims, wait } from "./draw-readers.ts";
import type { Color, Cut, Door, Drawn, LogPlan, Script, Shape, Step, Write } from "./plan.ts";
import { keyCount } from "./sent.ts";

const idless: readonly Door[] = ["json", "json", "ndjson", "raw", "frames"];
const doors: readonly Door[] = [...idless, "event", "events", "headers"];
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

function drawn({ random, stamps }: Drawing, id: boolean): Drawn {
  return {
    key: random.chance(0.2) ? null : random.int(0, keyCount - 1),
    id,
    color: random.chance(0.6) ? random.pick<Color>(["red", "blue"]) : null,
    type: random.chance(0.3) ? random.pick(["made", "paid"]) : null,
    shape: random.pick(shapes),
    // Near enough that ids stay within their window.
    ...(stamps && random.chance(0.8) && { stampMs: random.pick([0, 0, 1, -1, -5000, -600_000, 5000, 600_000]) }),
  };
}

function cutOf({ random, has }: Drawing): Cut | undefined {
  if (!has("cuts") || !random.chance(0.15)) return undefined;
  if (random.chance(0.5)) return { at: "body", share: random.next() };
  return { at: "answer", afterMs: random.pick([0, 0, 1, 3, 10]) };
}

function write(draw: Drawing, producer?: number, most = 8): Write {
  const { random, has } = draw;
  const door = has("doors") ? random.pick(draw.ids ? doors : idless) : "json";
  const id = draw.ids && random.chance(0.3);
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
    ...(producer === undefined && has("blind") && random.chance(0.05) && { blind: true }),
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
    const { blind: _blind, cut: _cut, times: _times, where: _where, producer: _producer, ...plain } = write(draw);
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

function condition({ random, keyIndex, has }: Drawing): Step {
  if (keyIndex) return { do: "expect-key", key: random.int(0, keyCount - 1), right: random.chance(0.5) };
  if (random.chance(0.3)) {
    const grows = has("growth") && random.chance(0.4);
    return { do: "fence", where: random.next(), right: random.chance(0.5), grows };
  }
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
    [when("trims", 1.5), () => trims(draw)],
    [when("snapshots", 0.7), () => [...snapshots(draw), look(draw)]],
    [when("wrong-logs", 0.8), () => [{ do: "wrong-log", whose: random.pick(["other", "former"] as const) }]],
    [when("waits", 1), () => [wait(draw)]],
    [when("followers", 3), () => [follow(draw, `f${random.int(0, 5)}`)]],
    [when("followers", 1.5), () => [{ do: "shake" }, append(draw)]],
    [when("followers", 0.5), () => [{ do: "drop", name: `f${random.int(0, 5)}` }]],
  ];
}

function script(random: Random, scale: Scale): Script {
  const keyIndex = !scale.without.has("conditions") && random.chance(0.15);
  const retention =
    !keyIndex && !scale.without.has("retention") && random.chance(0.2) ? random.pick([5, 20, 60]) : undefined;
  const stamps = !scale.without.has("stamps") && random.chance(0.2);
  const draw: Drawing = {
    random,
    keyIndex,
    ids: retention === undefined,
    stamps,
    has: (feature) => !scale.without.has(feature),
  };
  const count = scale.brief ? random.int(4, 8) : random.int(8, 24);
  const all = phrases(draw);
  const body = Array.from({ length: count }, () => random.weighted(all)()).flat();
  const steps: Step[] = [append(draw), ...body, look(draw)];
  const terms = { partitions: random.pick([1, 1, 2, 3]), keyIndex };
  return { terms: { ...terms, ...(retention !== undefined && { retention }), ...(stamps && { stamps }) }, steps };
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
