/** What happens to a log file, and what the forwarder makes of it: every line once, or a word about what is lost. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib, { gzipSync } from "node:zlib";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { isGeneration } from "../../src/cli/forward/generations.ts";
import type { Position } from "../../src/cli/forward/identity.ts";
import { Report } from "../../src/cli/forward/report.ts";
import { Search } from "../../src/cli/forward/search.ts";
import { Splitter } from "../../src/cli/forward/split.ts";
import { Tail } from "../../src/cli/forward/tail.ts";
import { chance } from "../cases/chance.ts";
import { times } from "../cases/long.ts";

/** A file system without inodes, where a test wants one. */
const hidden = vi.hoisted(() => {
  // Another file of tests may have loaded the modules without it.
  vi.resetModules();
  return { inodes: false, broken: false };
});
vi.mock("node:fs", async (original) => {
  const own = (await original()) as typeof import("node:fs");
  const readSync = (...args: Parameters<typeof own.readSync>) => {
    if (hidden.broken) throw Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
    return own.readSync(...args);
  };
  return { ...own, readSync };
});
vi.mock("../../src/cli/forward/identity.ts", async (original) => {
  const own = (await original()) as typeof import("../../src/cli/forward/identity.ts");
  const idOf = (stat: Parameters<typeof own.idOf>[0]) => (hidden.inodes ? "" : own.idOf(stat));
  return { ...own, idOf, idAt: (path: string) => (own.idAt(path) === undefined ? undefined : idOf(own.fileAt(path))) };
});

const root = mkdtempSync(join(tmpdir(), "millrace-tail-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let folder: string;
let said: string[];
/** Ahead of the real one, which files' times are compared with. */
let clock: number;
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  said = [];
  clock = Date.now();
  hidden.inodes = false;
  hidden.broken = false;
});

const at = (name: string) => join(folder, name);
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => String(from + index));
const write = (name: string, lines: readonly string[]) =>
  appendFileSync(at(name), lines.map((line) => `${line}\n`).join(""));
const rename = (from: string, to: string) => renameSync(at(from), at(to));

function pack(name: string): void {
  const { atimeMs, mtimeMs } = statSync(at(name));
  writeFileSync(at(`${name}.gz`), gzipSync(readFileSync(at(name))));
  utimesSync(at(`${name}.gz`), atimeMs / 1_000, mtimeMs / 1_000);
  unlinkSync(at(name));
}

interface Options {
  readonly saved?: readonly Position[];
  readonly fromEnd?: boolean;
  readonly once?: boolean;
  readonly bytesMax?: number;
  readonly isOthers?: (id: string) => boolean;
}

function open(name: string, options: Options = {}): Tail {
  const { saved = [], fromEnd = false, once = false, bytesMax = 1_000, isOthers = () => false } = options;
  mkdirSync(at("state"), { recursive: true });
  const report = new Report(false, (line) => said.push(line));
  return new Tail(
    { path: at(name), saved, fromEnd, once },
    new Search(at("state"), report, bytesMax),
    report,
    isOthers,
  );
}

/** Dies, and is started again. */
function again(tail: Tail, options: Options = {}): Tail {
  const saved = JSON.parse(JSON.stringify(tail.positions));
  tail.close();
  return open(tail.path.slice(folder.length + 1), { ...options, saved });
}

function take(tail: Tail, most = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = [];
  for (let piece = tail.next(1e9); piece !== undefined; piece = tail.next(1e9)) {
    lines.push(piece.bytes.toString("latin1"));
    if (lines.length === most) break;
  }
  return lines;
}

/** Everything that comes within some seconds. */
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

