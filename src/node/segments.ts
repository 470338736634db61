/**
 * The files in which a spool keeps records: frames, one behind the other, as they are sent. Each is on the disk before the next
 * one is begun, so that what a crash has torn can only be the last of the last file.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { eachRecord, type Frame, openFrame } from "../log/frame.ts";

export interface Segment {
  readonly number: number;
  /** Its whole entries end there. */
  bytes: number;
}

export interface Found extends Segment {
  readonly records: number;
}

const prefix = "segment-";
const digits = 12;

export const pathOf = (folder: string, number: number): string =>
  join(folder, prefix + String(number).padStart(digits, "0"));

/** The numbers of the segments in a folder, in order. */
export const numbersIn = (folder: string): number[] =>
  readdirSync(folder)
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter(Number.isSafeInteger)
    .sort((a, b) => a - b);

/**
 * Looks all of it through, from a byte on at which an entry begins. Throws a text where it is damaged; from `tornFrom` on the end
 * may be torn.
 */
export function scan(folder: string, number: number, from: number, tornFrom: number): Found {
  const path = pathOf(folder, number);
  const bytes = readFileSync(path);
  if (bytes.length < from) throw new Error(`${path} ends at byte ${bytes.length}, before what is to be sent`);
  let [at, records] = [from, 0];
  while (at < bytes.length) {
    const entry = entryAt(bytes, at);
    if (entry === undefined) break;
    at = entry.to;
    records += entry.count;
  }
  if (at === bytes.length) return { number, bytes: at, records };
  if (at < tornFrom || hasEntryBehind(bytes, at)) throw new Error(`${path} is damaged at byte ${at}`);
  cut(path, at);
  return { number, bytes: at, records };
}

/** The entry at a byte; undefined where there is none that is whole. */
export function entryAt(bytes: Uint8Array, at: number): Frame | undefined {
  const frame = openFrame(bytes, at);
  if (!frame.ok || frame.value.count === 0) return undefined;
  return eachRecord(frame.value, () => {}) ? frame.value : undefined;
}

function hasEntryBehind(bytes: Buffer, at: number): boolean {
  for (let next = bytes.indexOf("MR", at + 1); next >= 0; next = bytes.indexOf("MR", next + 1))
    if (entryAt(bytes, next) !== undefined) return true;
  return false;
}

function cut(path: string, at: number): void {
  const file = openSync(path, "r+");
  ftruncateSync(file, at);
  fsyncSync(file);
  closeSync(file);
}
