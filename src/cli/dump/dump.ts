/** `dump`: a namespace, or one stream of it, as a file. */

import { existsSync, statSync } from "node:fs";
import { DumpWriter, jsonBlock, readBlock } from "../../archive/dump.ts";
import { Outline } from "../../archive/dump-outline.ts";
import { copyOf, nextOf, type OutlineState } from "../../archive/dump-told.ts";
import { Millrace, MillraceError } from "../../client/index.ts";
import { fileOf } from "../arguments.ts";
import { type Common, settle } from "../config.ts";
import { answer, Usage } from "../output.ts";
import { mapShape } from "../streams.ts";
import { type Begun, forget, note, noted, refuseAnother, refuseOther } from "./begun.ts";
import { isGzip, Sha256, sizeOf } from "./file.ts";
import { Progress } from "./progress.ts";
import { pathOf, Remote } from "./remote.ts";
import { Sink } from "./sink.ts";
import { type Onwards, streamBlocks } from "./stream.ts";
import { findings, summary, told } from "./verify.ts";

export interface DumpArgs extends Common {
  what?: string;
  output?: string;
  resume?: boolean;
  verify?: boolean;
  gzip?: boolean;
}

/** A place in the file behind which it can be gone on. */
interface Checkpoint {
  readonly at: number;
  readonly since: number;
  readonly hash: Sha256;
  readonly state: OutlineState;
}

/** Bytes that are written together. */
const flushBytes = 4_194_304;

export async function dump(given: DumpArgs): Promise<void> {
  const args = { ...given, output: fileOf(given.output) };
  const { namespace, ...profile } = settle(args);
  const [ns, only] = partsOf(args.what ?? namespace);
  const remote = new Remote(new Millrace({ ...profile, namespace: ns }));
  if (args.output === undefined && process.stdout.isTTY) throw new Usage("say where to with --output, or > file");
  if (args.output === undefined && (args.resume || args.verify))
    throw new Usage("only a file that is named with --output can be gone on with, or verified");
  const isFile = args.output !== undefined && isPlain(args.output);
  if (!isFile && args.output !== undefined && (args.resume || args.verify))
    throw new Usage(`${args.output} is no file, which alone can be gone on with, or verified`);
  const begun = isFile && existsSync(args.output as string) && sizeOf(args.output as string) > 0;
  if (begun && !args.resume) throw new Usage(`${args.output} is there; go on with it with --resume, or remove it`);
  const zipped = args.gzip || isGzip(args.output ?? "");
  if (begun && zipped) throw new Usage("a compressed dump cannot be gone on with; remove it and begin anew");
  const checkpoint = begun ? await checkpointOf(args.output as string) : undefined;
  const known = begun ? noted(args.output as string) : undefined;
  const what = only === undefined ? ns : `${ns}/${only}`;
  if (checkpoint !== undefined) await refuseOther(args.output as string, checkpoint.state, remote, ns, only, known);
  const had = checkpoint === undefined || checkpoint.state.ended ? undefined : checkpoint.state.stream;
  let origin: string | undefined;
  if (had !== undefined && checkpoint !== undefined) {
    const isWhole = new Outline(checkpoint.state, false).between;
    origin = await refuseAnother(remote, { path: args.output as string, stream: had, isWhole }, known);
    remote.expect(known?.origin);
  }
  if (checkpoint?.state.ended) {
    forget(args.output as string);
    const value = { output: args.output, ...checkpoint.state.totals };
    answer(args.json, value, `${args.output} is complete already: ${summary(checkpoint)}`);
  } else {
    const goesOn = isFile && !zipped;
    const to = { path: args.output, zipped, goesOn, note: (origin?: string) => ({ what, url: remote.url, origin }) };
    const dumped = await write(remote, ns, only, to, checkpoint, origin).catch((error) => {
      const missing = error instanceof MillraceError && error.code === "namespace-not-found";
      if (!missing || args.what === undefined || only !== undefined) throw error;
      throw new Usage(`there is no namespace '${ns}'; a stream is named with its own: ${namespace}/${ns}`);
    });
    const { totals } = dumped.state;
    const text = `dumped ${summary(dumped)}`;
    // The dump may be the standard output, also under the name of a device.
    if (!isFile) console.error(args.json ? JSON.stringify(totals) : text);
    else answer(args.json, { output: args.output, ...totals }, `${text} to ${args.output}`);
  }
  if (args.output === undefined || !args.verify) return;
  const { damages, sha256 } = await findings(args.output);
  if (damages.length > 0) throw new Error(`${args.output}: ${told(damages[0])}`);
  answer(args.json, { output: args.output, intact: true, sha256 }, `${args.output} is intact; SHA-256 ${sha256}`);
}

function partsOf(what: string): [namespace: string, stream?: string] {
  const [namespace, stream, ...more] = what.split("/");
  if (namespace === "" || stream === "" || more.length > 0)
    throw new Usage(`'${what}' is no namespace, and no namespace/stream; say which of them to dump`);
  return stream === undefined ? [namespace] : [namespace, stream];
}

/** A file, or nothing yet; a pipe or a device has no length, and no places. Throws `Usage` for a folder. */
function isPlain(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new Usage(`${path} is a folder: give the name of a file`);
  return found === undefined || found.isFile();
}

