/**
 * What rotations of every kind do between any two calls of the forwarder to the file system, at any pace, on file systems of
 * several kinds, while it is killed and started again: every line once, in order, and no word of a loss.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import type { Position } from "../../src/cli/forward/identity.ts";
import { Report } from "../../src/cli/forward/report.ts";
import { Search } from "../../src/cli/forward/search.ts";
import { Tail } from "../../src/cli/forward/tail.ts";
import { chance } from "../cases/chance.ts";
import { Disk } from "../cases/disk.ts";
import { times } from "../cases/long.ts";
import { RotatedLog, type RotationPlan } from "../cases/rotated-log.ts";

/** Where the files are, and what is to happen before a call. */
const world = vi.hoisted(() => {
  // Another file of tests may have loaded the modules without it.
  vi.resetModules();
  return { before: () => {}, fails: (): boolean => false, disk: undefined as Disk | undefined };
});
vi.mock("node:fs", async (original) => {
  const own = (await original()) as typeof import("node:fs");
  type Call = (...args: unknown[]) => unknown;
  const mine = (theirs: unknown, call: (disk: Disk, args: unknown[]) => unknown, isFd = false): Call => {
    return (...args) => {
      const { disk } = world;
      if (disk === undefined || !(isFd ? disk.holdsFd(args[0]) : disk.holds(args[0]))) return (theirs as Call)(...args);
      world.before();
      return call(disk, args);
    };
  };
  const isBig = (options: unknown) => (options as { bigint?: boolean } | undefined)?.bigint === true;
  return {
    ...own,
    readdirSync: mine(own.readdirSync, (disk, [path]) => disk.readdir(path as string)),
    statSync: mine(own.statSync, (disk, [path, options]) => disk.stat(path as string, isBig(options))),
    realpathSync: mine(own.realpathSync, (_, [path]) => path),
    openSync: mine(own.openSync, (disk, [path]) => {
      if (world.fails()) throw Object.assign(new Error("too many"), { code: "EMFILE" });
      return disk.open(path as string);
    }),
    closeSync: mine(own.closeSync, (disk, [fd]) => disk.close(fd as number), true),
    fstatSync: mine(own.fstatSync, (disk, [fd, options]) => disk.fstat(fd as number, isBig(options)), true),
    readSync: mine(
      own.readSync,
      (disk, args) => disk.read(...(args as [number, Buffer, number, number, number])),
      true,
    ),
  };
});

const root = mkdtempSync(join(tmpdir(), "millrace-steps-"));
const state = join(root, "state");
mkdirSync(state);
afterAll(() => rmSync(root, { recursive: true, force: true }));
afterEach(() => {
  world.disk = undefined;
  [world.before, world.fails] = [() => {}, () => false];
  vi.restoreAllMocks();
});

const of = <T>(next: (below: number) => number, choices: readonly T[]): T => choices[next(choices.length)];

test.each(Array.from({ length: times(100, 2_000) }, (_, seed) => seed))(
  "whatever is done to a log between any two calls, seed %i",
  async (seed) => {
    const next = chance(seed + 1);
    const disk = new Disk("/in-memory", {
      exactNs: of(next, [1_000n, 4_000_000n, 1_000_000_000n]),
      births: next(3) > 0,
      reuse: next(3) > 0,
    });
    const method = of(next, ["rename", "copytruncate", "late", "link", "packcopy"] as const);
    // A late line makes the oldest look like the newest: of numbers that are counted up nothing else tells.
    const names = of(next, ["numbers", "numbers", method === "late" ? "days" : "up", "days"] as const);
    const plan: RotationPlan = {
      method,
      names,
      packedFrom: of(next, [0, 1, 2]),
      rotationsMax: 1 + next(10),
      // Times alone tell that numbers are counted up, and which of several compressed copies is the newer one.
      pauseMs: of(
        next,
        names === "up" || method === "packcopy" ? [60_000, 3_600_000] : [0, 1, 1_000, 3_000, 60_000, 3_600_000],
      ),
      lineBytesMax: of(next, [1, 40, 400]),
      // Who is late for long finds his line cut.
      halves: next(2) === 0 && method !== "late",
      deletes: next(3) === 0,
    };
    world.disk = disk;
    vi.spyOn(Date, "now").mockImplementation(() => Math.floor(disk.nowMs));
    const log = new RotatedLog(disk, plan, next);
    const said: string[] = [];
    const tell = (line: string) => {
      log.steps.push(line);
      said.push(line);
    };
    const report = new Report(false, tell);
    const begin = (saved: readonly Position[]) =>
      new Tail(
        { path: "/in-memory/a.log", saved, fromEnd: false, once: false },
        new Search(state, report, 1_000),
        report,
        () => false,
      );
    let got: number[] = [];
    const take = (tail: Tail, most: number) => {
      const first = got.length;
      for (let left = most; left > 0; left--) {
        const piece = tail.next(1e9);
        if (piece === undefined) break;
        got.push(Number(piece.bytes.toString().split(":")[0]));
      }
      if (got.length > first) log.steps.push(`  took ${got[first]} to ${got.at(-1)}`);
    };
    let tail = begin([]);
    await tail.look(disk.nowMs);
    take(tail, 1 + next(3));
    /** What is on the disk of a forwarder, and what it sent by then. */
    let saved = JSON.stringify(tail.positions);
    let sent = got.length;
    /** Calls until the next steps. */
    let left = next(60);
    const often = of(next, [3, 30, 300]);
    const somewhat = (most: number) => {
      const { before } = world;
      world.before = () => {};
      for (let count = next(most); count >= 0; count--) log.step();
      world.before = before;
    };
    const failing = next(4) === 0;
    world.fails = () => failing && next(10) === 0;
    world.before = () => {
      if (left-- > 0) return;
      left = 1 + next(often);
      somewhat(of(next, [1, 5, 60]));
    };
    for (let look = 0; look < 60; look++) {
      if (next(3) === 0) somewhat(30);
      disk.nowMs += next(500);
      log.endCopy();
      await tail.look(disk.nowMs);
      if (next(3) > 0) take(tail, 1 + next(60));
      if (next(3) === 0) {
        saved = JSON.stringify(tail.positions);
        sent = got.length;
        log.done = doneOf(got);
      }
      if (next(8) > 0) continue;
      // It is killed; whoever comes next knows what is on the disk.
      log.steps.push(`  killed, knows ${sent}: ${saved.replace(/"(dev|head|near|name)":"[^"]*",?/g, "")}`);
      tail.close();
      got = got.slice(0, sent);
      if (next(2) === 0) somewhat(100);
      tail = begin(JSON.parse(saved));
    }
    [world.before, world.fails] = [() => {}, () => false];
    log.end();
    for (let look = 0; look < 60; look++) {
      disk.nowMs += 2_000;
      await tail.look(disk.nowMs);
      take(tail, 1e9);
    }
    tail.close();
    const { generations } = log;
    const whole = Array.from(generations, (_, number) => number);
    const { exactNs, births, reuse } = disk.options;
    const words = `${Object.values(plan).join()} ${exactNs} births ${births} reuse ${reuse}: ${runsOf(got)} of ${whole.length}`;
    // Lines of a writer that was late come beside others; those of one file are in order.
    expect(
      [...got].sort((a, b) => a - b),
      words,
    ).toEqual(whole);
    // So may those that followed a place of a few bytes, which proves too little of a compressed copy to tell it from others.
    const isLoose = plan.method === "late" || (plan.method === "packcopy" && !births);
    const order = isLoose ? got.toSorted((a, b) => generations[a] - generations[b]) : got;
    expect(order, words).toEqual(whole);
    expect(
      // One that is compressed for minutes is waited for during seconds; it is whole later.
      said.filter((line) => / lost|missing/.test(line) && !line.includes("is cut off")),
      words,
    ).toEqual([]);
    expect(disk.openFiles).toBe(0);
  },
);

