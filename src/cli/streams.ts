/** `streams …`. */
import { type Millrace, MillraceError, type StreamConfig, type StreamInfo, type StreamPut } from "../client/index.ts";
import { confirm } from "./confirm.ts";
import { make, patch } from "./definitions.ts";
import { heldBack } from "./held.ts";
import { answer, print, table } from "./output.ts";
import { changes, losses, shownValue } from "./stream-changes.ts";
import { shownSize } from "./units.ts";

interface Asked {
  json?: boolean | undefined;
  yes?: boolean | undefined;
}

const row = ({ stream, config, createdAt }: StreamInfo) => [stream, config.partitions ?? 1, createdAt];
const header = ["STREAM", "PARTITIONS", "CREATED"];

/** Leaves a stream that is there as it is: by an error, or with `ifNotExists` by saying so. */
export async function create(
  millrace: Millrace,
  name: string,
  config: StreamConfig,
  { json, ifNotExists }: Asked & { ifNotExists?: boolean | undefined },
): Promise<void> {
  const stream = millrace.stream(name);
  const made = await make<StreamInfo>(stream, config);
  if (made === undefined && !ifNotExists)
    throw new Error(`the stream '${name}' exists; change it with: millrace streams update ${name}`);
  const info = made ?? (await stream.info());
  if (json) return print(JSON.stringify(info));
  print(made === undefined ? `${name} exists, and is left as it is` : `created ${name}`);
  if (made === undefined) return;
  for (const field of Object.keys(config) as (keyof StreamConfig)[])
    print(`  ${field}  ${shownValue(field, info.config[field])}`);
}

/** Asks first where something will be lost. */
export async function update(millrace: Millrace, name: string, config: StreamConfig, asked: Asked): Promise<void> {
  const stream = millrace.stream(name);
  const before = await stream.info();
  const planned = await patch<StreamPut>(stream, config, { dryRun: true });
  const changed = changes(before.config, planned.config);
  const lost = losses(name, before.config, planned.config, planned.drops);
  if (lost !== undefined) await confirm(asked, `${lost}, for good`);
  const info = changed.length === 0 ? planned : await patch<StreamPut>(stream, config);
  if (asked.json) return print(JSON.stringify(info));
  print(changed.length === 0 ? `${name} is so already` : [`updated ${name}`, ...changed].join("\n"));
}

export async function list(millrace: Millrace, prefix: string | undefined, json?: boolean): Promise<void> {
  const rows: ReturnType<typeof row>[] = [];
  for await (const info of millrace.streams(prefix === undefined ? {} : { prefix })) {
    if (json) print(JSON.stringify(info));
    else rows.push(row(info));
  }
  if (!json)
    print(rows.length === 0 ? "no streams; make one with: millrace streams create <name>" : table(header, rows));
}

/** Of the answer that has a stream's partitions. */
export const mapShape = { partitions: [{ partition: 0 }] };

/** Numbers of a stream's partitions, those that were split too. */
export async function partitionsOf(millrace: Millrace, name: string): Promise<number[]> {
  const { path } = millrace.stream(name);
  const { http } = millrace;
  const { partitions } = await http.json<{ partitions: { partition: number }[] }>(
    "GET",
    `${path}/partitions`,
    mapShape,
  );
  return partitions.map(({ partition }) => partition);
}

export async function show(millrace: Millrace, name: string, json?: boolean): Promise<void> {
  const stream = millrace.stream(name);
  const info = await stream.info();
  const partitions = await partitionsOf(millrace, name);
  const facts = await Promise.all(partitions.map((partition) => stream.partition(partition).facts()));
  if (json) return print(JSON.stringify({ ...info, partitions: facts }));
  print(`${info.stream}  log ${info.logId}  created ${info.createdAt}`);
  const fields = Object.entries(info.config).filter(([, value]) => value !== null);
  print(fields.map(([field, value]) => `  ${field} ${shownValue(field, value)}`).join("\n"));
  const rows = facts.map((one) => [
    one.partition,
    one.head,
    one.hotFrom,
    one.tail,
    one.records,
    { right: shownSize(one.bytes) },
    { right: shownSize(one.archived.bytes) },
    one.sealed ? "sealed" : "",
  ]);
  print(table(["PARTITION", "HEAD", "HOT FROM", "TAIL", "RECORDS", "BYTES", "ARCHIVED", ""], rows));
  for (const line of await heldBack(stream, info.config, facts)) print(line);
}

/** Of a stream that is being restored it gives the restore up. */
export async function remove(millrace: Millrace, name: string, asked: Asked): Promise<void> {
  const restoring = await isRestoring(millrace, name);
  await confirm(
    asked,
    restoring ? `the restore of '${name}' will be given up` : `'${name}' and all its records will be deleted for good`,
  );
  await millrace.stream(name).delete();
  const value = { deleted: name, ...(restoring && { restoring }) };
  answer(asked.json, value, restoring ? `gave up the restore of ${name}` : `deleted ${name}`);
}

/** Throws where there is no such stream. */
async function isRestoring(millrace: Millrace, name: string): Promise<boolean> {
  try {
    await millrace.stream(name).info();
    return false;
  } catch (error) {
    if (error instanceof MillraceError && error.code === "restoring") return true;
    throw error;
  }
}