describe("bytes into lines", () => {
  test.each(Array.from({ length: 40 }, (_, seed) => seed))("whatever the line and the reads, seed %i", (seed) => {
    const next = chance(seed);
    const bytesMax = 4 + next(40);
    const parts = ["a", "é", "€", "😀", "\n", "\r\n", "\r", "x".repeat(next(100)), "\0"];
    const text = `!${Array.from({ length: 300 }, () => parts[next(parts.length)]).join("")}`;
    const bytes = Buffer.from(text);
    const lines = new Splitter(bytesMax);
    const pieces: [string, boolean][] = [];
    for (let from = 0; from < bytes.length; ) {
      const to = Math.min(bytes.length, from + 1 + next(60));
      lines.push(bytes.subarray(from, to));
      from = to;
      for (let piece = give(); piece !== undefined; piece = give()) {
        pieces.push([piece.bytes.toString(), piece.part]);
        expect(lines.before.equals(bytes.subarray(Math.max(0, lines.at - 1_024), lines.at))).toBe(true);
        expect(lines.last.equals(bytes.subarray(Math.max(0, lines.readAt - 1_024), lines.readAt))).toBe(true);
      }
      expect(lines.rest).toBeLessThanOrEqual(bytesMax + 1);
      function give() {
        return lines.next(1e9, to === bytes.length);
      }
    }
    expect(pieces).toEqual(piecesOf(text, bytesMax));
  });

  test("a byte order mark at the start is no part of the first line, and NULs there are passed over and counted", () => {
    const marked = new Splitter(100);
    for (const byte of Buffer.from('\ufeff{"a":1}\n\ufeffb\n')) marked.push(Buffer.from([byte]));
    expect(marked.next(100, false)?.bytes.toString()).toBe('{"a":1}');
    expect(marked.next(100, false)?.bytes.toString()).toBe("\ufeffb");
    const nuls = new Splitter(10);
    for (let count = 0; count < 5; count++) nuls.push(Buffer.alloc(1_000));
    expect([nuls.next(10, false), nuls.at, nuls.readAt, nuls.rest]).toEqual([undefined, 0, 5_000, 0]);
    nuls.push(Buffer.from("one\n\0two\n"));
    expect(nuls.next(10, false)?.bytes.toString()).toBe("one");
    expect([nuls.takeNuls(), nuls.takeNuls(), nuls.at]).toEqual([5_000, 0, 5_004]);
    expect(nuls.next(10, false)?.bytes.toString()).toBe("\0two");
  });

  test("a piece waits for room, and the place stays before it", () => {
    const lines = new Splitter(100);
    lines.push(Buffer.from("123456\n7\n"));
    expect([lines.next(5, false), lines.waits, lines.at]).toEqual([undefined, true, 0]);
    expect(lines.next(6, false)?.bytes.toString()).toBe("123456");
    expect([lines.waits, lines.at]).toEqual([false, 7]);
  });
});

/** The same, of a text that is there as a whole. */
function piecesOf(text: string, bytesMax: number): [string, boolean][] {
  const lines = text.split("\n");
  const ended = lines.map((line, index) =>
    index < lines.length - 1 && line.endsWith("\r") ? line.slice(0, -1) : line,
  );
  return ended.flatMap((line) => {
    const pieces: string[] = [];
    for (const letter of line) {
      const fits = Buffer.byteLength((pieces.at(-1) ?? "") + letter) <= bytesMax;
      if (fits && pieces.length > 0) pieces[pieces.length - 1] += letter;
      else pieces.push(letter);
    }
    return pieces.map((piece): [string, boolean] => [piece, pieces.length > 1]);
  });
}

