/** `npm run build` beside a service that serves what was built before. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const whole = [
  "public/index.html",
  "public/page.css",
  "public/page.js",
  "cli.js",
  "command.js",
  "worker.js",
  "client.js",
  "manifest.json",
];

test("what is served is whole at every moment of a build, and of two at once", async () => {
  const read = () => whole.map((path) => readFileSync(join(root, "dist", path), "utf8"));
  const before = read();
  /** Which file has each name, and when it was written: what is looked at costs less than to read it, and is looked at more often. */
  const places = () =>
    whole.map((path) => {
      const { ino, size, mtimeNs, ctimeNs } = statSync(join(root, "dist", path), { bigint: true });
      return [ino, size, mtimeNs, ctimeNs].join();
    });
  let seen = "";
  let [looked, changed] = [0, 0];
  const look = () => {
    const now = places().join();
    if (now !== seen) {
      expect(read()).toEqual(before);
      changed++;
    }
    seen = now;
    looked++;
  };
  let running = 2;
  const ended = [1, 2].map(async () => {
    const child = spawn(process.execPath, [join(root, "scripts/build.ts")], { stdio: "ignore" });
    const [code] = await once(child, "close");
    running--;
    return code as number;
  });
  while (running > 0) {
    look();
    await pause(1);
  }
  look();
  expect(await Promise.all(ended)).toEqual([0, 0]);
  expect(looked).toBeGreaterThan(10);
  // What was there before, and what was built.
  expect(changed).toBeGreaterThan(1);
  expect(readdirSync(root).filter((name) => name.startsWith(".dist-"))).toEqual([]);
});

test("a Node that is too old is told which one is needed, before it parses what it cannot", () => {
  const cli = join(root, "dist/cli.js");
  const asOld = (node: string) =>
    `data:text/javascript,Object.defineProperty(process, "versions", { value: { node: "${node}" } })`;
  const run = (node: string) =>
    spawnSync(process.execPath, ["--import", asOld(node), cli, "--version"], { encoding: "utf8" });
  for (const node of ["18.20.8", "20.10.0"]) {
    expect(run(node)).toMatchObject({
      status: 1,
      stderr: `millrace: this is Node ${node}, and Node 20.11 or newer is needed\n`,
    });
  }
  for (const node of ["20.11.0", "22.0.0"]) expect(run(node)).toMatchObject({ status: 0, stderr: "" });
  // Nothing else is parsed with it.
  expect(readFileSync(cli, "utf8")).not.toMatch(/^import\b/m);
});
