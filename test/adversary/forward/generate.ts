/** Draws rounds of the forward program. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type { Beat, ForwardPlan, InputPlan, LineKind, LinePlan, LogPlan, OfLog, Options, Origin } from "./plan.ts";

const plain: readonly LineKind[] = ["json", "json", "json", "text"];
const odd: readonly LineKind[] = [
  ...(["odd-json", "scalar", "array", "near-json", "letters", "spaces", "mark", "nul"] as const),
  ...(["crlf", "carriage", "bytes", "empty", "empty-crlf"] as const),
];
const long: readonly LineKind[] = ["long", "long-json", "long-letters", "long-bytes"];

const recordBytesMax = 1_000_000;
/** Of a line that nobody is to hold. */
const hugeBytes = 20_000_000;

const signals = ["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"] as const;

interface Drawing {
  readonly random: Random;
  readonly has: (feature: string) => boolean;
  readonly brief: boolean;
  readonly recordBytes: number;
}

export function forwardPlan(random: Random, scale: Scale): ForwardPlan {
  const has = (feature: string) => !scale.without.has(feature);
  const [recordBytes, batchBytes] = random.pick([
    [recordBytesMax, 8_388_608],
    [recordBytesMax, 8_388_608],
    [20_000, 60_000],
    [2_000, 8_388_608],
    [1_000, 8_000],
  ] as const);
  const draw: Drawing = { random, has, brief: scale.brief, recordBytes: Math.min(recordBytes, batchBytes) };
  const terms = { partitions: random.pick([1, 2, 3]), recordBytes, batchBytes };
  if (has("input") && random.chance(0.12)) {
    const options = { ...optionsOf(draw), once: false };
    return { ...terms, options, logs: [], beats: [], input: inputOf(draw) };
  }
  const options = optionsOf(draw);
  const logs = Array.from({ length: scale.brief ? random.int(1, 3) : random.pick([1, 2, 3, 5, 8]) }, () => logOf(draw));
  const count = scale.brief ? 14 : random.int(20, 40);
  const beats = Array.from({ length: count }, () => beatOf(draw, logs.length));
  if (has("huge") && !scale.brief && recordBytes === recordBytesMax && random.chance(0.2)) {
    const lines = [{ kind: random.pick(["long", "long-letters"] as const), size: hugeBytes }];
    const log = random.int(0, logs.length - 1);
    beats.splice(random.int(0, beats.length), 0, { afterMs: 0, do: "write", log, lines, paceMs: 0 });
  }
  return { ...terms, options, logs, beats };
}

function optionsOf({ random, has }: Drawing): Options {
  return {
    once: has("once") && random.chance(0.2),
    text: random.chance(0.2),
    key: random.chance(0.2),
    quiet: random.chance(0.2),
    json: random.chance(0.3),
    relative: random.chance(0.3),
  };
}

function logOf(draw: Drawing): LogPlan {
  const { random, has } = draw;
  const origin = random.weighted<Origin>([
    [10, "there"],
    [has("absent") ? 1 : 0, "absent"],
    [has("absent") ? 1 : 0, "no-folder"],
    [has("absent") ? 1 : 0, "folder"],
    [has("links") ? 2 : 0, "link"],
  ]);
  const isThere = origin === "there" || origin === "link";
  return {
    scheme: random.pick(["numbered", "numbered", "dated", "within"]),
    origin,
    sparse: has("nuls") && origin === "there" && random.chance(0.2),
    twice: random.chance(0.1),
    first: isThere ? linesOf(draw, 12) : [],
    mark: random.chance(0.15),
  };
}

function lineOf({ random, has, recordBytes }: Drawing): LinePlan {
  const kind = random.weighted<LineKind>([
    [20, random.pick(plain)],
    [has("forms") ? 10 : 0, random.pick(odd)],
    [has("long") ? 1 : 0, random.pick(long)],
  ]);
  // Of large records a few are enough.
  const times = recordBytes > 100_000 ? random.pick([0.01, 0.01, 0.1, 1.2]) : random.pick([0.9, 1, 1.1, 2.5, 4]);
  const size = kind.startsWith("long") ? Math.round(recordBytes * times) + random.int(-60, 60) : 0;
  return { kind, size: Math.max(0, size) };
}

function linesOf(draw: Drawing, most: number): LinePlan[] {
  return Array.from({ length: draw.random.int(1, most) }, () => lineOf(draw));
}