describe("while it is followed", () => {
  test("a file that is not there yet, and one that is new with --from-end", async () => {
    const later = open("later.log", { fromEnd: true });
    expect(await read(later)).toEqual([]);
    expect(said).toEqual([`millrace: ${at("later.log")} is not there; it is tried again each second`]);
    write("later.log", ["a"]);
    expect(await read(later)).toEqual(["a"]);
    write("old.log", ["old"]);
    appendFileSync(at("old.log"), "half ");
    const old = open("old.log", { fromEnd: true });
    expect(await read(old)).toEqual([]);
    appendFileSync(at("old.log"), "a line\nnew\n");
    expect(await read(old)).toEqual(["a line", "new"]);
  });

  test("deleted while no forwarder runs, and not made anew", async () => {
    write("a.log", ["one"]);
    const first = open("a.log");
    expect(await read(first)).toEqual(["one"]);
    unlinkSync(at("a.log"));
    const second = again(first);
    expect(await read(second)).toEqual([]);
    expect(warnings()).toEqual([
      expect.stringMatching(/a\.log is not there, nor is what was read to byte 4: .* is lost, unless/),
    ]);
    // It comes back as it was, and is known.
    write("a.log", ["one", "two"]);
    expect(await read(second)).toEqual(["two"]);
  });

  test("renamed and made anew, with lines that come late, and a neighbour of another program", async () => {
    write("a.log", numbers(3));
    const tail = open("a.log");
    expect(await read(tail)).toEqual(numbers(3));
    const late = openSync(at("a.log"), "a");
    rename("a.log", "a.log.1");
    write("a.log.err", ["foreign"]);
    expect(await read(tail)).toEqual([]);
    write("a.log.err", ["foreign"]);
    writeSync(late, "3\n");
    expect(await read(tail)).toEqual(["3"]);
    write("a.log", numbers(2, 4));
    expect(await read(tail)).toEqual(["4", "5"]);
    write("a.log.err", ["foreign"]);
    writeSync(late, "late\n");
    write("a.log", ["6"]);
    expect((await read(tail)).sort()).toEqual(["6", "late"]);
    // It is known after a restart too, and where it was read to.
    const next = again(tail);
    writeSync(late, "later");
    closeSync(late);
    expect(await read(next)).toEqual([]);
    appendFileSync(at("a.log.1"), "\n");
    expect(await read(next)).toEqual(["later"]);
    clock += 400_000;
    await read(next);
    expect(next.positions).toHaveLength(1);
    expect(warnings()).toEqual([]);
  });

  test("lines that come late while nothing can be sent, for longer than such a file is looked at", async () => {
    write("a.log", ["0"]);
    const tail = open("a.log");
    await read(tail);
    const late = openSync(at("a.log"), "a");
    rename("a.log", "a.log.1");
    write("a.log", ["1"]);
    expect(await read(tail)).toEqual(["1"]);
    writeSync(late, "late\n");
    closeSync(late);
    for (let look = 0; look < 4; look++) {
      clock += 400_000;
      await tail.look(clock);
    }
    expect(await read(tail)).toEqual(["late"]);
  });

  test("renamed twice between two looks", async () => {
    write("a.log", ["0"]);
    const tail = open("a.log");
    await read(tail);
    write("a.log", ["1"]);
    rename("a.log", "a.log.1");
    write("a.log", ["2"]);
    rename("a.log.1", "a.log.2");
    rename("a.log", "a.log.1");
    write("a.log", ["3"]);
    expect(await read(tail)).toEqual(["1", "2", "3"]);
    expect(warnings()).toEqual([]);
  });

  test("a file that comes and goes between two looks, while there is none", async () => {
    write("a.log", ["0"]);
    const tail = open("a.log");
    await read(tail);
    for (const [index, lines] of [["1"], ["2", "3"], ["4"]].entries()) {
      write("a.log", lines);
      rename("a.log", `a.log-2026120${index}`);
      expect(await read(tail)).toEqual(lines);
    }
    expect(warnings()).toEqual([]);
  });

  test("the last line of a file that was renamed has no end", async () => {
    appendFileSync(at("a.log"), "one\ntwo");
    const tail = open("a.log");
    expect(await read(tail)).toEqual(["one"]);
    rename("a.log", "a.log.1");
    write("a.log", ["three"]);
    expect(await read(tail)).toEqual(["two", "three"]);
  });

  test("copied and truncated, and written anew between two looks: what was not read is in the copy", async () => {
    write("a.log", numbers(100));
    const tail = open("a.log");
    expect(await read(tail)).toEqual(numbers(100));
    write("a.log", numbers(10, 100));
    appendFileSync(at("a.log"), "11");
    copyFileSync(at("a.log"), at("a.log.1"));
    truncateSync(at("a.log"));
    write("a.log", numbers(500, 1_000));
    expect(await read(tail)).toEqual([...numbers(10, 100), "11", ...numbers(500, 1_000)]);
    expect(warnings()).toEqual([]);
    truncateSync(at("a.log"));
    write("a.log", ["x"]);
    expect(await read(tail)).toEqual(["x"]);
    expect(warnings()).toEqual([expect.stringContaining("behind byte 2500 is lost")]);
  });

  test.each([5, 2_000])(
    "truncated, and refilled with more than %i lines: it begins anew, and says what may be lost",
    async (count) => {
      write("a.log", numbers(count));
      appendFileSync(at("a.log"), "unended");
      const tail = open("a.log");
      await read(tail);
      const { size } = statSync(at("a.log"));
      truncateSync(at("a.log"));
      const lines = numbers(count * 2, 50_000);
      write("a.log", lines);
      expect(await read(tail)).toEqual(["unended", ...lines]);
      expect(warnings()).toEqual([expect.stringContaining(`behind byte ${size} is lost`)]);
    },
  );

  test("NULs after a truncation are passed over, and counted", async () => {
    const writer = openSync(at("a.log"), "w");
    writeSync(writer, "one\n".repeat(2_000));
    const tail = open("a.log");
    expect(await read(tail)).toHaveLength(2_000);
    truncateSync(at("a.log"));
    expect(await read(tail)).toEqual([]);
    writeSync(writer, "two\n");
    expect(await read(tail)).toEqual(["two"]);
    writeSync(writer, "three\n");
    expect(await read(again(tail))).toEqual(["three"]);
    expect(said.join()).toContain("begins with 8000 NUL bytes");
    closeSync(writer);
  });

  test("a link that is turned round, to a file of any name, and back", async () => {
    write("app-one.log", ["1"]);
    symlinkSync("app-one.log", at("now.log"));
    const turn = (name: string) => {
      symlinkSync(name, at("next"));
      rename("next", "now.log");
    };
    const tail = open("now.log");
    expect(await read(tail)).toEqual(["1"]);
    write("app-one.log", ["2"]);
    write("app-two.log", ["3"]);
    turn("app-two.log");
    expect(await read(tail)).toEqual(["2", "3"]);
    write("app-one.log", ["4"]);
    turn("app-one.log");
    expect(await read(tail)).toEqual(["4"]);
    write("app-one.log", ["5"]);
    expect(await read(tail)).toEqual(["5"]);
    const next = again(tail);
    write("app-one.log", ["6"]);
    write("app-three.log", ["7"]);
    turn("app-three.log");
    expect(await read(next)).toEqual(["6", "7"]);
    expect(warnings()).toEqual([expect.stringContaining(`leads to ${at("app-three.log")} now`)]);
  });

  test("a folder, a pipe, and what may not be read: said once, until it is a file", async () => {
    mkdirSync(at("a.log"));
    const tail = open("a.log");
    expect(await read(tail)).toEqual([]);
    expect(said).toEqual([`millrace: ${at("a.log")} is a folder; name the files in it; it is tried again each second`]);
    rmSync(at("a.log"), { recursive: true });
    execFileSync("mkfifo", [at("a.log")]);
    await read(tail);
    expect(said.at(-1)).toContain("is no file");
    unlinkSync(at("a.log"));
    write("a.log", ["1"]);
    expect(await read(tail)).toEqual(["1"]);
    // What comes under the path meanwhile does not end what is read already.
    rename("a.log", "a.log.1");
    mkdirSync(at("a.log"));
    write("a.log.1", ["2"]);
    expect(await read(tail)).toEqual(["2"]);
    expect(tail.problem?.message).toContain("is a folder");
    rmSync(at("a.log"), { recursive: true });
    write("a.log", ["3"]);
    expect(await read(tail)).toEqual(["3"]);
    expect(tail.problem).toBeUndefined();
  });

  test("reading fails for a while", async () => {
    write("a.log", numbers(10));
    let tail = open("a.log");
    expect(await read(tail)).toEqual(numbers(10));
    hidden.broken = true;
    write("a.log", ["10"]);
    expect(await read(tail)).toEqual([]);
    expect(warnings()).toEqual([expect.stringContaining("cannot be read: EIO")]);
    const files = () => (process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0);
    const before = files();
    expect(await read(tail, 20)).toEqual([]);
    expect(files()).toBe(before);
    tail = again(tail);
    expect(await read(tail)).toEqual([]);
    hidden.broken = false;
    expect(await read(tail)).toEqual(["10"]);
    expect(warnings()).toHaveLength(2);
  });

  test("what another follows is not taken for a generation", async () => {
    write("a.log", ["1"]);
    const other = open("a.log.1");
    const tail = open("a.log", {
      isOthers: (id) => id === `${statSync(at("a.log.1")).dev}:${statSync(at("a.log.1")).ino}`,
    });
    await read(tail);
    rename("a.log", "a.log.2");
    write("a.log.1", ["not ours"]);
    write("a.log", ["2"]);
    expect(await read(other)).toEqual(["not ours"]);
    expect(await read(tail)).toEqual(["2"]);
  });
});

