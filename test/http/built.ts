/** Builds the package once, before the first test that uses it. */
import { execFileSync } from "node:child_process";
import { resolve } from "node:path";

export function setup(): void {
  execFileSync(process.execPath, [resolve(import.meta.dirname, "../../scripts/build.ts")], { stdio: "inherit" });
}
