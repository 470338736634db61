/** Draws streams of small forms, so that over the rounds every byte of them is met. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type {
  Blow,
  Column,
  Commit,
  DamagePlan,
  FilePlan,
  Part,
  Reader,
  SegmentColumn,
  StreamPlan,
  Way,
} from "./plan.ts";

const keys = 4;
const parts: readonly (readonly [number, Part])[] = [
  [2, "header"],
  [3, "frames"],
  [3, "records"],
  [4, "index"],
  [4, "footer"],
];
const numbers: readonly Column[] = ["base", "next", "first", "last", "records", "flags", "bytes"];
const segmentNumbers: readonly SegmentColumn[] = [
  ...(["n", "next", "first", "last", "chunks", "records", "bytes", "hot", "size", "indexBytes", "sealed"] as const),
  ...(["sha", "prev", "origin"] as const),
];
const ways: readonly Way[] = ["pages", "backward", "ndjson", "frames", "events", "socket", "packed", "group", "dump"];

interface Drawing {
  readonly random: Random;
  readonly has: (feature: string) => boolean;
  readonly brief: boolean;
}

export function damagePlan(random: Random, scale: Scale): DamagePlan {
  const draw: Drawing = { random, has: (feature) => !scale.without.has(feature), brief: scale.brief };
  const count = scale.brief ? 2 : random.int(5, 9);
  const streams = Array.from({ length: count }, () => streamPlan(draw));
  if (!scale.brief && draw.has("objects")) streams.push(sweep(draw));
  const file = draw.has("files") && random.chance(scale.brief ? 1 : 0.7);
  return {
    streams,
    how: random.chance(0.8) ? "kill" : "term",
    ...(file && { file: filePlan(draw, count) }),
  };
}

function streamPlan(draw: Drawing): StreamPlan {
  const { random, has, brief } = draw;
  const partitions = random.chance(0.25) ? 2 : 1;
  const stamps = random.chance(0.3);
  const keep = brief ? 8 : random.pick([8, 16, 24, 40]);
  const rewritten = has("rewriting") && random.chance(brief ? 0.25 : 0.3);
  const commits = Array.from({ length: partitions }, () => commitsOf(draw, keep));
  const snapshot = has("snapshots") && random.chance(0.4);
  return {
    partitions,
    stamps,
    keep,
    commits,
    ...(rewritten && { rewriting: "erase" as const }),
    ...(snapshot && { snapshot: random.pick([1, 40, 700]) }),
    blows: Array.from({ length: partitions }, (_, partition) =>
      // Beside one that is damaged, one that is not.
      partition > 0 && random.chance(0.5) ? [] : blowsOf(draw, snapshot),
    ),
    readers: readersOf(draw, partitions),
    repair: has("repairs") && random.chance(0.8),
  };
}

/** Parts whose size is the same in each segment of one chunk. */
const fixed = [
  ["header", 48],
  ["frames", 32],
  ["footer", 200],
] as const;

/** One byte after another of the same part, each in a segment of its own. */
function sweep({ random, has }: Drawing): StreamPlan {
  const [part, bytes] = random.pick(fixed);
  const start = random.int(0, bytes - 1);
  const struck = Math.min(bytes, 50);
  const commit = () => ({ records: [{ key: random.int(0, keys - 1), size: random.int(0, 40), afterMs: 1 }] });
  return {
    partitions: 1,
    stamps: random.chance(0.5),
    keep: 8,
    commits: [Array.from({ length: struck + 12 }, commit)],
    blows: [
      Array.from({ length: struck }, (_, i) => ({
        on: "object" as const,
        which: 0,
        part,
        at: (((start + i) % bytes) + 0.5) / bytes,
        bit: random.int(0, 7),
      })),
    ],
    readers: [],
    repair: has("repairs") && random.chance(0.5),
  };
}

