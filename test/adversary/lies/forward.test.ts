/** Every promise of the log forwarder, broken once on purpose: the program finds it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, test } from "vitest";
import type { Beat, ForwardPlan, LinePlan, LogPlan, Options } from "../forward/plan.ts";
import { forward } from "../forward/program.ts";
import type { Json } from "../frame/http.ts";
import { endAll, Service } from "../frame/service.ts";
import type { Lie } from "./liar.ts";
import { finds, keeps, type Proof } from "./proof.ts";

const json: LinePlan = { kind: "json", size: 0 };
const lines = Array.from({ length: 5 }, () => json);
const log: LogPlan = { scheme: "numbered", origin: "there", sparse: false, twice: false, first: lines, mark: false };
const options: Options = { once: false, text: false, key: false, quiet: false, json: false, relative: false };
const write: Beat = { afterMs: 0, do: "write", log: 0, lines, paceMs: 0 };
const plan = (beats: readonly Beat[], more: Partial<ForwardPlan> = {}): ForwardPlan => ({
  partitions: 1,
  recordBytes: 1_000_000,
  batchBytes: 8_388_608,
  options,
  logs: [log],
  beats,
  ...more,
});

const rotated = plan([
  write,
  { afterMs: 0, do: "rename", log: 0, late: [json], paceMs: 0, create: true },
  write,
  { afterMs: 0, do: "copy", log: 0, gap: [], refill: lines },
  write,
]);
const cut = plan([write, { afterMs: 0, do: "truncate", log: 0, refill: lines }, write]);

const records = (change: (records: Json[]) => void): Lie => ({
  tells: ({ method, path }, { body }) => {
    if (method === "GET" && path.includes("/records?") && body?.records?.length > 3) change(body.records);
  },
});

const root = resolve(import.meta.dirname, "../../..");
const folders: string[] = [];

/** The command line, and before it a lie of its process. */
function doctored(lie: string): Lie {
  const folder = mkdtempSync(join(tmpdir(), "millrace-liar-"));
  folders.push(folder);
  const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const real = pathToFileURL(join(root, bin.millrace)).href;
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", bin: { millrace: "cli.js" } }));
  writeFileSync(join(folder, "cli.js"), `${helpers}\n${lie}\nawait import(${JSON.stringify(real)});\n`);
  return { machine: { folder } };
}

const helpers = `
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
const { argv } = process;
const isLast = argv.includes("--once") && argv.includes("--quiet");
const file = argv[4];
const state = argv[argv.indexOf("--state") + 1];
const changed = (stream, change) => {
  const write = stream.write.bind(stream);
  stream.write = (text, ...more) => write(change(String(text)), ...more);
};`;

const proofs: readonly Proof<ForwardPlan>[] = [
  { invariant: "lines-once", plan: rotated, lie: records((all) => all.push(all[0])) },
  { invariant: "lines-order", plan: rotated, lie: records((all) => all.reverse()) },
  {
    invariant: "lines-unchanged",
    plan: rotated,
    lie: records((all) => {
      all[0].data.n = 77;
    }),
  },
  {
    invariant: "keys",
    plan: rotated,
    lie: records((all) => {
      all[0].key = "another";
    }),
  },
  {
    invariant: "told",
    plan: cut,
    lie: doctored('changed(process.stderr, (text) => text.includes("lost") ? "" : text);'),
  },
  { invariant: "alarm", plan: rotated, lie: doctored('console.error(file + ": all behind byte 7 is lost");') },
  {
    invariant: "follows",
    plan: rotated,
    lie: doctored('changed(process.stderr, (text) => text.includes("follows") ? "" : text);'),
  },
  { invariant: "quiet", plan: rotated, lie: doctored('if (isLast) console.error("all is well");') },
  {
    invariant: "rejected",
    plan: rotated,
    lie: doctored(`
mkdirSync(state, { recursive: true });
const line = JSON.stringify({ reason: "a lie", key: file, line: "0.1; that nobody wrote" });
writeFileSync(state + "/rejected.ndjson", line + "\\n");`),
  },
  {
    invariant: "sums",
    plan: rotated,
    lie: doctored('changed(process.stdout, (text) => text.replace(/^\\d+/, "77"));'),
  },
  {
    invariant: "ends",
    plan: rotated,
    patience: 0.25,
    lie: doctored('if (argv.includes("--once")) { setInterval(() => {}, 1000); await new Promise(() => {}); }'),
  },
  { invariant: "exit", plan: rotated, lie: doctored('process.on("exit", () => { process.exitCode = 5; });') },
  { invariant: "state", plan: rotated, lie: doctored("if (isLast) rmSync(state, { recursive: true });") },
  { invariant: "memory", plan: rotated, lie: { machine: { memoryOf: () => 2 ** 40 } } },
];

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(() => {
  endAll();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe("a promise of the forwarder that is broken is found", () => {
  test.each(proofs.map((proof) => [proof.invariant, proof] as const))("%s", (_, proof) =>
    finds(forward, proof, service),
  );

  test("each of them", ({ expect }) => {
    const promised = Object.keys(forward.invariants);
    expect(promised.filter((name) => !proofs.some(({ invariant }) => invariant === name))).toEqual([]);
  });
});

describe("without the lie nothing is found", () => {
  test.each([
    ["what is rotated", rotated],
    ["what is cut", cut],
  ] as const)("%s", (_, plan) => keeps(forward, plan, service));
});
