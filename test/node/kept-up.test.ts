/** A program whose modules are replaced under it, as by `npm ci`, is up again; and it ends when it is told to, come what may. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type Keeping, keepUp } from "../../scripts/kept-up.ts";

const folders: string[] = [];
const kept: Keeping[] = [];

afterEach(async () => {
  for (const keeping of kept.splice(0)) await keeping.stop("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A program that stays, whatever it is told, unless `ends`. */
const stays = "for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => {}); setInterval(() => {}, 1_000);";
const ends = "process.exit(7)";

function install(modules: string, program: string): void {
  const aside = `${modules}.new`;
  mkdirSync(join(aside, "tool"), { recursive: true });
  writeFileSync(join(aside, "tool/main.mjs"), program);
  writeFileSync(join(aside, ".package-lock.json"), "{}");
  rmSync(modules, { recursive: true, force: true });
  renameSync(aside, modules);
}

function start(program: string) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-kept-"));
  folders.push(folder);
  const modules = join(folder, "node_modules");
  install(modules, program);
  const seen: string[] = [];
  const keeping = keepUp({
    command: [process.execPath, join(modules, "tool/main.mjs")],
    env: process.env,
    modules,
    files: ["tool/main.mjs"],
    started: () => seen.push("started"),
    replaced: () => seen.push("replaced"),
  });
  kept.push(keeping);
  return { modules, seen, keeping };
}

const patient = { timeout: 40_000, interval: 100 };

test.each([
  ["goes on without them", stays],
  [
    "ends for want of them",
    `import { existsSync } from "node:fs";
    setInterval(() => existsSync(import.meta.filename) || process.exit(1), 20);`,
  ],
])("a program that %s is started again once they are whole", { timeout: 90_000 }, async (_, program) => {
  const { modules, seen, keeping } = start(program);
  await expect.poll(() => seen, patient).toEqual(["started"]);
  await new Promise((done) => setTimeout(done, 1_000));
  rmSync(modules, { recursive: true });
  await expect.poll(() => seen, patient).toEqual(["started", "replaced"]);
  // The program is there, and npm has not said yet that all is.
  install(modules, program);
  rmSync(join(modules, ".package-lock.json"));
  await new Promise((done) => setTimeout(done, 4_000));
  expect(seen).toEqual(["started", "replaced"]);
  writeFileSync(join(modules, ".package-lock.json"), "{}");
  await expect.poll(() => seen, patient).toEqual(["started", "replaced", "started"]);
  await keeping.stop("SIGKILL");
});

test("a program that does not end when it is told to is killed within seconds", { timeout: 60_000 }, async () => {
  const { seen, keeping } = start(stays);
  await expect.poll(() => seen, patient).toEqual(["started"]);
  await new Promise((done) => setTimeout(done, 1_000));
  const before = performance.now();
  await keeping.stop("SIGINT");
  expect(performance.now() - before).toBeLessThan(10_000);
  await keeping.ended;
});

test("a program that ends by itself is not started again", { timeout: 60_000 }, async () => {
  const { seen, keeping } = start(ends);
  expect(await keeping.ended).toBe(7);
  expect(seen).toEqual(["started"]);
});