function commitsOf({ random, brief }: Drawing, keep: number): Commit[] {
  const most = brief ? 3 : random.pick([1, 3, 6]);
  const total = keep + random.int(12, brief ? 20 : 36);
  const found: Commit[] = [];
  for (let count = 0; count < total; count += (found.at(-1) as Commit).records.length) {
    const records = Array.from({ length: random.int(1, most) }, () => ({
      key: random.chance(0.2) ? null : random.int(0, keys - 1),
      size: random.weighted([
        [8, random.int(0, 40)],
        [1, 3000],
      ]),
      afterMs: random.pick([0, 0, 1, 5, 1000]),
    }));
    found.push({ records });
  }
  return found;
}

function blowsOf(draw: Drawing, snapshot: boolean): Blow[] {
  const { random, has } = draw;
  const found: Blow[] = [];
  const most = random.pick([1, 3, 8]);
  for (let i = random.int(1, most); i > 0; i--) {
    if (has("manifest") && random.chance(0.15)) {
      found.push(segmentBlow(draw));
      continue;
    }
    const objects = has("objects") && (!has("rows") || random.chance(0.6));
    if (objects) found.push(objectBlow(draw));
    else if (has("rows")) found.push(rowBlow(draw));
  }
  if (snapshot) {
    const how = random.pick(["flipped", "flipped", "flipped", "cut", "empty", "missing"] as const);
    found.push({ on: "snapshot", how, at: random.next(), bit: random.int(0, 7) });
  }
  return found;
}

function objectBlow({ random, has }: Drawing): Blow {
  const which = random.next();
  const at = random.next();
  if (has("fates") && random.chance(0.2)) {
    return { on: "object", which, how: random.pick(["cut", "grown", "empty", "missing", "swapped", "foreign"]), at };
  }
  return { on: "object", which, part: random.weighted(parts), at, bit: random.int(0, 7) };
}

function segmentBlow({ random }: Drawing): Blow {
  const column = random.chance(0.3) ? "print" : random.pick(segmentNumbers);
  const bytes = ["print", "sha", "prev", "origin"].includes(column);
  const bit = bytes ? random.int(0, 7) : random.chance(0.6) ? random.int(0, 8) : random.int(0, 62);
  return { on: "segment", which: random.next(), column, at: random.next(), bit };
}

function rowBlow({ random, has }: Drawing): Blow {
  const which = random.next();
  const at = random.next();
  if (has("fates") && random.chance(0.2)) {
    return { on: "row", which, how: random.pick(["missing", "cut", "empty", "swapped"]), at };
  }
  const column = has("prints") && random.chance(0.1) ? "print" : drawnColumn();
  function drawnColumn(): Column {
    return has("numbers") && random.chance(0.6) ? random.pick(numbers) : "body";
  }
  // Of a number the low bits do the subtle harm.
  const bit =
    column === "body" || column === "print"
      ? random.int(0, 7)
      : random.chance(0.6)
        ? random.int(0, 8)
        : random.int(0, 62);
  return { on: "row", which, column, at, bit };
}

function readersOf({ random, brief, has }: Drawing, partitions: number): Reader[] {
  const merged = new Set<Way>(["pages", "ndjson", "events", "socket"]);
  return random.sample(ways, brief ? 3 : 7).map((way) => {
    const alone = !merged.has(way) || partitions === 1 || random.chance(0.5);
    const keyed = way !== "group" && way !== "dump" && random.chance(0.25);
    const partition = way === "group" ? null : alone ? random.int(0, partitions - 1) : null;
    const placed = alone && way !== "group" && way !== "backward" && random.chance(0.4);
    return {
      way,
      partition,
      key: keyed ? random.int(0, keys - 1) : null,
      from: placed
        ? {
            at: way === "dump" || !has("times") || random.chance(0.7) ? ("offset" as const) : ("time" as const),
            share: random.next(),
          }
        : { at: "earliest" as const },
      window: random.pick([1, 7, 50, 1000]),
    };
  });
}

function filePlan({ random, brief }: Drawing, streams: number): FilePlan {
  const blows = Array.from({ length: brief ? 1 : random.int(3, 8) }, () => ({
    how: random.weighted([
      [8, "flipped"],
      [1, "cut"],
      [1, "grown"],
    ] as const),
    at: random.next(),
    bit: random.int(0, 7),
  }));
  return { stream: random.int(0, streams - 1), restore: !brief && random.chance(0.5), blows };
}
