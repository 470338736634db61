/** Rotations that come between any two calls of the forwarder to the file system: every line once, in order, and no warning. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import type { Position } from "../../src/cli/forward/identity.ts";
import { Report } from "../../src/cli/forward/report.ts";
import { Search } from "../../src/cli/forward/search.ts";
import { Tail } from "../../src/cli/forward/tail.ts";
import { chance } from "../cases/chance.ts";
import { times } from "../cases/long.ts";

/** What is to happen before a call. */
const hook = vi.hoisted(() => {
  // Another file of tests may have loaded the modules without it.
  vi.resetModules();
  return { before: () => {} };
});
vi.mock("node:fs", async (original) => {
  const own = (await original()) as typeof import("node:fs");
  const hooked = (name: "readdirSync" | "statSync" | "openSync" | "fstatSync" | "readSync") => {
    const call = own[name] as (...args: unknown[]) => unknown;
    return (...args: unknown[]) => {
      hook.before();
      return call(...args);
    };
  };
  return {
    ...own,
    readdirSync: hooked("readdirSync"),
    statSync: hooked("statSync"),
    openSync: hooked("openSync"),
    fstatSync: hooked("fstatSync"),
    readSync: hooked("readSync"),
  };
});

const root = mkdtempSync(join(tmpdir(), "millrace-between-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const methods = ["rename", "copytruncate", "late"] as const;
const rotationsMax = 8;

test.each(Array.from({ length: times(60, 1_000) }, (_, seed) => seed))(
  "rotations between any two calls, seed %i",
  async (seed) => {
    const next = chance(seed + 1);
    const method = methods[next(methods.length)];
    const folder = mkdtempSync(join(root, "case-"));
    const log = join(folder, "a.log");
    mkdirSync(join(folder, "state"));
    const said: string[] = [];
    const report = new Report(false, (line) => said.push(line));
    const begin = (saved: readonly Position[]) =>
      new Tail(
        { path: log, saved, fromEnd: false, once: false },
        new Search(join(folder, "state"), report, 1_000),
        report,
        () => false,
      );
    let written = 0;
    const write = (path: string, count: number) => {
      for (let left = count; left > 0; left--) appendFileSync(path, `${written++}\n`);
    };
    const rotate = () => {
      for (let number = 30; number > 0; number--) {
        if (existsSync(`${log}.${number}`)) renameSync(`${log}.${number}`, `${log}.${number + 1}`);
      }
      if (method === "copytruncate") {
        copyFileSync(log, `${log}.1`);
        truncateSync(log);
      } else {
        renameSync(log, `${log}.1`);
        if (method === "late") write(`${log}.1`, next(3));
        writeFileSync(log, "");
      }
      write(log, next(3));
    };
    write(log, 1 + next(5));

    let clock = Date.now();
    const got: number[] = [];
    const take = (tail: Tail) => {
      for (let piece = tail.next(1e9); piece !== undefined; piece = tail.next(1e9)) got.push(Number(piece.bytes));
    };
    let tail = begin([]);
    await tail.look(clock);
    take(tail);
    let [rotations, left] = [0, next(60)];
    hook.before = () => {
      if (left-- > 0 || rotations === rotationsMax) return;
      // What it does itself is no call of the forwarder.
      [left, rotations] = [1 + next([3, 30, 300][next(3)]), rotations + 1];
      const { before } = hook;
      hook.before = () => {};
      rotate();
      hook.before = before;
    };
    for (let step = 0; step < 60; step++) {
      clock += next(2_000);
      await tail.look(clock);
      if (next(3) > 0) take(tail);
      if (next(6) === 0) {
        const saved = JSON.parse(JSON.stringify(tail.positions));
        tail.close();
        tail = begin(saved);
      }
    }
    hook.before = () => {};
    for (let look = 0; look < 40; look++) {
      clock += 2_000;
      await tail.look(clock);
      take(tail);
    }
    tail.close();
    const words = `${method}, ${rotations} rotations`;
    expect(got, words).toEqual(Array.from({ length: written }, (_, number) => number));
    expect(
      said.filter((line) => /lost|missing/.test(line)),
      words,
    ).toEqual([]);
  },
);
