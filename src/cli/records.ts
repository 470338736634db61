/** `append`, `read`, `tail`. */
import { createReadStream, statSync } from "node:fs";
import { Presets, SingleBar } from "cli-progress";
import type { Filter, FollowOptions, Lost, Millrace, NewRecord, StoredRecord } from "../client/index.ts";
import { numberText, parseExactly } from "../lib/exact-json.ts";
import { linesOf } from "./lines.ts";
import { counted, exits, paint, print, Usage } from "./output.ts";

export interface AppendArgs {
  stream: string;
  values?: string[];
  file?: string;
  key?: string;
  keyField?: string;
  type?: string;
  tag?: string[];
  /** Lines are whole records. */
  records?: boolean;
  /** Lines are texts, though they may look like JSON. */
  text?: boolean;
  partition?: number;
  json?: boolean;
}

/** Every value one record; without values the lines of a file, or of the standard input. */
export async function append(millrace: Millrace, args: AppendArgs): Promise<void> {
  const stream = millrace.stream(args.stream);
  // Otherwise a name that is wrong would be found out after the input was read.
  await stream.info();
  if (args.values?.length) {
    if (args.file !== undefined) throw new Usage("give values or --file, and not both");
    const verdicts = await stream.append(
      args.values.map((value, index) => recordOf(value, index + 1, args)),
      { ...(args.partition === undefined ? {} : { partition: args.partition }) },
    );
    for (const verdict of verdicts) {
      if (args.json) print(JSON.stringify(verdict));
      else if (verdict.verdict === "rejected") print(`${paint("red", "rejected")}  ${verdict.detail}`);
      else print(`${verdict.partition}.${verdict.offset}  ${verdict.verdict}`);
    }
    if (verdicts.some(({ verdict }) => verdict === "rejected")) process.exitCode = 1;
    return;
  }
  if (args.file === undefined && process.stdin.isTTY)
    throw new Usage("give values, --file, or lines on the standard input");
  const file = args.file === "-" ? undefined : args.file;
  const bytes = file === undefined ? 0 : bytesOf(file);
  const input = file === undefined ? process.stdin : createReadStream(file);
  const bar = process.stderr.isTTY && bytes > 1_000_000 ? progress(bytes) : undefined;
  const producer = stream.producer({ ...(args.partition === undefined ? {} : { partition: args.partition }) });
  const counts = { appended: 0, duplicate: 0, rejected: 0 };
  let read = 0;
  if (bar !== undefined) {
    input.on("data", (part: Buffer | string) => {
      read += part.length;
      bar.update(read);
    });
  }
  let number = 0;
  for await (const line of linesOf(input)) {
    number++;
    if (line.trim() === "") continue;
    const at = number;
    const record = recordOf(line, at, args);
    try {
      await producer.push(record, (error, placed) => {
        if (placed !== undefined) counts[placed.verdict]++;
        else if (counts.rejected++ < 10) console.error(`line ${at}: ${error?.message}`);
      });
    } catch (error) {
      await producer.close();
      throw new Error(`line ${at}: ${(error as Error).message}; the lines before it were appended`);
    }
  }
  await producer.close();
  bar?.stop();
  if (args.json) print(JSON.stringify(counts));
  else
    print(
      `${counts.appended} appended${counts.duplicate ? `, ${counted(counts.duplicate, "duplicate")}` : ""}${counts.rejected ? `, ${counts.rejected} rejected` : ""}`,
    );
  if (counts.rejected > 0) process.exitCode = 1;
}

function bytesOf(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Usage(`there is no file ${path}`);
  if (found.isDirectory()) throw new Usage(`${path} is a folder: give a file`);
  return found.size;
}

function progress(bytes: number): SingleBar {
  const format = "{bar} {percentage} %  {eta_formatted}";
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true }, Presets.shades_classic);
  bar.start(bytes, 0);
  return bar;
}

/** A value is JSON where it parses, and a text where it does not. */
export function recordOf(
  value: string,
  line: number,
  {
    key,
    keyField,
    type,
    tag,
    records,
    text,
  }: Pick<AppendArgs, "key" | "keyField" | "type" | "tag" | "records" | "text">,
): NewRecord {
  let data: unknown = value;
  if (!text) {
    try {
      data = parseExactly(value);
    } catch (error) {
      if (records) throw new Usage(`line ${line}: not JSON: ${(error as Error).message}`);
    }
  }
  if (records) {
    if (typeof data !== "object" || data === null) throw new Usage(`line ${line}: a record is an object`);
    return data as NewRecord;
  }
  const named = keyField === undefined ? undefined : fieldOf(data, keyField);
  if (keyField !== undefined && named === undefined) throw new Usage(`line ${line}: there is no field '${keyField}'`);
  const own = named === undefined ? key : keyText(named, keyField as string, line);
  return {
    ...(own === undefined ? {} : { key: own }),
    ...(type === undefined ? {} : { type }),
    ...(tag === undefined ? {} : { tags: tag }),
    data,
  };
}