function beatOf(draw: Drawing, logs: number): Beat {
  const { random, has } = draw;
  const afterMs = random.pick([0, 0, 10, 60, 250, random.int(0, draw.brief ? 300 : 900)]);
  const weight = (feature: string, value: number) => (has(feature) ? value : 0);
  const what = random.weighted<"log" | "stop" | "start" | "service" | "grow" | "limit" | "probe">([
    [14, "log"],
    [weight("deaths", 2), "stop"],
    [weight("deaths", 3), "start"],
    [weight("kills", draw.brief ? 0.3 : 0.5), "service"],
    [weight("growth", 0.3), "grow"],
    // A large line would become thousands of records.
    [draw.recordBytes < recordBytesMax ? weight("limits", 0.25) : 0, "limit"],
    [weight("probes", 0.2), "probe"],
  ]);
  switch (what) {
    case "stop":
      return { afterMs, do: "stop", how: random.pick(signals), amid: random.chance(0.6) };
    case "service":
      return { afterMs, do: "service", how: random.chance(0.8) ? "kill" : "term" };
    case "limit": {
      const bytes = random.pick([600, 1_000, 3_000]);
      // Batches of a few records would take their time.
      return { afterMs, do: "limit", recordBytes: bytes, batchBytes: random.pick([20_000, 100_000]) };
    }
    case "probe":
      return { afterMs, do: "probe", what: random.pick(["second", "no-stream", "token"]) };
    case "log":
      return { afterMs, ...ofLog(draw, random.int(0, logs - 1)) };
    default:
      return { afterMs, do: what };
  }
}

function ofLog(draw: Drawing, log: number): OfLog {
  const { random, has } = draw;
  const some = (chance: number, most: number) => (random.chance(chance) ? linesOf(draw, most) : []);
  const weight = (feature: string, value: number) => (has(feature) ? value : 0);
  const what = random.weighted<OfLog["do"]>([
    [10, "write"],
    [weight("renames", 5), "rename"],
    [weight("copies", 4), "copy"],
    [weight("packing", 2), "compress"],
    [weight("pruning", 1), "prune"],
    [weight("hiding", 0.5), "hide"],
    [weight("links", 2), "turn"],
    [weight("replacing", 0.7), "replace"],
    [weight("losses", 0.4), "truncate"],
    [weight("losses", 0.6), "drop"],
    [0.5, "settle"],
  ]);
  switch (what) {
    case "write": {
      const open = has("parts") && random.chance(0.15) && { line: lineOf(draw), share: random.pick([0, 0.5, 1]) };
      const paceMs = random.pick([0, 0, 1, 5, 20]);
      return { do: "write", log, lines: linesOf(draw, paceMs > 5 ? 20 : 60), paceMs, ...(open && { open }) };
    }
    case "rename": {
      const late = has("late") ? some(0.35, 12) : [];
      return { do: "rename", log, late, paceMs: random.pick([0, 20, 100, 500]), create: random.chance(0.7) };
    }
    case "copy":
      return { do: "copy", log, gap: has("gaps") ? some(0.05, 4) : [], refill: some(0.5, 40) };
    case "compress":
      return { do: "compress", log, by: random.pick(["gz", "gz", "zst"]), age: random.pick([0, 0, 1, 2]) };
    case "hide":
      return { do: "hide", log, ms: random.pick([50, 400, 1_500]), lines: some(0.7, 10) };
    case "turn":
      return { do: "turn", log, lines: some(0.8, 20), between: has("losses") ? some(0.3, 8) : [] };
    case "replace":
      return { do: "replace", log, lines: some(0.7, 20), fresh: some(0.7, 20) };
    case "truncate":
      return { do: "truncate", log, refill: some(0.7, 20) };
    case "drop":
      return { do: "drop", log, lines: linesOf(draw, 10) };
    default:
      return { do: what, log };
  }
}

function inputOf(draw: Drawing): InputPlan {
  const { random, has, brief } = draw;
  const size = random.pick([1, 7, 100, 5_000]);
  const lines = linesOf(draw, brief ? 300 : 1_500);
  const bytes = size === 1 ? lines.slice(0, 60).filter(({ kind }) => !kind.startsWith("long")) : lines;
  const pieces = Array.from({ length: 20 }, () => Math.max(1, random.int(Math.ceil(size / 2), size * 2)));
  const dies = has("deaths") && random.chance(0.3);
  const service = has("kills") && random.chance(0.4);
  return {
    lines: bytes,
    pieces,
    open: random.chance(0.5),
    ...(dies && { dies: random.next() }),
    ...(service && { service: random.pick(["kill", "term"] as const) }),
  };
}
