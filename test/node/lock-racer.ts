/** A process that tries for a lock when it is told to, and says whether it got it: for files.test.ts. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { lock } from "../../src/cli/files.ts";

// As on a machine that has much to do: between any two steps others may come.
const steps = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
for (const name of ["openSync", "readFileSync", "readdirSync", "mkdirSync", "rmSync", "rmdirSync", "unlinkSync"]) {
  const step = steps[name] as (...args: unknown[]) => unknown;
  steps[name] = (...args) => {
    const until = performance.now() + Math.random() * 5;
    while (performance.now() < until);
    return step(...args);
  };
}
syncBuiltinESMExports();

let unlock = () => {};
process.on("message", (order: "lock" | "unlock") => {
  if (order === "unlock") {
    unlock();
    process.send?.("unlocked");
    return;
  }
  try {
    unlock = lock(process.argv[2] as string, () => "busy");
    process.send?.("locked");
  } catch (error) {
    process.send?.((error as Error).message);
  }
});
process.send?.("ready");
