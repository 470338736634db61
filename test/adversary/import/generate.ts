/** Draws rounds of the import program. */
import type { Scale } from "../frame/program.ts";
import type { Random } from "../frame/random.ts";
import type {
  After,
  Encoding,
  Form,
  ImportPlan,
  JobPlan,
  Look,
  Mishap,
  RefusalPlan,
  RowPlan,
  RunPlan,
} from "./plan.ts";
import { refusals } from "./refusals.ts";
import { openQuote } from "./rows.ts";

type Has = (feature: string) => boolean;

const encodings: readonly Encoding[] = [
  "utf-8-mark",
  "utf-16le-mark",
  "utf-16be-mark",
  "utf-16le",
  "windows-1252",
  "latin1",
  "koi8-r",
  "shift_jis",
  "gbk",
];

function look(random: Random, form: Form, has: Has): Look {
  const encoding = has("encodings") && random.chance(0.4) ? random.pick(encodings) : "utf-8";
  const printing = random.pick(["value", "object", "kcat", "rpk", "tab", "tab-null"] as const);
  const key = random.pick(["column", "column", "path", "literal", "none"] as const);
  return {
    encoding,
    gzip: has("packed") && random.chance(0.4) ? random.int(1, 3) : 0,
    lineEnd: random.chance(0.2) ? "\r\n" : "\n",
    ended: random.chance(0.8),
    pad: random.pick([0, 0, 100, 400, 900]),
    // What is printed without its key has it in a column.
    key: form === "changes" && printing === "value" && key !== "path" ? "column" : key,
    ids: random.chance(0.4),
    time: random.pick(["none", "rfc", "space", "s", "ms", "us", "ns"] as const),
    unitSaid: random.chance(0.3),
    fields: random.chance(0.5),
    delimiter: random.pick([",", ",", ";", "\t", "|"] as const),
    header: random.weighted([
      [4, "row"],
      [1, "columns"],
      [1, "sep"],
    ] as const),
    quoted: random.pick(["all", "needed"] as const),
    numbers: random.chance(0.4),
    printing,
    envelope: random.pick(["none", "none", "key", "value", "both"] as const),
    unwrapped: random.chance(0.25),
  };
}

const shapesMax = 1_000;

function rowsOf(random: Random, form: Form, count: number): RowPlan[] {
  const rows: RowPlan[] = [];
  for (let n = 0; n < count; n++) {
    const row = { n, key: random.int(0, 12), shape: random.int(0, shapesMax) };
    rows.push(row);
    // What a connector sends again after its own death. Of those whose place is not known to tell, nobody can say.
    const isKnown = row.shape % 6 !== 5 && row.shape % 13 !== 9;
    if (form === "changes" && isKnown && random.chance(0.03)) rows.push(row);
  }
  return rows;
}

function mishaps(random: Random, has: Has, services: boolean): Mishap[] {
  const one = (): Mishap => {
    const kind = random.weighted([
      [5, "lost"],
      [2, "late"],
      [has("kills") ? 5 : 0, "kill"],
      [has("kills") ? 1 : 0, "term"],
      [has("kills") ? 2 : 0, "interrupt"],
      [services ? 2 : 0, "service-term"],
      [has("growth") ? 3 : 0, "grow"],
    ] as const);
    const ms = random.pick([0, 0, random.int(1, 30), random.int(30, 200)]);
    return {
      append: random.pick([1, 1, 2, random.int(1, 8)]),
      at: random.pick(["asked", "answered"] as const),
      kind,
      ms,
    };
  };
  const drawn = Array.from({ length: random.int(1, 3) }, one);
  if (services)
    drawn.unshift({ append: random.int(1, 3), at: "answered", kind: "service-kill", ms: random.int(0, 50) });
  // One death of the service in a run, and one more partition.
  const rare = (kind: string) => (kind.startsWith("service") ? "service" : kind === "grow" ? kind : undefined);
  const firsts = drawn.filter(({ kind }, i) => {
    const name = rare(kind);
    return name === undefined || drawn.findIndex((other) => rare(other.kind) === name) === i;
  });
  // Who dies at an append, and hears nothing of it, has lost the answer.
  return firsts.flatMap((mishap) =>
    mishap.kind === "kill" && random.chance(0.6) ? [mishap, { ...mishap, kind: "lost" as const }] : [mishap],
  );
}

function runs(random: Random, has: Has, brief: boolean, services: boolean): RunPlan[] {
  const count = random.int(0, brief ? 1 : 3);
  return Array.from({ length: services ? Math.max(1, count) : count }, (_, i) => ({
    mishaps: mishaps(random, has, services && i === 0),
    ...(has("kills") && random.chance(0.2) && { killMs: random.int(100, 2_000) }),
  }));
}

