/**
 * The service as its users have it: the command of `npm run serve`, in a process group of its own, with a folder of data of
 * its own. A kill is of the whole group: a launcher that is killed alone leaves the server behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Bucket } from "./bucket.ts";
import { eventually, sleep } from "./time.ts";

/** This repository. */
const here = resolve(import.meta.dirname, "../../..");
const bootMs = 60_000;
const running = new Set<Service>();

/** Ends every service of this process at once, and removes their data: for signals and exits, when nothing can be awaited. */
export function endAll(): void {
  for (const service of running) service.endNow();
}

/**
 * Whoever started the service may be killed himself. A shell in its group holds the other end of a pipe, and ends the group
 * when the pipe does.
 */
const guarded =
  'exec 3<&0; (cat <&3 >/dev/null 2>&1; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-; exec "$0" "$@" </dev/null';

function command(folder: string): string[] {
  const scripts = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).scripts as Record<string, string>;
  const [, ...words] = (scripts.serve as string).split(" ");
  return [process.execPath, ...words];
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

export class Service {
  readonly token = "adversary-root";
  readonly data = mkdtempSync(join(tmpdir(), "millrace-adversary-"));
  port = 0;
  kills = 0;
  #child: ChildProcess | undefined;
  #output = "";
  #moving: Promise<void> = Promise.resolve();
  /** Of the processes: one end at a time. */
  #ending: Promise<void> = Promise.resolve();
  /** An end that nobody asked for: what the service said at last. */
  died: string | undefined;

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  private constructor(
    readonly folder: string,
    readonly bucket: Bucket,
  ) {}

  /** `folder`: the repository whose service it is to be. */
  static async start(folder = here): Promise<Service> {
    const service = new Service(folder, await Bucket.start());
    running.add(service);
    service.port = await freePort();
    await service.#boot();
    return service;
  }

  async #boot(): Promise<void> {
    const options = ["--port", String(this.port), "--data", this.data];
    const child = spawn("sh", ["-c", guarded, ...command(this.folder), ...options], {
      cwd: this.folder,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...this.bucket.variables, MILLRACE_ROOT_TOKEN: this.token, NO_COLOR: "1" },
    });
    this.#child = child;
    this.#output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        this.#output = (this.#output + chunk).slice(-4000);
      });
    }
    child.once("exit", (code, signal) => {
      if (this.#child === child) this.died = `ended by itself with ${code ?? signal}: ${this.#words()}`;
    });
    const superseded = () => this.#child !== child;
    const healthy = await eventually(() => superseded() || this.died !== undefined || this.#healthy(), bootMs, 15);
    if (superseded()) return; // Killed as it started: the next start is another kill's.
    if (!healthy || this.died !== undefined)
      throw new Error(
        `the service does not start: ${this.died ?? `not up after ${bootMs / 1000} s: ${this.#words()}`}`,
      );
  }

  /** What it said at last. */
  #words(): string {
    return this.#output.trim() || "it said nothing";
  }

  #healthy(): Promise<boolean> {
    return new Promise((done) => {
      const request = get(`${this.origin}/healthz`, { agent: false, timeout: 2000 }, (answer) => {
        answer.resume();
        done(answer.statusCode === 200);
      });
      request.on("error", () => done(false));
      request.on("timeout", () => request.destroy());
    });
  }

  /**
   * SIGKILL to all of it, amid whatever it does, or the polite end, as a deployment's; then it is started again. A kill may
   * come while another one's start is under way, which then ends in the middle; both wait for the last start. `meanwhile` runs
   * when all of it is gone and nothing has started yet.
   */
  async kill(how: "kill" | "term", meanwhile?: () => void): Promise<void> {
    this.kills++;
    const killing = this.#restart(how === "kill" ? "SIGKILL" : "SIGTERM", this.#ending, meanwhile);
    this.#moving = killing.catch((error: Error) => {
      this.died ??= error.message;
    });
    await killing;
    await this.settled();
  }

  async #restart(signal: "SIGKILL" | "SIGTERM", before: Promise<void>, meanwhile?: () => void): Promise<void> {
    const ending = before.then(() => this.#end(signal)).then(meanwhile);
    this.#ending = ending.catch(() => {});
    const last = this.#ending;
    await ending;
    // Two that die in one moment start once.
    if (this.#ending === last) await this.#boot();
  }

  /** Whatever kills are under way are over, and the service is up. */
  async settled(): Promise<void> {
    for (let moving: Promise<void> | undefined; moving !== this.#moving; ) {
      moving = this.#moving;
      await moving;
    }
  }

  async stop(): Promise<void> {
    await this.#end("SIGKILL");
    this.bucket.end();
    running.delete(this);
    rmSync(this.data, { recursive: true, force: true, maxRetries: 5 });
  }

  endNow(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid !== undefined) signalGroup(child.pid, "SIGKILL");
    rmSync(this.data, { recursive: true, force: true });
  }

  async #end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid === undefined) return;
    const group = child.pid;
    if (signal === "SIGTERM") {
      process.kill(group, signal); // To the launcher alone, which ends the server.
      await eventually(() => processesOf(group).every((one) => one.name === "cat" || one.name === "sh"), 20_000);
    }
    signalGroup(group, "SIGKILL");
    child.stdin?.destroy();
    const gone = await eventually(() => processesOf(group).length === 0, 20_000, 5);
    if (!gone) throw new Error("the service does not end");
  }

  /** What its processes have burnt so far, in ms of CPU. */
  cpuMs(): number {
    const group = this.#child?.pid;
    if (group === undefined) return 0;
    return processesOf(group).reduce((sum, one) => sum + one.cpuMs, 0);
  }

  /** What its processes hold in memory, or those of a name, in bytes. */
  memory(name?: string): number {
    const group = this.#child?.pid;
    if (group === undefined) return 0;
    const counted = processesOf(group).filter((one) => name === undefined || one.name === name);
    return counted.reduce((sum, one) => sum + one.memory, 0);
  }

  /** What another process holds in memory, such as a command of its, in bytes. */
  memoryOf(pid: number): number {
    const stat = read(`/proc/${pid}/stat`);
    const pages = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[21];
    return Number(pages ?? 0) * 4096;
  }

  /** Lets it come to rest: CPU time that hardly grows. Whether it did, within the bound. */
  async rest(boundMs: number): Promise<boolean> {
    const end = performance.now() + boundMs;
    for (let before = this.cpuMs(); performance.now() < end; ) {
      await sleep(300);
      const now = this.cpuMs();
      if (now - before <= 10) return true;
      before = now;
    }
    return false;
  }
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended already.
  }
}

const tickMs = 10; // USER_HZ is 100 wherever Linux runs.

interface Process {
  name: string;
  cpuMs: number;
  memory: number;
}

/** The living processes of a group, from /proc/<pid>/stat. */
function processesOf(group: number): Process[] {
  const found: Process[] = [];
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = read(`/proc/${pid}/stat`);
    if (stat === undefined) continue;
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[2]) !== group || isOver(pid, fields[0] as string)) continue;
    const cpuMs = (Number(fields[11]) + Number(fields[12])) * tickMs;
    found.push({ name, cpuMs, memory: Number(fields[21]) * 4096 });
  }
  return found;
}

/** A zombie is, unless threads of its have yet to end: those hold what it had open, its port too. */
function isOver(pid: string, state: string): boolean {
  if (state !== "Z" && state !== "X") return false;
  try {
    return readdirSync(`/proc/${pid}/task`).length <= 1;
  } catch {
    return true;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
