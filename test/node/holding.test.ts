/** One process has a folder of data, whatever its Node and its system have for that, and however the one before it ended. */
import { type ChildProcess, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import { claim } from "../../src/cli/claims.ts";
import { hold } from "../../src/cli/holding.ts";
import { begunAt, lives, numbering } from "../../src/node/processes.ts";

const script = resolve(import.meta.dirname, "holding-racer.ts");
const started: ChildProcess[] = [];
const folders: string[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "millrace-holding-"));
  folders.push(folder);
  return folder;
}

/** What a process has: Node 20 is without SQLite, and some systems without `flock`. */
const means = {
  both: {},
  "no SQLite": { NODE_OPTIONS: "--no-experimental-sqlite" },
  "no flock": { PATH: "/nonexistent" },
  neither: { NODE_OPTIONS: "--no-experimental-sqlite", PATH: "/nonexistent" },
} as const;
type Means = keyof typeof means;

async function racer(folder: string, name: Means): Promise<ChildProcess> {
  const execArgv = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  const child = fork(script, [folder], { execArgv, env: { ...process.env, ...means[name] } });
  started.push(child);
  await once(child, "message");
  return child;
}

async function told(child: ChildProcess, order: "hold" | "release"): Promise<string> {
  const answer = once(child, "message");
  child.send(order);
  return (await answer)[0] as string;
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test.each<readonly Means[]>([
  ["both", "both", "both", "both"],
  ["no SQLite", "no SQLite", "no SQLite", "no SQLite"],
  ["neither", "neither", "neither", "neither"],
  ["both", "no SQLite", "no flock", "neither"],
])("of four at once one has the folder: %s, %s, %s, %s", { timeout: 180_000 }, async (...names) => {
  const folder = newFolder();
  const racers = await Promise.all(names.map((name) => racer(folder, name)));
  const busy = `another service has its data in ${folder}; stop it, or name another folder with --data`;
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(racers.map((child) => told(child, "hold")));
    expect([...answers].sort()).toEqual([busy, busy, busy, "held"]);
    const holder = answers.indexOf("held");
    // Now it lets go, now it dies.
    if (round % 3 > 0) await told(racers[holder] as ChildProcess, "release");
    else {
      await killed(racers[holder] as ChildProcess);
      racers[holder] = await racer(folder, names[holder] as Means);
    }
  }
  // What the dead have left behind does not grow.
  expect(readdirSync(folder).filter((name) => name.includes("holder")).length).toBe(1);
});

test("a claim is void once it is let go of, its process is gone, or its number is another's", () => {
  const me = { pid: process.pid, begun: begunAt(process.pid), numbering: numbering() };
  for (const [owner, isFree] of [
    [me, false],
    [{ ...me, begun: "0" }, true],
    [{ ...me, pid: 0 }, true],
    [{ ...me, numbering: "of another container" }, true],
    ["", true],
  ] as const) {
    const folder = newFolder();
    mkdirSync(join(folder, "holder.7"));
    writeFileSync(join(folder, "holder.7/owner"), owner === "" ? "" : JSON.stringify(owner));
    expect(claim(folder) !== undefined, JSON.stringify(owner)).toBe(isFree);
  }
  const folder = newFolder();
  const release = claim(folder);
  expect(claim(folder)).toBeUndefined();
  release?.();
  expect(claim(folder)).toBeDefined();
});

test.skipIf(process.platform !== "linux")("what a process has only just started ends with it too", async () => {
  const mark = `${30 + Math.random()}`;
  const code = `import { spawn } from "node:child_process";
    import { mortal } from ${JSON.stringify(resolve(import.meta.dirname, "../../src/cli/holding.ts"))};
    const [command, ...args] = mortal(["sleep", ${JSON.stringify(mark)}]);
    spawn(command, args, { stdio: "ignore" });
    process.kill(process.pid, "SIGKILL");`;
  // One that takes its time to ask for the signal.
  const path = newFolder();
  const real = spawnSync("sh", ["-c", "command -v setpriv"], { encoding: "utf8" }).stdout.trim();
  writeFileSync(join(path, "setpriv"), `#!/bin/sh\nsleep 0.5\nexec ${real} "$@"`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${path}:${process.env.PATH}` };
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: "ignore", env });
  await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  const left = () =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => commandOf(pid).includes(mark));
  await expect.poll(left, { timeout: 10_000 }).toEqual([]);
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** A process whose first thread ends before the others, as one that is killed may be for a moment. */
const headless = `
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print(flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
`;
const canTell = process.platform === "linux" && spawnSync("python3", ["--version"]).status === 0;

test.skipIf(!canTell)("a workerd has the folder until its last thread has ended", { timeout: 30_000 }, async () => {
  const folder = newFolder();
  const child = spawn("python3", ["-c", headless], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  started.push(child);
  const pid = child.pid as number;
  writeFileSync(join(folder, "workerd.pid"), String(pid));
  const state = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0];
  await expect.poll(state, { timeout: 10_000 }).toBe("Z");
  expect(lives(pid)).toBe(true);
  await expect(hold(folder)).rejects.toThrow(`process ${pid}, a workerd that has outlived its service`);
  await killed(child);
  expect(lives(pid)).toBe(false);
  (await hold(folder)).release();
});
