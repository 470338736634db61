/** `npm run soak:proofs`: every promise that the adversary looks after, broken once on purpose. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/adversary/lies/*.test.ts"], testTimeout: 120_000, hookTimeout: 60_000, maxWorkers: 2 },
});
