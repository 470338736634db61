/** A service that is killed, and not its workerd with it: two never work over one folder. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { parentOf } from "../../src/node/processes.ts";
import { freePort } from "../adversary/frame/service.ts";

const root = resolve(import.meta.dirname, "../..");
const started: ChildProcess[] = [];
const folders: string[] = [];
const orphans: number[] = [];

afterEach(() => {
  for (const child of started.splice(0)) {
    // One that has a group of its own takes that with it.
    for (const pid of groupOf(child)) if (lives(pid)) process.kill(pid, "SIGKILL");
    child.kill("SIGKILL");
  }
  for (const pid of orphans.splice(0)) if (lives(pid)) process.kill(pid, "SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "millrace-orphan-"));
  folders.push(made);
  return made;
}

interface Served {
  readonly child: ChildProcess;
  /** What it said, up to where it answers or ends. */
  readonly said: string;
  readonly workerd: number;
}

async function serve(data: string, env: NodeJS.ProcessEnv = {}): Promise<Served> {
  const flags = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
  const child = spawn(process.execPath, [...flags, "scripts/serve.ts", "--port", "0", "--data", data], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += chunk;
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    said += `${line}\n`;
    if (line.startsWith("Data:")) break;
  }
  const workerd = child.exitCode === null ? Number(readFileSync(join(data, "workerd.pid"), "utf8")) : 0;
  if (workerd > 0) orphans.push(workerd);
  return { child, said, workerd };
}

async function killed({ child }: Served): Promise<void> {
  const gone = new Promise((done) => child.once("exit", done));
  child.kill("SIGKILL");
  await gone;
}

test.skipIf(process.platform !== "linux")(
  "workerd ends with the service that is killed, and the next one has the folder",
  {
    timeout: 120_000,
  },
  async () => {
    const data = folder();
    const first = await serve(data);
    expect(lives(first.workerd)).toBe(true);
    await killed(first);
    await expect.poll(() => lives(first.workerd), { timeout: 10_000 }).toBe(false);
    const second = await serve(data);
    expect(second.said).toContain("Data:");
  },
);

test.skipIf(process.platform !== "linux")(
  "where it cannot be made to, the next service finds it and refuses the folder",
  {
    timeout: 120_000,
  },
  async () => {
    const data = folder();
    // No setpriv on the way.
    const first = await serve(data, { PATH: "/nonexistent" });
    await killed(first);
    expect(lives(first.workerd)).toBe(true);
    const second = await serve(data);
    expect(second.said).toContain(`process ${first.workerd}, a workerd that has outlived its service`);
    expect(second.said).toContain("--data");
    process.kill(first.workerd, "SIGKILL");
    await expect.poll(() => lives(first.workerd), { timeout: 10_000 }).toBe(false);
    const third = await serve(data);
    expect(third.said).toContain("Data:");
  },
);

test.skipIf(process.platform !== "linux")(
  "a service that lives is called one, whatever Node each of the two runs on",
  { timeout: 180_000 },
  async () => {
    // Node 20 is without SQLite.
    const old = { NODE_OPTIONS: "--no-experimental-sqlite" };
    for (const [one, other] of [
      [old, old],
      [old, {}],
      [{}, old],
    ]) {
      const data = folder();
      const first = await serve(data, one);
      expect(first.said).toContain("Data:");
      const written = statSync(join(data, "worker.js")).mtimeMs;
      const second = await serve(data, other);
      expect(second.said.trim()).toBe(
        `another service has its data in ${data}; stop it, or name another folder with --data`,
      );
      // What is refused has touched nothing.
      expect(statSync(join(data, "worker.js")).mtimeMs).toBe(written);
      await killed(first);
    }
  },
);

/** `npm start` as far as it answers, or ends. */
async function start(port: number, data: string): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const args = ["--silent", "start", "--", "--port", String(port), "--data", data];
  const child = spawn("npm", args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], detached: true });
  started.push(child);
  let said = "";
  const ended = new Promise((done) => child.once("exit", done));
  const up = new Promise<void>((done) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        said += chunk;
        if (said.includes("Millrace is up")) done();
      });
    }
  });
  await Promise.race([up, ended]);
  return { child, said };
}

/** The processes of a group, by what `ps` says of them. */
const groupOf = ({ pid }: ChildProcess): number[] =>
  spawnSync("ps", ["-o", "pid=", "-g", String(pid)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter(Boolean)
    .map(Number);

test.skipIf(process.platform !== "linux")(
  "`npm start` has its folder for itself, and nothing of it outlives its being killed",
  { timeout: 180_000 },
  async () => {
    const data = folder();
    const [port, other] = [await freePort(), await freePort()];
    const first = await start(port, data);
    expect(first.said).toContain(`up on http://localhost:${port}`);
    const second = await start(other, data);
    expect(second.said).toContain(`another service has its data in ${data}`);
    const all = groupOf(first.child);
    orphans.push(...all);
    const itself = all.find((pid) => /^node\b.*\0scripts\/start.ts/.test(commandOf(pid))) as number;
    expect(all.filter((pid) => commandOf(pid).includes("workerd\0serve")).length).toBeGreaterThan(0);
    // esbuild asks each second whether its parent is there: that it waits for an answer just then is not left to luck.
    const esbuild = all.find((pid) => commandOf(pid).includes("esbuild\0--service")) as number;
    process.kill(parentOf(esbuild) as number, "SIGSTOP");
    await new Promise((done) => setTimeout(done, 1_500));
    process.kill(itself, "SIGKILL");
    const left = () => all.filter(lives).map((pid) => commandOf(pid).replaceAll("\0", " "));
    await expect.poll(left, { timeout: 30_000 }).toEqual([]);
  },
);

const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, "utf8");