test("an empty generation and the file after it were changed in the same moment", async () => {
  const disk = new Disk("/in-memory", { exactNs: 1_000n, births: true, reuse: false });
  world.disk = disk;
  vi.spyOn(Date, "now").mockImplementation(() => Math.floor(disk.nowMs));
  const report = new Report(true, () => {});
  const begin = (saved: readonly Position[]) => {
    const options = { path: "/in-memory/a.log", saved, fromEnd: false, once: false };
    return new Tail(options, new Search(state, report, 1_000), report, () => false);
  };
  let tail = begin([]);
  const got: string[] = [];
  const look = async () => {
    disk.nowMs += 5_000;
    await tail.look(disk.nowMs);
    for (let piece = tail.next(1e9); piece !== undefined; piece = tail.next(1e9)) got.push(piece.bytes.toString());
  };
  const rotate = (count: number) => {
    for (let number = count; number > 0; number--) disk.rename(`a.log.${number}`, `a.log.${number + 1}`);
    disk.append("a.log.1", disk.data("a.log"));
    disk.truncate("a.log");
  };
  disk.append("a.log", Buffer.from("0\n"));
  await look();
  rotate(0);
  rotate(1);
  disk.append("a.log", Buffer.from("1\n"));
  const { positions } = tail;
  tail.close();
  tail = begin(positions);
  // All three are held now, and rotated once more.
  await tail.look(disk.nowMs);
  rotate(2);
  disk.append("a.log", Buffer.from("2\n"));
  for (let count = 0; count < 6; count++) await look();
  tail.close();
  expect(got).toEqual(["0", "1", "2"]);
});

/** How many are there without a gap. */
function doneOf(numbers: readonly number[]): number {
  const all = new Set(numbers);
  let done = 0;
  while (all.has(done)) done++;
  return done;
}

/** Numbers that follow each other, for whoever reads what failed. */
function runsOf(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of numbers) {
    const last = runs.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map((run) => run.join("-")).join(" ");
}

test("what may have been written before a file or after it is named", async () => {
  const disk = new Disk("/in-memory", { exactNs: 1_000_000_000n, births: false, reuse: false });
  world.disk = disk;
  vi.spyOn(Date, "now").mockImplementation(() => Math.floor(disk.nowMs));
  const said: string[] = [];
  const report = new Report(false, (line) => said.push(line));
  const options = { path: "/in-memory/a.log", fromEnd: false, once: false };
  const begin = (saved: readonly Position[]) =>
    new Tail({ ...options, saved }, new Search(state, report, 1_000), report, () => false);
  disk.append("a.log", Buffer.from("0:\n"));
  const first = begin([]);
  await first.look(disk.nowMs);
  expect(first.next(1e9)?.bytes.toString()).toContain("0:");
  const saved = first.positions;
  first.close();
  for (const number of [1, 2]) {
    disk.nowMs += number === 1 ? 0 : 1_000;
    disk.append("a.log", Buffer.from(`${number}:\n`));
    disk.rename("a.log", `a.log.${number}`);
  }
  disk.append("a.log", Buffer.from("3:\n"));
  const second = begin(saved);
  for (let look = 0; look < 5; look++) {
    await second.look(disk.nowMs);
    disk.nowMs += 2_000;
    while (second.next(1e9) !== undefined);
  }
  second.close();
  expect(said.filter((line) => line.includes("not read"))).toEqual([
    expect.stringContaining("not read, and may be wanted: a.log.2; their times do not tell"),
  ]);
});
