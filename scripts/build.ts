/**
 * `npm run build`: what the package publishes, in `dist`: the client with its types, the command line, the Worker, and the
 * page, which the Worker serves. Runs after `npm ci` by itself.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type BuildOptions, buildSync } from "esbuild";
import { bundleWorker, manifest } from "./workerd.ts";

const root = resolve(import.meta.dirname, "..");
const dist = join(root, "dist");
const from = (path: string) => join(root, "src", path);
const common: BuildOptions = { bundle: true, format: "esm", logLevel: "warning", legalComments: "none" };

for (const folder of ["public", "types"]) rmSync(join(dist, folder), { recursive: true, force: true });
mkdirSync(join(dist, "public"), { recursive: true });

buildSync({
  ...common,
  entryPoints: [from("client/index.ts")],
  outfile: join(dist, "client.js"),
  platform: "neutral",
  target: "es2022",
  sourcemap: true,
});

buildSync({
  ...common,
  entryPoints: [from("cli/main.ts")],
  outfile: join(dist, "cli.js"),
  platform: "node",
  target: "node20.11",
  banner: {
    // Some of what is bundled was written for CommonJS.
    js: '#!/usr/bin/env node\nimport { createRequire as requireFrom } from "node:module";\nconst require = requireFrom(import.meta.url);',
  },
});
chmodSync(join(dist, "cli.js"), 0o755);

bundleWorker(from("worker.ts"), join(dist, "worker.js"));
writeFileSync(join(dist, "manifest.json"), `${JSON.stringify(manifest(), null, 2)}\n`);

buildSync({
  ...common,
  entryPoints: [from("page/page.ts")],
  outfile: join(dist, "public/page.js"),
  platform: "browser",
  target: "es2022",
  minify: true,
});
for (const file of ["index.html", "page.css"]) copyFileSync(from(`page/${file}`), join(dist, "public", file));

execFileSync(
  join(root, "node_modules/.bin/tsc"),
  ["-p", join(root, "tsconfig.client.json"), "--outDir", join(dist, "types")],
  { stdio: "inherit" },
);
