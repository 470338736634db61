/** Builds the package once, before the first test that uses it, whichever project that is of; services take their Worker from it. */
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

export function setup(): void {
  if (process.env.MILLRACE_BUILT_WORKER !== undefined) return;
  execFileSync(process.execPath, [resolve(root, "scripts/build.ts")], { stdio: "inherit" });
  process.env.MILLRACE_BUILT_WORKER = resolve(root, "dist/worker.js");
}
