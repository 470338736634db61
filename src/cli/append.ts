/** `append`: values, or lines of a file or of the standard input, as their bytes are. */
import { createReadStream, statSync } from "node:fs";
import { Presets, SingleBar } from "cli-progress";
import { limits } from "../../schemas/limits.ts";
import { type StreamConfig, streamDefaults } from "../../schemas/stream.ts";
import type { Call } from "../client/http.ts";
import type { Millrace, Stream, Verdict } from "../client/index.ts";
import { runsShape } from "../client/shapes.ts";
import { concat } from "../lib/bytes.ts";
import { FrameWriter, type Rec } from "../log/record.ts";
import { BadValue, type Naming, recordOf } from "./appended.ts";
import { fileOf } from "./arguments.ts";
import { BadLine, numberedLines } from "./lines.ts";
import type { Run } from "./numbered.ts";
import { counted, paint, print, Usage } from "./output.ts";
import { mayBeOurs } from "./repeated.ts";
import { Sender } from "./sender.ts";

export interface AppendArgs extends Naming {
  stream: string;
  values?: string[];
  file?: string;
  partition?: number;
  json?: boolean;
}

/** Every value one record; without values the lines of a file, or of the standard input. */
export async function append(millrace: Millrace, args: AppendArgs): Promise<void> {
  const stream = millrace.stream(args.stream);
  // Otherwise a name that is wrong would be found out after the input was read.
  const info = await stream.info();
  const config = { ...streamDefaults, ...info.config } as StreamConfig;
  if (args.values?.length) {
    if (args.file !== undefined) throw new Usage("give values or --file, and not both");
    return appendValues(stream, args.values, config, args);
  }
  if (args.id !== undefined) throw new Usage("--id is for one value; import --id names a field");
  if (args.file === undefined && process.stdin.isTTY)
    throw new Usage("give values, --file, or lines on the standard input");
  await appendLines(stream, config, args);
}

async function appendValues(
  { http, path }: Stream,
  values: readonly string[],
  config: StreamConfig,
  args: AppendArgs,
): Promise<void> {
  if (args.id !== undefined && values.length > 1) throw new Usage("--id is for one value");
  const writer = new FrameWriter();
  const records = values.map((value, index) => {
    const what = values.length === 1 ? "" : `value ${index + 1}: `;
    return orUsage(what, () => recordOf(Buffer.from(value), config, args, Date.now()));
  });
  for (const record of records) writer.add(record);
  // With ids, what comes twice is a duplicate.
  const safe = records.every(({ id }) => id !== undefined);
  const call: Call = {
    body: concat(writer.finish(0)),
    headers: { "content-type": "application/vnd.millrace.frames" },
    query: { partition: args.partition },
    safe,
    records: records.length,
  };
  const { runs } = await http.json<{ runs: Run[] }>("POST", `${path}/records`, runsShape, call);
  const verdicts = runs.flatMap(eachOf);
  for (const verdict of verdicts) {
    if (args.json) print(JSON.stringify(verdict));
    else if (verdict.verdict === "rejected") print(`${paint("red", "rejected")}  ${verdict.detail}`);
    else
      print(
        `${verdict.partition}.${verdict.offset}  ${verdict.verdict}${verdict.verdict === "duplicate" ? mayBeOurs(call) : ""}`,
      );
  }
  if (verdicts.some(({ verdict }) => verdict === "rejected")) process.exitCode = 1;
}

function orUsage(what: string, make: () => Rec): Rec {
  try {
    return make();
  } catch (error) {
    throw error instanceof BadValue ? new Usage(`${what}${error.message}`) : error;
  }
}

/** The verdicts that a run stands for. */
const eachOf = ({ count, ...verdict }: Run): Verdict[] =>
  Array.from({ length: count }, (_, index) =>
    verdict.verdict === "rejected" ? verdict : { ...verdict, offset: verdict.offset + index },
  );