describe("while nobody looks", () => {
  test.each([
    ["counted down to the newest", ["a.log.3", "a.log.2", "a.log.1"]],
    ["counted up, as their times say", ["a.log.1", "a.log.2", "a.log.3"]],
    ["by the day", ["a.log-20261130", "a.log-20261201", "a.log-20261202"]],
    ["by the day, before the ending", ["a-2026-11-30.log", "a-2026-12-01.log", "a-2026-12-02.log"]],
  ])("renamed three times, %s, some compressed", async (_, names) => {
    write("a.log", ["0"]);
    const tail = open("a.log");
    await read(tail);
    write("a.log", ["1"]);
    rename("a.log", names[0]);
    write(names[1], ["2"]);
    write(names[2], ["3"]);
    write("a.log", ["4"]);
    // Older, and of another program.
    write("a.log.9", ["older"]);
    write("a.log-20260101", ["older"]);
    write("a.log.err", ["foreign"]);
    for (const [index, name] of names.entries()) utimesSync(at(name), 2e9 + 60 * index, 2e9 + 60 * index);
    for (const name of ["a.log.9", "a.log-20260101"]) utimesSync(at(name), 1_000_000_000, 1_000_000_000);
    pack(names[1]);
    const next = again(tail);
    expect(await read(next, 12)).toEqual(["1", "2", "3", "4"]);
    expect(warnings()).toEqual([]);
    expect(existsSync(at("state"))).toBe(true);
  });

  test("renamed three times, and written to once more after the others", async () => {
    write("a.log", ["0"]);
    const tail = open("a.log");
    await read(tail);
    const names = ["a.log.3", "a.log.2", "a.log.1"];
    rename("a.log", names[0]);
    for (const [index, name] of names.slice(1).entries()) write(name, [`${index + 1}`]);
    write("a.log", ["3"]);
    write(names[0], ["late"]);
    for (const [index, name] of names.entries()) {
      const time = 2e9 + 60 * (name === names[0] ? 9 : index);
      utimesSync(at(name), time, time);
    }
    expect((await read(again(tail), 12)).sort()).toEqual(["1", "2", "3", "late"]);
  });

  test("its own file was compressed", async () => {
    write("a.log", numbers(1_000));
    const tail = open("a.log");
    await tail.look(clock);
    const before = take(tail, 400);
    rename("a.log", "a.log.2");
    pack("a.log.2");
    write("a.log.1", numbers(10, 1_000));
    write("a.log", numbers(10, 1_010));
    let next = again(tail);
    await next.look(clock);
    before.push(...take(next, 300));
    next = again(next);
    expect([...before, ...(await read(next, 12))]).toEqual(numbers(1_020));
    expect(warnings()).toEqual([]);
  });

  test("of files that begin alike one held no more, and was compressed", async () => {
    write("a.log", ["heading", "1", "2"]);
    let tail = open("a.log");
    await read(tail);
    for (const day of [1, 2, 3]) {
      rename("a.log", `a.log-2026120${day}`);
      write("a.log", day === 2 ? ["heading"] : ["heading", `${day}`]);
      await read(tail, 8);
    }
    pack("a.log-20261203");
    tail = again(tail);
    expect(await read(tail, 12)).toEqual([]);
    write("a.log", ["4"]);
    expect(await read(tail)).toEqual(["4"]);
  });

  test("compressed in a way that is not known here, or damaged", async () => {
    write("a.log", numbers(100));
    const tail = open("a.log");
    await read(tail);
    rename("a.log", "a.log.1.xz");
    // Its number may be another file's.
    const bytes = readFileSync(at("a.log.1.xz"));
    unlinkSync(at("a.log.1.xz"));
    writeFileSync(at("a.log.1.xz"), "not what it was");
    writeFileSync(at("a.log.2.gz"), gzipSync(bytes).subarray(0, 30));
    utimesSync(at("a.log.2.gz"), 1e9, 1e9);
    write("a.log", ["new"]);
    expect(await read(again(tail))).toEqual(["new"]);
    const told = warnings().join("\n");
    expect(told).toMatch(/a\.log\.1\.xz is not read.*unpack it/);
    expect(told).toMatch(/a\.log\.2\.gz: the gzip file is cut off/);
    expect(told).toMatch(/ is lost.*begins at its start/);
  });

  const zstd = typeof zlib.zstdCompressSync === "function";
  test.skipIf(!zstd)("compressed by zstd", async () => {
    write("a.log", numbers(100));
    const tail = open("a.log");
    await read(tail);
    write("a.log", ["100"]);
    writeFileSync(at("a.log.1.zst"), zlib.zstdCompressSync(readFileSync(at("a.log"))));
    unlinkSync(at("a.log"));
    write("a.log", ["101"]);
    expect(await read(again(tail))).toEqual(["100", "101"]);
  });

  test("copied and truncated, and then renamed, between two looks", async () => {
    write("a.log", numbers(100));
    const tail = open("a.log");
    await read(tail);
    write("a.log", numbers(10, 100));
    copyFileSync(at("a.log"), at("a.log.1"));
    truncateSync(at("a.log"));
    write("a.log", numbers(5, 110));
    rename("a.log.1", "a.log.2");
    rename("a.log", "a.log.1");
    write("a.log", numbers(5, 115));
    expect(await read(tail, 12)).toEqual(numbers(20, 100));
    expect(warnings()).toEqual([]);
  });

  test("copied and truncated twice", async () => {
    write("a.log", numbers(10));
    const tail = open("a.log");
    await read(tail);
    write("a.log", numbers(10, 10));
    copyFileSync(at("a.log"), at("a.log.1"));
    truncateSync(at("a.log"));
    write("a.log", numbers(10, 20));
    rename("a.log.1", "a.log.2");
    copyFileSync(at("a.log"), at("a.log.1"));
    truncateSync(at("a.log"));
    write("a.log", numbers(40, 30));
    expect(await read(again(tail), 10)).toEqual(numbers(60, 10));
    expect(warnings()).toEqual([]);
  });

  test("truncated without a copy, or replaced: it says what may be lost, and what it does not read", async () => {
    write("a.log", numbers(10));
    const tail = open("a.log");
    await read(tail);
    truncateSync(at("a.log"));
    write("a.log", numbers(40, 30));
    const next = again(tail);
    expect(await read(next)).toEqual(numbers(40, 30));
    expect(warnings()).toEqual([expect.stringContaining("was truncated or written anew")]);
    said = [];
    unlinkSync(at("a.log"));
    write("a.log.1", ["unknown"]);
    write("a.log", ["new"]);
    expect(await read(again(next))).toEqual(["new"]);
    expect(warnings()).toEqual([
      expect.stringMatching(/another file than the one that was read to byte 120|was truncated or written anew/),
      expect.stringContaining("not read: a.log.1"),
    ]);
  });

  test("it is away, and comes back as it was", async () => {
    write("a.log", numbers(10));
    const tail = open("a.log");
    await read(tail);
    renameSync(folder, `${folder}.away`);
    mkdirSync(folder);
    const next = again(tail);
    expect(await read(next)).toEqual([]);
    rmSync(folder, { recursive: true });
    renameSync(`${folder}.away`, folder);
    write("a.log", ["10"]);
    expect(await read(next)).toEqual(["10"]);
  });

  test("another file has its number, and begins alike", async () => {
    const heading = ["# log of app", `# ${"version 1 ".repeat(40)}`];
    write("a.log", [...heading, ...numbers(300)]);
    const tail = open("a.log");
    await read(tail);
    rename("a.log", "a.log.1");
    write("a.log", [...heading, ...numbers(1_000, 5_000)]);
    const [position] = JSON.parse(JSON.stringify(tail.positions)) as [Position];
    const { ino } = statSync(at("a.log"));
    tail.close();
    const next = open("a.log", { saved: [{ ...position, inode: String(ino) }] });
    expect(await read(next)).toEqual([...heading, ...numbers(1_000, 5_000)]);
  });

  test("a position of a release that knew less", async () => {
    write("a.log", numbers(10));
    const tail = open("a.log");
    await read(tail);
    const saved = tail.positions.map((position) => ({ ...position, dev: "", near: "", name: undefined }));
    tail.close();
    write("a.log", ["10"]);
    expect(await read(open("a.log", { saved: JSON.parse(JSON.stringify(saved)) }))).toEqual(["10"]);
  });
});

