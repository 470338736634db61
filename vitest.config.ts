import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      // Pure cores, over node:sqlite, and the rules of the house.
      { test: { name: "node", include: ["test/node/**/*.test.ts"], testTimeout: 60_000 } },
      {
        // The same cores and the objects around them, inside workerd.
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            verbose: false,
            miniflare: { bindings: { MILLRACE_ROOT_TOKEN: "test-token" } },
          }),
        ],
        test: { name: "workerd", include: ["test/workerd/**/*.test.ts"], testTimeout: 60_000 },
      },
      // The whole Worker on bare workerd, by HTTP; processes, and their deaths.
      {
        test: {
          name: "system",
          include: ["test/http/**/*.test.ts", "test/system/**/*.test.ts", "test/adversary/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