async function appendLines(stream: Stream, config: StreamConfig, args: AppendArgs): Promise<void> {
  const file = fileOf(args.file);
  const size = file === undefined ? 0 : sizeOf(file);
  const input = file === undefined ? process.stdin : createReadStream(file);
  const bar = process.stderr.isTTY && size > 1_000_000 ? progress(size, input) : undefined;
  const account = new Account();
  const sender = new Sender(stream, { batchBytesMax: config.batchBytesMax, partition: args.partition }, account);
  let [bad, left]: [unknown, number | undefined] = [undefined, undefined];
  try {
    for await (const line of numberedLines(input, limits.batchBytesMax)) {
      const record = ofLine(line, config, args);
      if (record === undefined || (await sender.push(record, line.number))) continue;
      left = line.number;
      break;
    }
  } catch (error) {
    bad = error;
  }
  // However it ended: what was taken is settled, or it is said that it is not.
  await sender.end();
  bar?.stop();
  if (bad instanceof BadLine && sender.stop === undefined && !sender.sent && account.counts.rejected === 0)
    throw new Usage(`${bad.message}; nothing was appended`);
  account.print(args.json);
  const { stop } = sender;
  if (stop !== undefined) {
    const { unknown, from = left } = stop;
    if (unknown.length > 0) console.error(`${linesText(unknown)}: may have been appended, or not: there was no answer`);
    if (from !== undefined) console.error(`nothing from line ${from} on was appended`);
    throw stop.error;
  }
  if (bad instanceof BadLine) throw new Error(`${bad.message}; nothing from line ${bad.line} on was appended`);
  if (bad !== undefined) throw bad;
}

/** A line's record; undefined for a blank line. Throws BadLine. */
function ofLine({ number, bytes }: { number: number; bytes: Uint8Array }, config: StreamConfig, args: AppendArgs) {
  if (bytes.every(isSpace)) return undefined;
  try {
    return recordOf(bytes, config, args, Date.now());
  } catch (error) {
    throw error instanceof BadValue ? new BadLine(number, error.message) : error;
  }
}

const isSpace = (byte: number) => byte === 32 || (byte >= 9 && byte <= 13);

function sizeOf(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Usage(`there is no file ${path}`);
  if (found.isDirectory()) throw new Usage(`${path} is a folder: give a file`);
  return found.size;
}

function progress(size: number, input: NodeJS.ReadableStream): SingleBar {
  const format = "{bar} {percentage} %  {eta_formatted}";
  const bar = new SingleBar({ format, stream: process.stderr, hideCursor: true }, Presets.shades_classic);
  bar.start(size, 0);
  let read = 0;
  input.on("data", (part: Buffer | string) => {
    read += part.length;
    bar.update(read);
  });
  return bar;
}

/** Rejections that are told of one by one. */
const toldMax = 20;

/** What became of the lines. */
class Account {
  readonly counts = { appended: 0, duplicate: 0, rejected: 0 };
  #told = 0;

  settled(verdict: "appended" | "duplicate", count: number): void {
    this.counts[verdict] += count;
  }

  rejected(lines: readonly number[], detail: string): void {
    this.counts.rejected += lines.length;
    process.exitCode = 1;
    if (this.#told++ < toldMax) console.error(`${linesText(lines)}: rejected: ${detail}`);
    else if (this.#told === toldMax + 1) console.error("and more, which are only counted");
  }

  print(json: boolean | undefined): void {
    const { appended, duplicate, rejected } = this.counts;
    const parts = [
      `${appended} appended`,
      ...(duplicate > 0 ? [counted(duplicate, "duplicate")] : []),
      ...(rejected > 0 ? [`${rejected} rejected`] : []),
    ];
    print(json ? JSON.stringify(this.counts) : parts.join(", "));
  }
}

/** Lines that follow each other; between them are blank ones at most. */
const linesText = (lines: readonly number[]) =>
  lines.length === 1 ? `line ${lines[0]}` : `lines ${lines[0]} to ${lines.at(-1)}`;