test.each([
  ["/log/app.log", "/log/app.log.1", true],
  ["/log/app.log", "/log/app-20261129.log.gz", true],
  ["/log/app.log", "/log/app.log.err", false],
  ["/log/app.log", "/log/app2.log", false],
  ["/log/app.log", "/old/app.log.1", false],
  ["/log/app.log", "/log/app.log", false],
])("of %s, %s is a generation: %s", (log, path, is) => {
  expect(isGeneration(log, path)).toBe(is);
});

describe("once", () => {
  test("a last line without an end is taken and told, and what comes behind it is a record of its own", async () => {
    appendFileSync(at("a.log"), '1\n{"a":');
    const tail = open("a.log", { once: true });
    expect(await read(tail)).toEqual(["1", '{"a":']);
    expect(warnings()).toEqual([expect.stringContaining("has no end")]);
    const next = again(tail, { once: true });
    expect(await read(next)).toEqual([]);
    appendFileSync(at("a.log"), "1}\n2\n");
    const lines: [string, boolean][] = [];
    for (let piece = next.next(100); piece !== undefined; piece = next.next(100)) {
      lines.push([piece.bytes.toString(), piece.part]);
    }
    expect(lines).toEqual([
      ["1}", true],
      ["2", false],
    ]);
  });

  test("through all generations without waiting", async () => {
    write("a.log", ["0"]);
    const tail = open("a.log", { once: true });
    await read(tail);
    write("a.log", ["1"]);
    rename("a.log", "a.log.1");
    write("a.log", ["2"]);
    const next = again(tail, { once: true });
    expect(await read(next)).toEqual(["1", "2"]);
    expect(next.isDone).toBe(true);
    expect(next.problem).toBeUndefined();
  });
});

