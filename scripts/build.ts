/**
 * `npm run build`: what the package publishes, in `dist`: the client with its types, the command line, the Worker, and the
 * page, which the Worker serves. Runs after `npm ci` by itself. A service that serves the page meanwhile, or another build,
 * finds every file whole at any moment: what is built stands aside until all of it is there, and then takes the places.
 */
import { execFileSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { type BuildOptions, build, buildSync } from "esbuild";
import { takesNothing } from "./options.ts";
import { bundleWorker, manifest } from "./workerd.ts";

takesNothing("npm run build", "Writes what the package publishes into dist. A service that runs meanwhile goes on.");
const root = resolve(import.meta.dirname, "..");
/** Beside `dist`, so that what is built names its sources as it will from there. */
const dist = mkdtempSync(join(root, ".dist-"));
process.once("exit", () => rmSync(dist, { recursive: true, force: true }));
const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const leastNode: string = engines.node.replace(">=", "");
const from = (path: string) => join(root, "src", path);
const common: BuildOptions = { bundle: true, format: "esm", logLevel: "warning", legalComments: "none" };

mkdirSync(join(dist, "public"), { recursive: true });

for (const [entry, outfile] of [
  ["client/index.ts", "client.js"],
  ["client/options.ts", "options.js"],
])
  buildSync({
    ...common,
    entryPoints: [from(entry)],
    outfile: join(dist, outfile),
    platform: "neutral",
    target: "es2022",
    sourcemap: true,
    // It has the little checksum; everybody else, and what a Worker runs, the fast one.
    define: { LITTLE_CODE: "true" },
  });

for (const [entry, outfile, platform, target] of [
  ["client/webhook.ts", "webhook.js", "neutral", "es2022"],
  ["node/index.ts", "node.js", "node", `node${leastNode}`],
] as const)
  await build({
    ...common,
    entryPoints: [from(entry)],
    outfile: join(dist, outfile),
    platform,
    target,
    sourcemap: true,
    plugins: [
      {
        // Its errors are those of the library, so that `instanceof` knows them.
        name: "errors",
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/millrace-error\.ts$/ }, () => ({
            path: "./client.js",
            external: true,
            sideEffects: false,
          })),
      },
    ],
  });

await build({
  ...common,
  entryPoints: [from("cli/main.ts")],
  outfile: join(dist, "command.js"),
  platform: "node",
  target: `node${leastNode}`,
  banner: {
    // Some of what is bundled was written for CommonJS.
    js: 'import { createRequire as requireFrom } from "node:module";\nconst require = requireFrom(import.meta.url);',
  },
  plugins: [
    {
      // The parser's; the bar of progress has a version of its own, which is loaded where it is drawn.
      name: "width",
      setup: ({ onResolve }) =>
        onResolve({ filter: /^string-width$/ }, ({ kind }) =>
          kind === "import-statement" ? { path: join(import.meta.dirname, "string-width.ts") } : undefined,
        ),
    },
  ],
});
writeFileSync(join(dist, "cli.js"), launcher(leastNode), { mode: 0o755 });

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

for (const config of ["tsconfig.client.json", "tsconfig.node.json"])
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", join(root, config), "--outDir", join(dist, "types")], {
    stdio: "inherit",
  });

/** By their paths in the folder. */
const files = (folder: string) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((file) => relative(folder, join(file.parentPath, file.name)));
const built = new Set(files(dist));
const target = join(root, "dist");
for (const path of built) {
  mkdirSync(dirname(join(target, path)), { recursive: true });
  renameSync(join(dist, path), join(target, path));
}
// What an earlier version built, and this one does not.
for (const path of files(target)) if (!built.has(path)) rmSync(join(target, path), { force: true });

/** The entry of the command line: a Node that is too old cannot even parse the rest, and says no more than where. */
function launcher(least: string): string {
  const [major, minor] = least.split(".");
  return `#!/usr/bin/env node
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > ${major} || (major === ${major} && minor >= ${minor})) await import("./command.js");
else {
  console.error("millrace: this is Node " + process.versions.node + ", and Node ${least} or newer is needed");
  process.exitCode = 1;
}
`;
}
