/** `read` and `tail`. */
import { instantOf } from "../../schemas/time.ts";
import type { Filter, FollowOptions, Lost, Millrace, Stream } from "../client/index.ts";
import { type Exact, exactly } from "./exact.ts";
import { exits, Usage } from "./output.ts";
import { type Form, showing } from "./showing.ts";
import { placeOf, time } from "./units.ts";

interface Scope {
  partition?: number;
  key?: string;
  type?: string[];
  tag?: string[];
}

export interface ReadArgs extends Scope, Form {
  stream: string;
  from?: string;
  to?: string;
  limit?: number;
  backward?: boolean;
}

export async function read(millrace: Millrace, args: ReadArgs): Promise<void> {
  atLeast(1, "--limit", args.limit);
  const show = showing(args);
  const stream = exactly(millrace).stream<string | undefined>(args.stream);
  const isBehind = await endOf(stream, args);
  const reader = stream.read({
    ...scope(args),
    ...(args.from === undefined ? {} : { from: placeOf(args.from) }),
    ...(args.limit === undefined ? {} : { limit: args.limit }),
    ...(args.backward ? { direction: "backward" } : {}),
  });
  for await (const record of reader) {
    if (isBehind(record)) return;
    await show(record);
  }
}

/** Whether a record lies behind the end that was asked for: at that offset, or that time, or later. */
async function endOf(
  stream: Stream<string | undefined>,
  { to, partition, key }: ReadArgs,
): Promise<(record: Exact) => boolean> {
  if (to === undefined) return () => false;
  if (!/^\d+$/.test(to)) {
    const end = instantOf(time("--to", to, "an offset, or ")) as number;
    return ({ timestamp }) => Date.parse(timestamp) >= end;
  }
  if (partition === undefined && key === undefined && ((await stream.info()).config.partitions ?? 1) > 1)
    throw new Usage("--to: an offset belongs to one partition; name it with --partition");
  return ({ offset }) => offset >= Number(to);
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
  const show = showing(args);
  const stream = exactly(millrace).stream<string | undefined>(args.stream);
  let from = args.from === undefined ? undefined : placeOf(args.from);
  if (from === undefined) {
    // In the order of the whole stream, which those that come have only key by key.
    const last = args.lines > 0 ? { from: `-${args.lines}` } : { from: "latest" };
    const reader = stream.read({ ...scope(args), ...last, ...(args.follow ? {} : { limit: args.lines }) });
    for await (const record of reader) await show(record);
    from = reader.cursor as string;
  }
  if (!args.follow) return;
  for await (const record of stream.follow({ ...scope(args), from })) await show(record);
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

function scope({ partition, key, type, tag }: Scope): Pick<FollowOptions, "partition" | "filter" | "onLost"> {
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