describe("without inodes", () => {
  beforeEach(() => {
    hidden.inodes = true;
  });

  test("a file is what it holds: renamed, truncated, and while nobody looks", async () => {
    write("a.log", numbers(10));
    const tail = open("a.log");
    expect(await read(tail)).toEqual(numbers(10));
    write("a.log", ["10"]);
    expect(await read(tail)).toEqual(["10"]);
    rename("a.log", "a.log.1");
    write("a.log.1", ["11"]);
    write("a.log", numbers(100, 12));
    expect(await read(tail)).toEqual(numbers(101, 11));
    truncateSync(at("a.log"));
    write("a.log", numbers(10, 500));
    expect(await read(tail)).toEqual(numbers(10, 500));
    write("a.log", numbers(1, 510));
    const next = again(tail);
    expect(await read(next)).toEqual(["510"]);
    rename("a.log", "a.log.1");
    write("a.log.1", ["511"]);
    write("a.log", ["512"]);
    expect(await read(again(next))).toEqual(["511", "512"]);
  });
});

/** A log that is written to, rotated by any method, compressed and left alone at random, beside a forwarder that dies. */
test.each(Array.from({ length: times(40, 600) }, (_, seed) => seed))(
  "whatever happens in whatever order, seed %i",
  async (seed) => {
    const next = chance(seed + 1);
    const method = next(3);
    let written = 0;
    /** Rotations since everything had been read; old generations are dropped. */
    let unread = 0;
    let tail: Tail | undefined = open("a.log", { bytesMax: 64 });
    let saved: readonly Position[] = [];
    const got: string[] = [];
    const line = () => {
      const number = written++;
      return `${number}:${"x".repeat(next(4) === 0 ? next(40) : 0)}`;
    };
    const append = () => {
      for (let count = next(60); count >= 0; count--) write("a.log", [line()]);
    };
    const rotate = () => {
      unread = got.length === written ? 1 : unread + 1;
      if (method === 2) append();
      for (let number = 8; number > 0; number--) {
        for (const end of ["", ".gz"]) {
          if (existsSync(at(`a.log.${number}${end}`))) rename(`a.log.${number}${end}`, `a.log.${number + 1}${end}`);
        }
      }
      if (method === 0) {
        copyFileSync(at("a.log"), at("a.log.1"));
        truncateSync(at("a.log"));
        return;
      }
      const writer = openSync(at("a.log"), "a");
      rename("a.log", "a.log.1");
      if (method === 2) writeSync(writer, `${line()}\n`);
      closeSync(writer);
      write("a.log", [line()]);
    };
    append();
    for (let step = 0; step < 60; step++) {
      const what = next(10);
      if (what < 4) append();
      else if (what === 4 && unread < 6 && got.length > 0) rotate();
      else if (what === 5 && existsSync(at("a.log.2"))) pack("a.log.2");
      else if (what === 6 && tail !== undefined && got.length > 0) {
        saved = JSON.parse(JSON.stringify(tail.positions));
        tail.close();
        tail = undefined;
      } else if (tail === undefined) {
        tail = open("a.log", { saved, bytesMax: 64 });
      } else {
        clock += next(3_000);
        await tail.look(clock);
        got.push(...take(tail, 1 + next(100)));
      }
    }
    tail ??= open("a.log", { saved, bytesMax: 64 });
    got.push(...(await read(tail, 40)));
    tail.close();
    // In runs of numbers that follow each other: there should be one.
    const runs = got
      .map((one) => Number(one.split(":")[0]))
      .reduce<[number, number][]>((runs, number) => {
        const last = runs.at(-1);
        if (last?.[1] === number) last[1]++;
        else runs.push([number, number + 1]);
        return runs;
      }, []);
    expect(runs).toEqual([[0, written]]);
    expect(warnings()).toEqual([]);
  },
);
