import { join } from "node:path";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes a minute and more, and computes little of it, begins before all else. */
const first = ["http/forgetting", "http/slow-bodies"];
/**
 * Of each project, what takes longest begins first, so that nobody waits for it at the end; most of it waits, and others work
 * meanwhile. What only computes fills the end. A worker goes on with a file of its own project and ends before one of another:
 * where projects alternate, workers are begun anew, and load anew what they share.
 */
const longest = [
  "adversary/adversary",
  "system/dump",
  "system/import",
  "system/forward",
  "system/archive",
  "system/client",
  "system/s3",
  "system/orphan",
  "http/restore-deleted",
  "http/large-pages",
  "http/bucket-errors",
  "http/restore-fields",
  "http/archive",
  "http/below-head",
  "http/client",
  "http/lost-answers",
  "http/tickets",
  "http/sockets",
  "http/fairness",
  "http/group-waiting",
  "workerd/delivery",
  "workerd/archive",
];
const order = ["system", "http", "workerd", "node"];

const among = (names: readonly string[], moduleId: string): number => {
  const at = names.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return at >= 0 ? at : names.length;
};
const places = ({ moduleId, project }: TestSpecification): number[] => [
  among(first, moduleId),
  order.indexOf(project.name),
  among(longest, moduleId),
];
const byPlaces = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((before, place, at) => before || place - b[at], 0);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => byPlaces(places(a), places(b)));
  }
}

/** Hundreds of processes run the same few programs: the command line, the script that serves, and these workers. */
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "node_modules/.cache/millrace-compiled");

/** What is polled for comes as soon as the machine has time for it: no poll is a measure of that. */
const expect = { poll: { timeout: 15_000 } };
/** A file of tests leaves nothing behind but what it imported: the next one need not load that anew. */
const shared = { isolate: false, expect };
/** What is long by nature has more to do in `npm run soak:tests`, beside others. */
const long = process.env.MILLRACE_LONG !== undefined;
const [testTimeout, patience] = long ? [300_000, 300_000] : [60_000, 120_000];
const patient = { ...shared, testTimeout: patience, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Most of them wait for processes, not for a core.
    maxWorkers: 7,
    projects: [
      // Pure cores, over node:sqlite, and the rules of the house.
      // Clocks are stopped in some, and whatever is still running there moves them.
      {
        test: {
          name: "node",
          include: ["test/node/**/*.test.ts"],
          ...shared,
          setupFiles: ["./test/leftovers.ts"],
          testTimeout,
        },
      },
      {
        // The same cores and the objects around them, inside workerd: files share one, and its objects, of which each has its own.
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            verbose: false,
            miniflare: { bindings: { MILLRACE_ROOT_TOKEN: "test-token" } },
          }),
        ],
        test: { name: "workerd", include: ["test/workerd/**/*.test.ts"], ...shared, testTimeout: 60_000 },
      },
      // The whole Worker on bare workerd, by HTTP; each file has a service of its own.
      { test: { name: "http", include: ["test/http/**/*.test.ts"], ...patient, globalSetup: "./test/http/built.ts" } },
      // Processes, and their deaths; and who wants to break all of it.
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts", "test/adversary/*.test.ts"],
          ...patient,
          globalSetup: "./test/http/built.ts",
        },
      },
    ],
  },
});
