/** Compressed generations that hold more, or less, than one whole member; and files that cannot be opened for a while. */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib, { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Position } from "../../src/cli/forward/identity.ts";
import { Report } from "../../src/cli/forward/report.ts";
import { Search } from "../../src/cli/forward/search.ts";
import { Tail } from "../../src/cli/forward/tail.ts";

/** What opening a file that is named so fails with. */
const hidden = vi.hoisted(() => {
  // Another file of tests may have loaded the modules without it.
  vi.resetModules();
  return { code: "", of: "", opened: [] as string[] };
});
vi.mock("node:fs", async (original) => {
  const own = (await original()) as typeof import("node:fs");
  const openSync = (...args: Parameters<typeof own.openSync>) => {
    const path = String(args[0]);
    if (hidden.code !== "" && path.includes(hidden.of)) throw Object.assign(new Error(path), { code: hidden.code });
    hidden.opened.push(path);
    return own.openSync(...args);
  };
  return { ...own, openSync };
});

const root = mkdtempSync(join(tmpdir(), "millrace-packed-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
let said: string[];
let clock: number;
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  said = [];
  clock = Date.now();
  hidden.code = "";
});

afterEach(() => {
  vi.restoreAllMocks();
});

const at = (name: string) => join(folder, name);
const linesOf = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `line ${from + index}`);
const textOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");
const write = (name: string, lines: readonly string[]) => appendFileSync(at(name), textOf(lines));

function open(saved: readonly Position[] = []): Tail {
  mkdirSync(at("state"), { recursive: true });
  const report = new Report(false, (line) => said.push(line));
  const options = { path: at("a.log"), saved, fromEnd: false, once: false };
  return new Tail(options, new Search(at("state"), report, 1_000), report, () => false);
}

/** Dies, and is started again. */
function again(tail: Tail): Tail {
  const saved = JSON.parse(JSON.stringify(tail.positions));
  tail.close();
  return open(saved);
}

function take(tail: Tail, most = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = [];
  for (let piece = lines.length < most ? tail.next(1e9) : undefined; piece !== undefined; ) {
    lines.push(piece.bytes.toString("latin1"));
    piece = lines.length < most ? tail.next(1e9) : undefined;
  }
  return lines;
}

async function read(tail: Tail, looks = 5): Promise<string[]> {
  const lines: string[] = [];
  for (let look = 0; look < looks; look++) {
    clock += 2_000;
    await tail.look(clock);
    lines.push(...take(tail));
  }
  return lines;
}

const warnings = () => said.filter((line) => !/ follows | rotated; | its copy /.test(line));

/** Instead of the file, compressed; as if long ago. */
function replace(name: string, ending: string, bytes: Buffer, agoS = 3_600): void {
  writeFileSync(at(`${name}${ending}`), bytes);
  utimesSync(at(`${name}${ending}`), clock / 1_000 - agoS, clock / 1_000 - agoS);
  unlinkSync(at(name));
}

const hasZstd = typeof zlib.zstdCompressSync === "function";
const skippable = Buffer.from("502a4d180400000061626364", "hex");
const kinds = [
  { ending: ".gz", pack: (text: string) => gzipSync(text), program: "gzip", zeros: undefined },
  ...(hasZstd
    ? [{ ending: ".zst", pack: (text: string) => zlib.zstdCompressSync(text), program: "zstd", zeros: "lies behind" }]
    : []),
];
const more = linesOf(50, 1_000);

