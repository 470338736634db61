import { scheduler } from "node:timers/promises";
import { test, vi } from "vitest";
import { archiveAgainstModel, rewrittenAgainstModel } from "../cases/archive.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });
// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

test("an archived log agrees with a list, wherever a crash or a fault comes in", async () => {
  await archiveAgainstModel(
    () => nodeSql(),
    () => memoryBlobs(),
    Number(process.env.RUNS ?? 150),
  );
});

test("a log that is compacted, and of which keys are forgotten, agrees with a list", async () => {
  await rewrittenAgainstModel(
    () => nodeSql(),
    () => memoryBlobs(),
    Number(process.env.RUNS ?? 150),
  );
});
