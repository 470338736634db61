/** Whatever breaks off while lines are added to a file, what stays is whole lines. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { addLines } from "../../src/node/lines.ts";

// Another file of tests may have loaded the modules without what is mocked here.
vi.hoisted(() => vi.resetModules());
/** Bytes that the disk has room for. */
let room = Number.POSITIVE_INFINITY;
vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const writeSync = (file: number, bytes: Buffer | string, ...rest: number[]) => {
    const [given, at = 0] = [Buffer.from(bytes), ...rest];
    const part = given.subarray(at, at + Math.min(room, 7));
    if (part.length === 0 && given.length > at) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    room -= part.length;
    return fs.writeSync(file, part);
  };
  return { ...fs, writeSync };
});

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-lines-"));
  path = join(folder, "rejected.ndjson");
});
afterEach(() => {
  room = Number.POSITIVE_INFINITY;
  rmSync(folder, { recursive: true, force: true });
});

const line = (n: number) => `{"n":${n},"text":"${"é".repeat(20)}"}\n`;
const text = () => readFileSync(path, "utf8");

test("nothing is left of a line for which there was no room", () => {
  addLines(path, line(1));
  for (let has = 0; has < line(2).length * 2; has++) {
    room = has;
    expect(() => addLines(path, line(2) + line(3)), String(has)).toThrow("ENOSPC");
    expect(text()).toBe(line(1));
  }
  room = Number.POSITIVE_INFINITY;
  addLines(path, line(2));
  expect(text()).toBe(line(1) + line(2));
});

test("what a crash has torn is taken away, and nothing whole", () => {
  const whole = Buffer.from(line(2));
  for (let has = 0; has <= whole.length; has++) {
    writeFileSync(path, Buffer.concat([Buffer.from(line(1)), whole.subarray(0, has)]));
    addLines(path, line(3));
    expect(text(), String(has)).toBe(line(1) + (has < whole.length - 1 ? "" : line(2)) + line(3));
  }
  // A file system may have given it room, and nothing to have there; or there is no line before it, or a long one.
  for (const [before, torn] of [
    [line(1), "\0".repeat(9)],
    ["", '{"n":'],
    [line(1), `{"text":"${"x".repeat(200_000)}`],
  ]) {
    writeFileSync(path, before + torn);
    addLines(path, line(3));
    expect(text()).toBe(before + line(3));
  }
});