/** Where a dump goes to, and what is noted beside it of the stream that is being dumped. */
interface Target {
  readonly path: string | undefined;
  readonly zipped: boolean;
  /** It can be gone on with. */
  readonly goesOn: boolean;
  readonly note: (origin?: string) => Begun;
}

async function write(
  remote: Remote,
  namespace: string,
  only: string | undefined,
  { path, zipped, goesOn, note: noteOf }: Target,
  checkpoint: Checkpoint | undefined,
  origin: string | undefined,
): Promise<Outline> {
  const sink = new Sink(path, zipped, checkpoint?.at);
  const writer = new DumpWriter(checkpoint?.hash ?? new Sha256(), (bytes) => sink.add(bytes), checkpoint?.since);
  // The service has looked at the records.
  const outline = new Outline(checkpoint?.state, false);
  const progress = new Progress("dump", 0);
  const add = async (bytes: Uint8Array) => {
    const block = readBlock(bytes, 0, bytes.length);
    const added = block.ok ? outline.add(block.value) : block;
    if (!added.ok) throw new Error(`${outline.where}: ${added.refusal.detail}`);
    writer.add(bytes);
    progress.add(bytes.length);
    if (sink.bytes >= flushBytes) await sink.flush();
  };
  try {
    if (outline.state.namespace === undefined) await add(jsonBlock("namespace", { namespace }));
    for await (const { name, onwards } of streamsLeft(remote, only, outline.state, origin)) {
      progress.expect(await bytesOf(remote, name));
      try {
        let isNoted = !goesOn;
        for await (const bytes of streamBlocks(remote, name, onwards)) {
          if (!isNoted) note(path as string, noteOf(remote.origin));
          isNoted = true;
          await add(bytes);
        }
      } catch (error) {
        // One that was deleted since it was listed was not there.
        const gone = error instanceof MillraceError && error.code === "stream-not-found";
        if (only === undefined && gone && outline.state.stream?.stream !== name) continue;
        // Before its first block there is no place in it.
        const where = outline.state.stream === undefined ? "" : `${outline.where}: `;
        throw Object.assign(error as Error, { message: `${where}${(error as Error).message}` });
      }
    }
    writer.finish(outline.state.totals);
    await sink.end();
  } finally {
    progress.end();
    sink.close();
    if (path !== undefined && !existsSync(path)) forget(path);
  }
  if (path !== undefined) forget(path);
  return outline;
}

/** The streams that are yet to be dumped; the first of them perhaps from the middle on. */
async function* streamsLeft(
  remote: Remote,
  only: string | undefined,
  state: OutlineState,
  origin: string | undefined,
): AsyncGenerator<{ name: string; onwards?: Onwards }> {
  const { stream, partition, partitions } = state;
  const last = stream?.stream;
  if (stream !== undefined && (partition !== undefined || partitions.length > 0)) {
    const marks = partition?.marks;
    const at = partition && { ...partition, next: nextOf(partition), marks };
    const within = marks === undefined ? {} : { within: at as NonNullable<Onwards["within"]> };
    yield { name: stream.stream, onwards: { stream, origin, partitions: [...partitions], ...within } };
  }
  if (only !== undefined) {
    if (last === undefined) yield { name: only };
    return;
  }
  for await (const name of remote.streams()) if (last === undefined || name > last) yield { name };
}

async function bytesOf(remote: Remote, name: string): Promise<number> {
  if (!process.stderr.isTTY) return 0;
  const { partitions } = await remote.json<{ partitions: { partition: number }[] }>(
    "GET",
    `${pathOf(name)}/partitions`,
    mapShape,
  );
  let sum = 0;
  for (const { partition } of partitions) {
    const path = `${pathOf(name)}/partitions/${partition}`;
    sum += (await remote.json<{ bytes: number }>("GET", path, { bytes: 0 })).bytes;
  }
  return sum;
}

/** The last place of an unfinished dump behind which it can be gone on. Throws where it was damaged before that. */
async function checkpointOf(path: string): Promise<Checkpoint | undefined> {
  let checkpoint: Checkpoint | undefined;
  let since = 8;
  const { damages } = await findings(path, ({ at, bytes, block }, outline, hash) => {
    if (!block.ok) return;
    const { name } = block.value;
    since = name === "hash" ? 0 : since + bytes.length;
    const { state } = outline;
    // A group's places, and a partition's state, are each as of one moment: they are dumped anew.
    const fits = outline.inRecords || state.ended || name === "namespace" || name === "close";
    if (!fits && !(name === "hash" && checkpoint?.at === at)) return;
    checkpoint = { at: at + bytes.length, since, hash: hash.copy(), state: copyOf(state) };
  });
  const cut = damages[0];
  if (cut !== undefined && checkpoint?.state.ended)
    throw new Error(`${path} is damaged: there is more behind its end, at byte ${cut.at}; remove it and begin anew`);
  if (cut !== undefined && !/cut off|ends before/.test(cut.what))
    throw new Usage(`${path}: ${told(cut)}; remove it and begin anew`);
  return checkpoint;
}
