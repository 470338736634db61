/** What a source is to become, and whether a stream has that: each row once, in order, unchanged. */
import type { Round } from "../frame/round.ts";
import { members } from "../log/json-text.ts";
import type { Read } from "../log/read.ts";
import { instantOf } from "./times.ts";

/** What a record's data are to be. */
export type Data =
  | { readonly kind: "none" }
  /** Byte for byte, but for spaces around it; of several texts, any. */
  | { readonly kind: "json"; readonly texts: readonly string[] }
  /** An object of these members in this order; a cell that is no text is this JSON. */
  | { readonly kind: "cells"; readonly cells: readonly Cell[] }
  | { readonly kind: "base64"; readonly text: string };

export interface Cell {
  readonly name: string;
  readonly text: string;
  readonly json?: string;
}

export interface Want {
  readonly key?: string;
  readonly id?: string;
  /** What tells a change from all others: the importer makes an id of it. */
  readonly place?: string;
  readonly source?: string;
  /** Beside `key`, `id`, `time`; of changes `source` is not looked at. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** As an instant; undefined: whatever it says. */
  readonly time?: string;
  readonly data: Data;
  /** In a stream that takes the rows' own. */
  readonly offset?: number;
  /** Where its row begins, from 1. */
  readonly line: number;
}

/** What is to become of rows. */
export interface Expected {
  readonly wants: readonly Want[];
  readonly duplicates: number;
  readonly ignored: number;
  readonly skipped: number;
  /** Lines of what the stream does not take. */
  readonly rejected: readonly number[];
}

/** An id under a key is there once. */
export function onceEach(wants: readonly Want[]): { wants: Want[]; duplicates: number } {
  const seen = new Set<string>();
  const kept = wants.filter((want) => {
    const identity = want.place ?? want.id;
    if (identity === undefined) return true;
    const name = JSON.stringify([identity, want.key, want.source]);
    const isNew = !seen.has(name);
    seen.add(name);
    return isNew;
  });
  return { wants: kept, duplicates: wants.length - kept.length };
}

const sorted = (fields: object) => JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));

/** What is not as the row says, in words. */
export function difference(read: Read, want: Want): string | undefined {
  const { key, id, time, source, ...others } = read.fields as Record<string, string | undefined>;
  if (key !== want.key) return `the key is ${JSON.stringify(key)}, not ${JSON.stringify(want.key)}`;
  if (want.place === undefined && id !== want.id) return `the id is ${JSON.stringify(id)}, not ${want.id}`;
  if (want.source !== undefined && source !== want.source) return `the source is ${source}, not ${want.source}`;
  if (want.offset !== undefined && read.offset !== want.offset) return `the offset is not ${want.offset}`;
  if (sorted(others) !== sorted(want.fields)) return `the fields are ${sorted(others)}, not ${sorted(want.fields)}`;
  if (want.time !== undefined && instantOf(time ?? "") !== instantOf(want.time)) {
    return `the time is ${time}, not ${want.time}`;
  }
  return dataDifference(read, want.data);
}

function dataDifference({ json, bytes }: Read, data: Data): string | undefined {
  const shown = () => (json ?? bytes?.toString("base64") ?? "none").slice(0, 300);
  switch (data.kind) {
    case "none":
      return json === undefined && bytes === undefined ? undefined : `there are data: ${shown()}`;
    case "json":
      if (json !== undefined && data.texts.some((text) => text.trim() === json.trim())) return undefined;
      return `data are ${shown()}, not ${data.texts[0]?.slice(0, 300)}`;
    case "base64":
      return bytes?.toString("base64") === data.text ? undefined : `data are ${shown()}, not ${data.text}`;
    case "cells":
      return json === undefined ? "there are no data" : cellsDifference(json, data.cells);
  }
}

function cellsDifference(json: string, cells: readonly Cell[]): string | undefined {
  const found = [...members(json)];
  const names = found.map(([name]) => name);
  const wanted = cells.map(({ name }) => name);
  if (JSON.stringify(names) !== JSON.stringify(wanted)) return `the columns are ${names}, not ${wanted}`;
  for (const [i, { name, text, json: raw }] of cells.entries()) {
    const [, value] = found[i] as [string, string];
    const kept = raw === undefined ? value.startsWith('"') && JSON.parse(value) === text : value === raw;
    if (!kept) return `'${name}' is ${value.slice(0, 200)}, not ${JSON.stringify(raw ?? text).slice(0, 200)}`;
  }
  return undefined;
}

