/** `snapshot …`. */
import { once } from "node:events";
import { createReadStream, createWriteStream, openAsBlob, statSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Millrace, SnapshotInfo } from "../client/index.ts";
import { fileOf } from "./arguments.ts";
import { confirm } from "./confirm.ts";
import { answer, print, table, Usage } from "./output.ts";
import { shownSize } from "./units.ts";

interface Of {
  stream: string;
  partition?: number;
  json?: boolean;
}

const header = ["PARTITION", "OFFSET", "BYTES", "CONTENT TYPE", "NAME", "CREATED"];
const row = ({ partition, offset, bytes, contentType, name, createdAt }: SnapshotInfo) => [
  partition,
  offset,
  { right: shownSize(bytes) },
  contentType,
  name ?? "-",
  createdAt,
];
const ofPartition = ({ partition }: Of) => (partition === undefined ? {} : { partition });
const show = (snapshots: readonly SnapshotInfo[], json?: boolean) =>
  print(json ? snapshots.map((one) => JSON.stringify(one)).join("\n") : table(header, snapshots.map(row)));

export interface PutArgs extends Of {
  offset: number;
  file?: string;
  contentType?: string;
  name?: string;
  lease?: string;
}

/** From a file, or as it comes on the standard input. */
export async function put(millrace: Millrace, args: PutArgs): Promise<void> {
  const { stream, offset, contentType, name, lease } = args;
  const file = fileOf(args.file);
  const found = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false });
  if (file !== undefined && found === undefined) throw new Usage(`there is no file ${file}`);
  // A pipe that has a name has no size.
  const open = () => (file === undefined ? process.stdin : createReadStream(file));
  const body = file !== undefined && found?.isFile() ? await openAsBlob(file) : open();
  const options = {
    ...ofPartition(args),
    ...(contentType === undefined ? {} : { contentType }),
    ...(name === undefined ? {} : { name }),
    ...(lease === undefined ? {} : { lease }),
  };
  show([await millrace.stream(stream).snapshots.put(offset, body, options)], args.json);
}

export interface GetArgs extends Of {
  which: string;
  file?: string;
  before?: number;
}

/** Into a file, which is there when it is whole, or to the standard output. Says on the standard error what it is. */
export async function get(millrace: Millrace, args: GetArgs): Promise<void> {
  const { stream, which, before } = args;
  const file = fileOf(args.file);
  const offset = which === "latest" ? which : offsetOf(which);
  const { snapshots } = millrace.stream(stream);
  const { body, ...info } = await snapshots.get(offset, {
    ...ofPartition(args),
    ...(before === undefined ? {} : { before }),
  });
  if (file === undefined) {
    for await (const chunk of body) if (!process.stdout.write(chunk)) await once(process.stdout, "drain");
  } else {
    const part = `${file}.part`;
    try {
      await pipeline(Readable.from(chunksOf(body)), createWriteStream(part));
      await rename(part, file);
    } finally {
      await rm(part, { force: true });
    }
  }
  if (file !== undefined) show([info], args.json);
  else console.error(args.json ? JSON.stringify(info) : `millrace: offset ${info.offset}, ${info.bytes} bytes`);
}

export async function list(millrace: Millrace, args: Of): Promise<void> {
  const snapshots = await millrace.stream(args.stream).snapshots.list(ofPartition(args));
  if (snapshots.length > 0) show(snapshots, args.json);
  else if (!args.json) print("no snapshots; store one with: millrace snapshot put <stream> <offset> <file>");
}

/** What is not there is an error: whoever names an offset means one. */
export async function remove(millrace: Millrace, args: Of & { offset: number; yes?: boolean }): Promise<void> {
  const { stream, offset } = args;
  const { snapshots } = millrace.stream(stream);
  const found = (await snapshots.list(ofPartition(args))).some((one) => one.offset === offset);
  if (!found) throw new Error(`there is no snapshot at offset ${offset}; see: millrace snapshot list ${stream}`);
  await confirm(args, `the snapshot of '${stream}' at offset ${offset} will be deleted for good`);
  await snapshots.delete(offset, ofPartition(args));
  answer(args.json, { deleted: offset }, `deleted the snapshot at ${offset}`);
}

export async function lease(
  millrace: Millrace,
  args: Of & { holder: string; seconds: number; offset?: number },
): Promise<void> {
  const { stream, holder, seconds, offset } = args;
  const taken = await millrace.stream(stream).snapshots.lease({
    ...ofPartition(args),
    holder,
    seconds,
    ...(offset === undefined ? {} : { offset }),
  });
  print(
    args.json
      ? JSON.stringify(taken)
      : table(["LEASE", "OFFSET", "EXPIRES"], [[taken.lease, taken.offset, taken.expiresAt]]),
  );
}

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  yield* body;
}

export function offsetOf(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw new Usage(`'${text}' is no offset`);
  return Number(text);
}