describe.each(kinds)("what lies behind the end of a $ending file", ({ ending, pack, program, zeros }) => {
  const second = pack(textOf(more));
  test.each([
    ["nothing", Buffer.alloc(0), [], undefined],
    ["zeros", Buffer.alloc(1_000), [], zeros],
    ["a text", Buffer.from("and more\n"), [], `something lies behind the end of what ${program} has packed`],
    ["a text behind zeros", Buffer.from("\0\0\0\0more\n"), [], `lies behind the end of what ${program} has packed`],
    ["a second one", second, more, undefined],
    ["a second one, cut off", second.subarray(0, -9), undefined, `${program} file is cut off`],
    ["the beginning of a second one", second.subarray(0, 5), [], `${program} file is cut off`],
    ...(program === "zstd"
      ? [["what is skipped, and a second one", Buffer.concat([skippable, second]), more, undefined]]
      : []),
  ])("%s: what can be read is, and what cannot is said", async (_, behind, extra, says) => {
    write("a.log", linesOf(100));
    const tail = open();
    await tail.look(clock);
    expect(take(tail, 60)).toEqual(linesOf(60));
    // Of the file that was read, and of one after it, which is unpacked when its turn comes.
    renameSync(at("a.log"), at("a.log.2"));
    write("a.log.1", linesOf(100, 100));
    for (const name of ["a.log.2", "a.log.1"]) {
      replace(name, ending, Buffer.concat([pack(readFileSync(at(name), "utf8")), behind]));
    }
    write("a.log", ["new"]);
    const next = again(tail);
    const got = await read(next, 12);
    next.close();
    if (extra !== undefined) {
      expect(got).toEqual([...linesOf(40, 60), ...extra, ...linesOf(100, 100), ...extra, "new"]);
    } else {
      // As far as it goes.
      expect(got.filter((line) => /^line \d{1,3}$/.test(line))).toEqual(expect.arrayContaining(linesOf(140, 60)));
      expect(got.at(-1)).toBe("new");
    }
    if (says === undefined) return expect(warnings()).toEqual([]);
    for (const name of ["a.log.2", "a.log.1"]) {
      expect(warnings().filter((line) => line.includes(`${at(name)}${ending}: `) && line.includes(says))).toHaveLength(
        1,
      );
    }
    expect(warnings()).toHaveLength(2);
  });

  test("what is cut off amid the one that is read is read as far as it goes, and said", async () => {
    write("a.log", linesOf(40_000));
    const tail = open();
    await tail.look(clock);
    take(tail, 10);
    renameSync(at("a.log"), at("a.log.1"));
    const whole = pack(readFileSync(at("a.log.1"), "utf8"));
    replace("a.log.1", ending, whole.subarray(0, whole.length - 40));
    write("a.log", ["new"]);
    const next = again(tail);
    const got = await read(next, 8);
    next.close();
    expect(got.length).toBeGreaterThan(2_000);
    expect(got.slice(0, -2)).toEqual(linesOf(got.length - 2, 10));
    expect(got.at(-1)).toBe("new");
    expect(warnings()).toEqual([expect.stringMatching(/file is cut off.*no more than \d+ bytes can be read/)]);
  });
});

test("what is cut off and was written to just now is waited for, and then read as a whole", async () => {
  write("a.log", linesOf(100));
  const tail = open();
  await tail.look(clock);
  take(tail, 60);
  const whole = gzipSync(readFileSync(at("a.log"), "utf8"));
  unlinkSync(at("a.log"));
  writeFileSync(at("a.log.1.gz"), whole.subarray(0, 100));
  write("a.log", ["new"]);
  const next = again(tail);
  expect(await read(next)).toEqual([]);
  expect(warnings()).toEqual([expect.stringContaining("a.log.1.gz is not whole yet; it is tried again each second")]);
  appendFileSync(at("a.log.1.gz"), whole.subarray(100));
  expect(await read(next)).toEqual([...linesOf(40, 60), "new"]);
  next.close();
  expect(warnings()).toHaveLength(1);
});

test("what is still being made of a file that is there is no loss, however long it takes", async () => {
  write("a.log", linesOf(100));
  const tail = open();
  expect(await read(tail)).toEqual(linesOf(100));
  renameSync(at("a.log"), at("a.log.3"));
  replace("a.log.3", ".gz", gzipSync(readFileSync(at("a.log.3"))));
  write("a.log.2", linesOf(100, 100));
  writeFileSync(at("a.log.2.gz"), gzipSync(readFileSync(at("a.log.2"))).subarray(0, 20));
  utimesSync(at("a.log.2.gz"), clock / 1_000 - 60, clock / 1_000 - 60);
  write("a.log", ["new"]);
  const next = again(tail);
  expect(await read(next)).toEqual([...linesOf(100, 100), "new"]);
  next.close();
  expect(warnings()).toEqual([]);
});

