/** Files of lines of JSON that are added to: whatever breaks off, each line that stays is whole. */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

/** They are on the disk when this returns; where it throws, none of them is in the file, or the next ones take the place of what is. */
export function addLines(path: string, lines: string): void {
  const file = openSync(path, "a+", 0o600);
  try {
    const end = endOf(file);
    try {
      writeAll(file, lines);
      fdatasyncSync(file);
    } catch (error) {
      try {
        ftruncateSync(file, end);
      } catch {
        // Whoever adds next finds what is torn.
      }
      throw error;
    }
  } finally {
    closeSync(file);
  }
}

/** Where the lines end. What a crash has torn is cut off; a whole one whose end is missing gets it. */
function endOf(file: number): number {
  const { size } = fstatSync(file);
  const from = lineIn(file, size);
  if (from === size) return size;
  const last = Buffer.alloc(size - from);
  readSync(file, last, 0, last.length, from);
  try {
    JSON.parse(last.toString());
  } catch {
    ftruncateSync(file, from);
    return from;
  }
  writeAll(file, "\n");
  return size + 1;
}

/** The byte at which the line begins that ends before another. */
function lineIn(file: number, end: number): number {
  const part = Buffer.alloc(65_536);
  for (let to = end; to > 0; ) {
    const from = Math.max(0, to - part.length);
    readSync(file, part, 0, to - from, from);
    const at = part.subarray(0, to - from).lastIndexOf(10);
    if (at >= 0) return from + at + 1;
    to = from;
  }
  return 0;
}

/** A disk that is nearly full takes a part at first. */
function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
