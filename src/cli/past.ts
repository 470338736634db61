/** `streams trim|verify|repair|erase`: a stream's past. */
import type { Damage, Millrace, RepairOptions } from "../client/index.ts";
import { confirm } from "./confirm.ts";
import { counted, print, Usage } from "./output.ts";
import { partitionsOf } from "./streams.ts";
import { shownSize, time } from "./units.ts";

const pauseMs = 500;

const told = (partition: number, { from, to, reason, object }: Damage) =>
  `partition ${partition}: offsets ${from} to ${to - 1}: ${reason}${object === undefined ? "" : ` (${object})`}`;

/** Exit code 1 where something is damaged. */
export async function verify(
  millrace: Millrace,
  name: string,
  only: number | undefined,
  json?: boolean,
): Promise<void> {
  let broken = 0;
  for (const partition of only === undefined ? await partitionsOf(millrace, name) : [only]) {
    const found = await millrace
      .stream(name)
      .partition(partition)
      .verify(({ bytes }) => {
        if (process.stderr.isTTY) process.stderr.write(`\rpartition ${partition}: ${Math.round(bytes / 1e6)} MB …`);
      });
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    broken += found.damaged.length;
    if (json) print(JSON.stringify({ partition, ...found }));
    else {
      for (const damage of found.damaged) print(told(partition, damage));
      const { chunks, objects, bytes, damaged } = found;
      const verdict = damaged.length === 0 ? "intact" : `${damaged.length} damaged`;
      const read = [counted(chunks, "chunk"), counted(objects, "object"), shownSize(bytes)].join(", ");
      print(`partition ${partition}: ${verdict}; ${read} read`);
    }
  }
  if (broken > 0) process.exitCode = 1;
}

/** The partitions that are meant, where none is named: all of them, unless offsets are, of which each has its own. */
async function meant(
  millrace: Millrace,
  name: string,
  only: number | undefined,
  offsets: boolean,
): Promise<readonly number[]> {
  if (only !== undefined) return [only];
  const all = await partitionsOf(millrace, name);
  if (offsets && all.length > 1)
    throw new Usage(`'${name}' has ${all.length} partitions, each with offsets of its own: say which with --partition`);
  return all;
}

const named = (partitions: readonly number[]) =>
  partitions.length === 1 ? `partition ${partitions[0]}` : `all ${partitions.length} partitions`;

interface Asked {
  readonly partition?: number | undefined;
  readonly yes?: boolean | undefined;
  readonly json?: boolean | undefined;
}

export async function repair(millrace: Millrace, name: string, options: RepairOptions, asked: Asked): Promise<void> {
  const { mode, from, to } = options;
  const partitions = await meant(millrace, name, asked.partition, from !== undefined || to !== undefined);
  const what = mode === "truncate" ? `everything from offset ${from} on` : "what cannot be read";
  // A partition that has something is left as it is by a rebuilding.
  if (mode !== "rebuild") await confirm(asked, `${what} in ${named(partitions)} of '${name}' will be lost for good`);
  for (const partition of partitions) {
    const lost = await millrace.stream(name).partition(partition).repair(options);
    if (asked.json) {
      print(JSON.stringify({ partition, lost }));
      continue;
    }
    if (lost.length === 0 && mode === "rebuild") {
      const { head, tail } = await millrace.stream(name).partition(partition).facts();
      print(`partition ${partition} has offsets ${head} to ${tail - 1}`);
    } else if (lost.length === 0) print(`partition ${partition}: nothing is lost: no record in that range is damaged`);
    for (const { from, to, reason } of lost)
      print(`lost: partition ${partition}, offsets ${from} to ${to - 1}: ${reason}`);
  }
}

/** `before` is an offset, or a time, which is one for all partitions. */
export async function trim(millrace: Millrace, name: string, before: string, asked: Asked): Promise<void> {
  const isOffset = /^\d+$/.test(before);
  const place = isOffset
    ? { beforeOffset: Number(before) }
    : { beforeTime: time("<before>", before, "an offset, nor ") };
  const partitions = await meant(millrace, name, asked.partition, isOffset);
  const what = isOffset ? `offset ${before}` : place.beforeTime;
  await confirm(asked, `everything before ${what} in ${named(partitions)} of '${name}' will be gone for good`);
  for (const partition of partitions) {
    const facts = await millrace.stream(name).partition(partition).trim(place);
    print(asked.json ? JSON.stringify(facts) : `partition ${partition} begins at offset ${facts.head} now`);
  }
}

/** Without a target it shows how the request `id` stands. Exit code 1 where something could not be searched. */
export async function erase(
  millrace: Millrace,
  name: string,
  target: { key: string } | { subject: string } | undefined,
  { id, wait, json, yes }: { id?: string | undefined; wait: boolean; json?: boolean; yes?: boolean | undefined },
): Promise<void> {
  const stream = millrace.stream(name);
  if (target !== undefined) {
    // A stream that is not there has nothing to ask about.
    await stream.info();
    const [[field, value]] = Object.entries(target);
    await confirm({ yes }, `every record of the ${field} '${value}' in '${name}' will be forgotten for good`);
  }
  let erasure =
    target === undefined
      ? await stream.erasure(id as string)
      : await stream.erase(id === undefined ? target : { ...target, id });
  while (wait && !erasure.done) {
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    erasure = await stream.erasure(erasure.id);
  }
  const searched = erasure.partitions.every(({ unread }) => unread.length === 0);
  // A script must not take it for forgotten.
  if (!searched) process.exitCode = 1;
  if (json) return print(JSON.stringify(erasure));
  for (const { partition, state, at, to, records, segments, objects, unread } of erasure.partitions) {
    const so = `${counted(records, "record")} in ${counted(segments, "segment")}`;
    const left =
      state === "rewriting" ? `searched up to offset ${at} of ${to}` : `${counted(objects, "object")} to delete`;
    print(`partition ${partition}: forgot ${so}${state === "done" ? "" : `; ${left}`}`);
    if (unread.length > 0)
      print(`partition ${partition}: damaged, and not searched: the chunks at ${unread.join(", ")}`);
  }
  if (!searched) print("not everything was searched; see millrace streams verify, and repair");
  if (erasure.done) print(`receipt ${erasure.id}`);
  else print(`request ${erasure.id} goes on; see how far with --id ${erasure.id} alone, or --wait`);
}