test.each([
  ["EMFILE", "a.log.1"],
  ["EMFILE", "unpacked-"],
  ["ENOSPC", "unpacked-"],
])("%s for a while, of %s*: no line is lost", async (code, name) => {
  write("a.log", linesOf(100));
  let tail = open();
  expect(await read(tail)).toEqual(linesOf(100));
  renameSync(at("a.log"), at("a.log.3"));
  write("a.log.2", linesOf(100, 100));
  write("a.log.1", linesOf(100, 200));
  write("a.log", ["new"]);
  replace("a.log.2", ".gz", gzipSync(readFileSync(at("a.log.2"))), 0);
  hidden.of = name;
  hidden.code = code;
  const got = await read(tail);
  tail = again(tail);
  got.push(...(await read(tail)));
  hidden.code = "";
  const files = readdirSync("/proc/self/fd").length;
  got.push(...(await read(tail, 10)));
  expect(got).toEqual([...linesOf(200, 100), "new"]);
  // The one that was read was compressed while nothing could be unpacked.
  renameSync(at("a.log"), at("a.log.1"));
  write("a.log.1", ["last of it"]);
  const { positions } = tail;
  tail.close();
  replace("a.log.1", ".gz", gzipSync(readFileSync(at("a.log.1"))));
  write("a.log", ["newer"]);
  [hidden.of, hidden.code] = ["a.log.1", code];
  tail = open(positions);
  expect(await read(tail)).toEqual([]);
  expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(files);
  hidden.code = "";
  expect(await read(tail, 8)).toEqual(["last of it", "newer"]);
  tail.close();
  expect(warnings().filter((line) => /lost|missing/.test(line))).toEqual([]);
});

describe("generations that begin alike", () => {
  const heading = "#".repeat(300);
  const unpackings = () => hidden.opened.filter((path) => path.includes("unpacked-")).length;
  const count = 12;

  /** Reads files that are renamed by the day, and compressed while nobody looks. Where reading ended in them. */
  async function rotated(): Promise<readonly Position[]> {
    write("a.log", [heading, ...linesOf(50)]);
    const tail = open();
    const got = await read(tail);
    for (let day = 1; day < count; day++) {
      renameSync(at("a.log"), at(`a.log-202611${day + 10}`));
      write("a.log", [heading, ...linesOf(50, day * 50)]);
      got.push(...(await read(tail, 4)));
    }
    expect(got.filter((line) => line !== heading)).toEqual(linesOf(50 * count));
    renameSync(at("a.log"), at(`a.log-202611${count + 10}`));
    const { positions } = tail;
    expect(positions).toHaveLength(count);
    tail.close();
    for (let day = 1; day <= count; day++) {
      const name = `a.log-202611${day + 10}`;
      replace(name, ".gz", gzipSync(readFileSync(at(name))), 3_600 * (100 - day));
    }
    // What was changed just now is not remembered.
    const now = Date.now() + 60_000;
    vi.spyOn(Date, "now").mockImplementation(() => now);
    hidden.opened = [];
    return JSON.parse(JSON.stringify(positions));
  }

  test("each is unpacked once to be told from the others, and once to be read", async () => {
    const positions = await rotated();
    write("a.log", [heading, "new"]);
    const tail = open(positions);
    expect(await read(tail)).toEqual([heading, "new"]);
    expect(unpackings()).toBeLessThanOrEqual(2 * count);
    tail.close();
    expect(warnings()).toEqual([]);
  });

  test("none is unpacked again while what comes next is waited for", async () => {
    write("a.log", [heading, ...linesOf(50)]);
    const tail = open();
    await read(tail);
    renameSync(at("a.log"), at("a.log-20261111"));
    await read(tail);
    replace("a.log-20261111", ".gz", gzipSync(readFileSync(at("a.log-20261111"))));
    const now = Date.now() + 60_000;
    vi.spyOn(Date, "now").mockImplementation(() => now);
    hidden.opened = [];
    for (let look = 0; look < 10; look++) {
      // Something comes to the folder, and goes.
      writeFileSync(at("other"), "");
      unlinkSync(at("other"));
      expect(await read(tail, 1)).toEqual([]);
    }
    expect(unpackings()).toBe(1);
    write("a.log", [heading, "new"]);
    expect(await read(tail)).toEqual([heading, "new"]);
    tail.close();
    expect(warnings()).toEqual([]);
  });
});