function keyText(value: unknown, field: string, line: number): string {
  if (typeof value !== "object") return String(value);
  const number = numberText(value);
  if (number !== undefined) return number;
  throw new Usage(
    `line ${line}: the field '${field}' is ${Array.isArray(value) ? "an array" : "an object"}, and no key`,
  );
}

/** `a.b` is the field b of the field a. */
function fieldOf(data: unknown, path: string): unknown {
  let value = data;
  for (const name of path.split(".")) value = (value as Record<string, unknown> | null | undefined)?.[name];
  return value ?? undefined;
}

export interface ReadArgs {
  stream: string;
  from?: string;
  limit?: number;
  partition?: number;
  key?: string;
  type?: string[];
  tag?: string[];
  backward?: boolean;
  /** Data only. */
  data?: boolean;
  json?: boolean;
}

export async function read(millrace: Millrace, args: ReadArgs): Promise<void> {
  atLeast(1, "--limit", args.limit);
  const reader = millrace.stream(args.stream).read({
    ...scope(args),
    ...(args.from === undefined ? {} : { from: args.from }),
    ...(args.limit === undefined ? {} : { limit: args.limit }),
    ...(args.backward ? { direction: "backward" } : {}),
  });
  for await (const record of reader) show(record, args);
}

export interface TailArgs extends ReadArgs {
  lines: number;
  follow?: boolean;
}

/** The last records, and, with `--follow`, those that come. */
export async function tail(millrace: Millrace, args: TailArgs): Promise<void> {
  // With those that come, none of the last may be wanted.
  atLeast(args.follow ? 0 : 1, "--lines", args.lines);
  if (args.from !== undefined && !args.follow) return read(millrace, args);
  const stream = millrace.stream(args.stream);
  let { from } = args;
  if (from === undefined) {
    // In the order of the whole stream, which those that come have only key by key.
    const last = args.lines > 0 ? { from: `-${args.lines}` } : { from: "latest" };
    const reader = stream.read({ ...scope(args), ...last, ...(args.follow ? {} : { limit: args.lines }) });
    for await (const record of reader) show(record, args);
    from = reader.cursor as string;
  }
  if (!args.follow) return;
  for await (const record of stream.follow({ ...scope(args), from })) show(record, args);
}

function atLeast(least: number, flag: string, count = least): void {
  if (!Number.isSafeInteger(count) || count < least)
    throw new Usage(`${flag} is a whole number, ${least} or more; not ${count}`);
}

/** What is missing is said beside what is there, and in the exit code: whoever pipes records on must not take them for all. */
function onLost(lost: readonly Lost[]): void {
  process.exitCode = exits.refused;
  for (const { partition, from, to, why } of lost) {
    console.error(`missing: partition ${partition}, offsets ${from} to ${to - 1}: ${why}`);
  }
}

function scope({ partition, key, type, tag }: ReadArgs): Pick<FollowOptions, "partition" | "filter" | "onLost"> {
  const filter: Filter = {
    ...(key === undefined ? {} : { key }),
    ...(type === undefined ? {} : { types: type }),
    ...(tag === undefined ? {} : { tags: tag, match: "any" }),
  };
  return {
    onLost,
    ...(partition === undefined ? {} : { partition }),
    ...(Object.keys(filter).length === 0 ? {} : { filter }),
  };
}

export function show(record: StoredRecord, { json, data }: { json?: boolean; data?: boolean }): void {
  const { partition, offset, timestamp, key, type, data_base64 } = record;
  const value = data_base64 === undefined ? record.data : data_base64;
  if (data) print(typeof value === "string" ? value : JSON.stringify(value));
  else if (json) print(JSON.stringify(record));
  else {
    const place = paint("dim", `${partition}.${offset}`.padEnd(8));
    const parts = [place, paint("dim", timestamp), paint("cyan", key ?? "-"), ...(type === undefined ? [] : [type])];
    print([...parts, value === undefined ? "" : JSON.stringify(value)].join("  "));
  }
}
