/** Twelve writers whose logs are rotated by every method, a forwarder and a service that are killed: the sums are exact. */
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace } from "../../src/client/index.ts";
import { times } from "../cases/long.ts";
import { type Process, start } from "../http/cli.ts";
import { token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-pool-"));
let running: Running;
let forwarder: Process | undefined;

beforeAll(async () => {
  running = await run({ data, token });
});
afterAll(async () => {
  forwarder?.child.kill("SIGKILL");
  await running.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

const rotateMs = 2_000;
const runMs = times(7_000, 50_000);
const methods = ["rename", "copytruncate", "late"] as const;

/** Writes numbered lines until it is over, and rotates its log in its way once it is known. How many lines it wrote. */
async function writer(index: number, phase: { known: boolean; over: boolean }): Promise<number> {
  const method = methods[index % methods.length];
  const path = join(data, `w${index}.log`);
  let written = 0;
  let file = openSync(path, "a");
  const write = () => {
    writeSync(file, `{"w":${index},"n":${written++}}\n`);
  };
  const shift = () => {
    // None is dropped before it was read, however slow the machine.
    for (let number = 99; number > 0; number--) {
      if (existsSync(`${path}.${number}`)) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
    }
  };
  const rotate = async () => {
    shift();
    if (method === "copytruncate") {
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
      return;
    }
    renameSync(path, `${path}.1`);
    const old = file;
    // Others write to the new one at once, while this one does not know of it.
    if (method === "late") appendFileSync(path, "");
    for (let late = 0; method === "late" && late < 20; late++) {
      write();
      await pause(20);
    }
    closeSync(old);
    file = openSync(path, "a");
  };
  let rotated = Date.now() + (index * rotateMs) / 12;
  while (!phase.over) {
    for (let count = 0; count < 5; count++) write();
    if (phase.known && Date.now() - rotated >= rotateMs) {
      rotated = Date.now();
      await rotate();
    }
    await pause(10);
  }
  closeSync(file);
  return written;
}

/** Numbers in runs of those that follow each other, each once. */
function runsOf(numbers: readonly number[]): number[][] {
  const runs: number[][] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.[1] === number) last[1]++;
    else runs.push([number, number + 1]);
  }
  return runs;
}

test("twelve writers, three ways of rotation, and deaths", { timeout: 240_000 }, async () => {
  const stream = new Millrace({ url: running.url, token }).stream("pool");
  await stream.put({ partitions: 2 });
  const port = Number(new URL(running.url).port);
  const paths = Array.from({ length: 12 }, (_, index) => join(data, `w${index}.log`));
  for (const path of paths) appendFileSync(path, "");
  const begin = () => {
    const args = ["forward", "pool", ...paths, "--state", join(data, "state")];
    forwarder = start(args, { MILLRACE_URL: running.url, MILLRACE_TOKEN: token });
  };
  const appended = async () => {
    const found: { w: number; n: number }[] = [];
    for await (const { data } of stream.read({ pageSize: 10_000 })) found.push(data as { w: number; n: number });
    return found;
  };
  begin();
  const phase = { known: false, over: false };
  const writing = Promise.all(paths.map((_, index) => writer(index, phase)));
  // Of a file that it never saw under its first name it cannot know where it came from.
  await expect.poll(async () => new Set((await appended()).map(({ w }) => w)).size, { timeout: 60_000 }).toBe(12);
  phase.known = true;
  const until = Date.now() + runMs;
  for (let round = 0; Date.now() < until - 1_000; round++) {
    // It is to die at any moment of its work, and not before.
    const { said } = forwarder as Process;
    await expect.poll(() => said.err, { timeout: 30_000 }).toContain("follows");
    await pause(300 + ((round * 377) % 1_000));
    forwarder?.child.kill("SIGKILL");
    await forwarder?.ended;
    if (round % 3 === 1) {
      await running.stop("SIGKILL");
      running = await run({ data, token, port });
    } else await pause(200);
    begin();
  }
  phase.over = true;
  const written = await writing;
  const total = written.reduce((sum, one) => sum + one, 0);
  const deadline = Date.now() + 60_000;
  let found = await appended();
  for (; found.length < total && Date.now() < deadline; found = await appended()) await pause(500);
  forwarder?.child.kill("SIGTERM");
  const said = await forwarder?.ended;
  const runs = paths.map((_, index) => runsOf(found.filter(({ w }) => w === index).map(({ n }) => n)));
  expect(runs, said?.err).toEqual(written.map((count) => [[0, count]]));
  expect(said).toMatchObject({ code: 0 });
  expect(said?.err).not.toMatch(/is lost/);
});
