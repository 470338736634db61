/** `streams …`. */
import { type Millrace, MillraceError, type StreamConfig, type StreamInfo } from "../client/index.ts";
import { print, table, Usage } from "./output.ts";

const row = ({ stream, config, createdAt }: StreamInfo) => [stream, config.partitions ?? 1, createdAt];
const header = ["STREAM", "PARTITIONS", "CREATED"];

export async function create(millrace: Millrace, name: string, config: StreamConfig, json?: boolean): Promise<void> {
  const info = await millrace.stream(name).put(config);
  print(json ? JSON.stringify(info) : table(header, [row(info)]));
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

/** Numbers of a stream's partitions, those that were split too. */
export async function partitionsOf(millrace: Millrace, name: string): Promise<number[]> {
  const { path } = millrace.stream(name);
  const { partitions } = await millrace.http.json<{ partitions: { partition: number }[] }>("GET", `${path}/partitions`);
  return partitions.map(({ partition }) => partition);
}

export async function show(millrace: Millrace, name: string, json?: boolean): Promise<void> {
  const info = await millrace.stream(name).info();
  const partitions = await partitionsOf(millrace, name);
  const facts = await Promise.all(partitions.map((partition) => millrace.stream(name).partition(partition).facts()));
  if (json) return print(JSON.stringify({ ...info, partitions: facts }));
  print(`${info.stream}  log ${info.logId}  created ${info.createdAt}`);
  print(
    Object.entries(info.config)
      .map(([name, value]) => `  ${name} ${typeof value === "object" ? JSON.stringify(value) : value}`)
      .join("\n"),
  );
  const rows = facts.map((one) => [
    one.partition,
    one.head,
    one.hotFrom,
    one.tail,
    one.records,
    one.bytes,
    one.archived.bytes,
    one.sealed ? "sealed" : "",
  ]);
  print(table(["PARTITION", "HEAD", "HOT FROM", "TAIL", "RECORDS", "BYTES", "ARCHIVED", ""], rows));
}

/** Asks for its name, unless `yes`: what is deleted is gone. Of a stream that is being restored it gives the restore up. */
export async function remove(millrace: Millrace, name: string, yes: boolean): Promise<void> {
  const restoring = await isRestoring(millrace, name);
  if (!yes) {
    if (!process.stdin.isTTY) throw new Usage("deleting is for good: add --yes");
    const { createInterface } = await import("node:readline/promises");
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    const answer = await lines.question(`Delete '${name}' and all its records? Type its name: `);
    lines.close();
    if (answer !== name) throw new Usage("not deleted");
  }
  await millrace.stream(name).delete();
  print(restoring ? `gave up the restore of ${name}` : `deleted ${name}`);
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