export interface Compared {
  /** Everything has been sent: what is missing is lost. */
  readonly whole: boolean;
  /** Records of one partition alone, and without keys, stand in the order of the rows. */
  readonly onePartition: boolean;
  readonly subjects: readonly string[];
}

type Line = { reads: Read[]; wants: Want[] };

/** Asserts that records are what rows are to become. */
export function holds(round: Round, reads: readonly Read[], wants: readonly Want[], terms: Compared): void {
  if (terms.onePartition) {
    sameLine(round, "the stream", { reads: [...reads], wants: [...wants] }, terms);
    return;
  }
  const lines = new Map<string | undefined, Line>();
  const lineOf = (key: string | undefined) => {
    const line = lines.get(key) ?? { reads: [], wants: [] };
    lines.set(key, line);
    return line;
  };
  for (const want of wants) lineOf(want.key).wants.push(want);
  for (const read of reads) lineOf(read.fields.key as string | undefined).reads.push(read);
  for (const [key, line] of lines) {
    if (key === undefined) sameSet(round, line, terms);
    else sameLine(round, `the key ${JSON.stringify(key)}`, line, terms);
  }
}

function sameLine({ checks }: Round, of: string, { reads, wants }: Line, { whole, subjects }: Compared): void {
  for (const [i, read] of reads.entries()) {
    const want = wants[i];
    const why = want === undefined ? "there is no row for it" : difference(read, want);
    const at = `record ${i} of ${of}, at ${read.partition}.${read.offset}`;
    const isAgain = why !== undefined && wants.slice(0, i).some((one) => difference(read, one) === undefined);
    checks.that("rows-once", !isAgain, () => `${at} is that of a row that is there already`, subjects);
    checks.that("rows-once", want !== undefined, () => `${at}: ${why}`, subjects);
    if (why !== undefined) {
      const later = wants.findIndex((one, j) => j > i && difference(read, one) === undefined);
      const isLost = later >= 0 && !reads.slice(i).some((one) => difference(one, want as Want) === undefined);
      const row = `the row of line ${want?.line}`;
      checks.that("rows-once", !isLost, () => `${row} is missing before ${at}`, subjects);
      checks.that(
        "rows-order",
        later < 0,
        () => `${at} is that of line ${wants[later]?.line}, before ${row}`,
        subjects,
      );
    }
    checks.that("rows-unchanged", why === undefined, () => `${at}, of line ${want?.line}: ${why}`, subjects);
    checks.that("rows-order", true, () => "");
  }
  const missing = wants[reads.length];
  const words = () => `of ${of} there are ${reads.length} records; the row of line ${missing?.line} is missing`;
  checks.that("rows-once", !whole || missing === undefined, words, subjects);
}

/** Without a key there is no order. */
function sameSet({ checks }: Round, { reads, wants }: Line, { whole, subjects }: Compared): void {
  const left = [...wants];
  for (const read of reads) {
    const at = left.findIndex((want) => difference(read, want) === undefined);
    const isAgain = at < 0 && wants.some((want) => difference(read, want) === undefined);
    const where = `the record at ${read.partition}.${read.offset}, without a key,`;
    checks.that("rows-once", !isAgain, () => `${where} is that of a row that is there already`, subjects);
    checks.that("rows-unchanged", at >= 0, () => `${where} is of no row: ${why(read, wants)}`, subjects);
    left.splice(at, 1);
  }
  const words = () => `${left.length} rows without a key are missing, the first in line ${left[0]?.line}`;
  checks.that("rows-once", !whole || left.length === 0, words, subjects);
}

const why = (read: Read, wants: readonly Want[]) =>
  wants[0] === undefined ? "there is none without a key" : `${JSON.stringify(read.fields)} ${read.json?.slice(0, 200)}`;

/** Asserts that ids are made of what tells changes apart. */
export function idsTellApart({ checks }: Round, reads: readonly Read[], subjects: readonly string[]): void {
  const places = new Map<string, string>();
  for (const { fields, partition, offset } of reads) {
    const id = fields.id as string | undefined;
    if (id === undefined) continue;
    const before = places.get(id);
    const words = () => `${partition}.${offset} and ${before} have the same id, ${id}`;
    checks.that("ids", before === undefined, words, subjects);
    places.set(id, `${partition}.${offset}`);
  }
}
