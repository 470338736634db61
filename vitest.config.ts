import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes longest begins first: nobody waits for it at the end. */
const order = ["node", "workerd", "system", "http"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((a, b) => order.indexOf(a.project.name) - order.indexOf(b.project.name));
  }
}

/** A file of tests leaves nothing behind but what it imported: the next one need not load that anew. */
const shared = { isolate: false };
const patient = { ...shared, testTimeout: 120_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      // Pure cores, over node:sqlite, and the rules of the house.
      { test: { name: "node", include: ["test/node/**/*.test.ts"], ...shared, testTimeout: 60_000, maxWorkers: 2 } },
      {
        // The same cores and the objects around them, inside workerd.
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            verbose: false,
            miniflare: { bindings: { MILLRACE_ROOT_TOKEN: "test-token" } },
          }),
        ],
        test: { name: "workerd", include: ["test/workerd/**/*.test.ts"], testTimeout: 60_000, maxWorkers: 2 },
      },
      // The whole Worker on bare workerd, by HTTP; each file has a service of its own.
      {
        test: {
          name: "http",
          include: ["test/http/**/*.test.ts"],
          ...patient,
          globalSetup: "./test/http/built.ts",
          maxWorkers: 7,
          sequence: { groupOrder: 1 },
        },
      },
      // Processes, and their deaths; and who wants to break all of it.
      {
        test: {
          name: "system",
          include: ["test/system/**/*.test.ts", "test/adversary/*.test.ts"],
          ...patient,
          globalSetup: "./test/http/built.ts",
          maxWorkers: 7,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
