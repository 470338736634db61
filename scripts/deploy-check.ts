/** Builds every environment of wrangler.toml as `wrangler deploy` would, and uploads nothing. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "smol-toml";
import { takesNothing } from "./options.ts";

takesNothing("npm run deploy:check", "Builds every environment of wrangler.toml, and uploads nothing.");
const root = resolve(import.meta.dirname, "..");
const toml = parse(readFileSync(resolve(root, "wrangler.toml"), "utf8")) as { env: Record<string, unknown> };
let failed = 0;
for (const name of Object.keys(toml.env)) {
  const { status, stdout, stderr } = spawnSync(
    resolve(root, "node_modules/.bin/wrangler"),
    ["deploy", "--dry-run", "--env", name],
    { cwd: root, encoding: "utf8", env: { ...process.env, WRANGLER_SEND_METRICS: "false", CI: "1" } },
  );
  console.log(`deploy --dry-run --env ${name}: ${status === 0 ? "ok" : "FAILED"}`);
  if (status !== 0) {
    failed++;
    console.error(stdout + stderr);
  }
}
process.exit(failed === 0 ? 0 : 1);
