/** `streams trim|verify|repair|erase`: a stream's past. */
import type { Damage, Millrace, RepairOptions } from "../client/index.ts";
import { counted, print, Usage } from "./output.ts";
import { partitionsOf } from "./streams.ts";

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
      const read = [counted(chunks, "chunk"), counted(objects, "object"), counted(bytes, "byte")].join(", ");
      print(`partition ${partition}: ${verdict}; ${read} read`);
    }
  }
  if (broken > 0) process.exitCode = 1;
}

export async function repair(
  millrace: Millrace,
  name: string,
  partition: number,
  options: RepairOptions,
  yes: boolean,
): Promise<void> {
  const what = options.mode === "truncate" ? `everything from offset ${options.from} on` : "what cannot be read";
  // A partition that has something is left as it is by it.
  if (!yes && options.mode !== "rebuild") throw new Usage(`${what} will be lost for good: add --yes`);
  const lost = await millrace.stream(name).partition(partition).repair(options);
  if (lost.length === 0 && options.mode === "rebuild") {
    const { head, tail } = await millrace.stream(name).partition(partition).facts();
    print(`partition ${partition} has offsets ${head} to ${tail - 1}`);
  } else if (lost.length === 0) print("nothing was lost: there is no damage in that range");
  for (const { from, to, reason } of lost) {
    print(`lost: partition ${partition}, offsets ${from} to ${to - 1}: ${reason}`);
  }
}

export async function trim(
  millrace: Millrace,
  name: string,
  partition: number,
  before: string,
  yes: boolean,
): Promise<void> {
  if (!yes) throw new Usage(`everything before ${before} will be gone for good: add --yes`);
  const offset = /^\d+$/.test(before);
  const facts = await millrace
    .stream(name)
    .partition(partition)
    .trim(offset ? { beforeOffset: Number(before) } : { beforeTime: before });
  print(`partition ${partition} begins at offset ${facts.head} now`);
}

/** Without a target it shows how the request `id` stands. Exit code 1 where something could not be searched. */
export async function erase(
  millrace: Millrace,
  name: string,
  target: { key: string } | { subject: string } | undefined,
  id: string | undefined,
  wait: boolean,
  json?: boolean,
): Promise<void> {
  const stream = millrace.stream(name);
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