const states = ["state-cut", "state-empty", "state-zeros", "state-other"] as const;

/** `kind`: one of these is among them, where the door allows it, so that each is tried every few rounds. */
function afterwards(random: Random, door: JobPlan["door"], most: number, kind: number): After[] {
  const any: readonly After[] = ["again", "copied", "dry-run"];
  const stated: readonly After[] = ["first-changed", "shorter", "row-gone", random.pick(states), "added", "made-anew"];
  const filed: readonly After[] = ["state-lost", "state-lost"];
  const all = [...any, ...(door === "pipe-name" ? [] : stated), ...(door.startsWith("file") ? filed : [])];
  const must =
    door === "pipe-name" ? any : [states, ["first-changed", "shorter", "row-gone", "made-anew"] as const, all][kind];
  const drawn = [...new Set([random.pick(must ?? all), ...random.sample(all, random.int(0, most - 1))])];
  // Those that want what is as it was come first, and what empties the stream last.
  const rank = (act: After) => (act.startsWith("state") ? 0 : act === "made-anew" ? 2 : 1);
  return drawn.sort((a, b) => rank(a) - rank(b));
}

const forms: readonly (readonly [number, Form])[] = [
  [4, "lines"],
  [3, "records"],
  [5, "csv"],
  [6, "changes"],
  [2, "outbox"],
];

/** `services`: the service dies amid one of its runs. */
function job(random: Random, has: Has, brief: boolean, kind: number, services: boolean): JobPlan {
  const usable = forms.filter(([, one]) => one === "lines" || has(one));
  const form = kind === 0 && has("changes") && random.chance(0.4) ? "changes" : random.weighted(usable);
  const door = random.weighted([
    [5, "file"],
    [2, "file-state"],
    [3, "pipe-state"],
    [2, "pipe-name"],
  ] as const);
  const drawn = look(random.fork("look"), form, has);
  const onError = door === "pipe-name" || random.chance(0.5) ? "skip" : "stop";
  const isCut = has("cut") && form !== "csv" && door !== "pipe-name" && random.chance(0.12);
  const count = random.pick(brief ? [10, 40, 120] : [1, 10, 100, 300, 800]);
  let rows = rowsOf(random.fork("rows"), form, count);
  const after = has("after") && random.chance(0.7) ? afterwards(random, door, brief ? 1 : 2, kind) : [];
  if (has("bad") && !isCut && !after.includes("added") && random.chance(kind === 2 ? 0.6 : 0.2)) {
    for (let bads = random.int(1, onError === "skip" ? 5 : 2); bads > 0; bads--) {
      const at = random.int(0, rows.length - 1);
      rows = rows.map((row, i) => (i === at ? { ...row, n: 500_000 + i, shape: -random.int(1, shapesMax) } : row));
    }
  }
  const isOffsets = form === "records" && !isCut && rows.every(({ shape }) => shape >= 0) && random.chance(0.4);
  if (form === "csv" && has("bad") && door !== "pipe-name" && !after.includes("added") && random.chance(0.1)) {
    rows = rows.map((row, i) => (i === rows.length - 1 ? { ...row, shape: openQuote } : row));
  }
  return {
    kind: "import",
    source: { form, look: isCut ? { ...drawn, gzip: 1 } : drawn, rows, ...(isOffsets && { offsets: true as const }) },
    partitions: isOffsets ? 1 : random.pick([1, 1, 2, 3]),
    batchBytesMax: random.pick([24_000, 50_000, 200_000]),
    door,
    json: random.chance(0.5),
    onError,
    ...(isCut && { cut: random.pick([random.int(10, 999), 999]) }),
    runs: runs(random.fork("runs"), (feature) => has(feature) && !(isOffsets && feature === "growth"), brief, services),
    twins: has("twins") && door !== "pipe-name" && random.chance(0.08),
    after: isOffsets ? after.filter((act) => act !== "state-lost") : after,
  };
}

function refusal(random: Random): RefusalPlan {
  return { kind: "refusal", name: random.pick(refusals), rows: random.pick([2, 20, 3_000]), pipe: random.chance(0.4) };
}

export function importPlan(random: Random, scale: Scale): ImportPlan {
  const has: Has = (feature) => !scale.without.has(feature);
  const count = scale.brief ? 2 : 3;
  const dies = has("service-kills") && random.chance(scale.brief ? 0.2 : 0.4) ? random.int(0, count - 1) : undefined;
  const jobs: (JobPlan | RefusalPlan)[] = Array.from({ length: count }, (_, i) =>
    job(random.fork(i), has, scale.brief, i % 3, i === dies),
  );
  const many = has("refusals") ? (scale.brief ? 1 : 2) : 0;
  for (let i = 0; i < many; i++) jobs.push(refusal(random.fork(`refusal ${i}`)));
  return { jobs };
}
