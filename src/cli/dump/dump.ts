/** `dump`: a namespace, or one stream of it, as a file. */

import { once } from "node:events";
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { createGzip } from "node:zlib";
import { DumpWriter, jsonBlock, readBlock } from "../../archive/dump.ts";
import { Outline } from "../../archive/dump-outline.ts";
import { copyOf, nextOf, type OutlineState } from "../../archive/dump-told.ts";
import { Millrace, MillraceError } from "../../client/index.ts";
import { type Common, settle } from "../config.ts";
import { print, Usage } from "../output.ts";
import { mapShape } from "../streams.ts";
import { type Begun, forget, note, noted, refuseAnother, refuseOther } from "./begun.ts";
import { isGzip, Sha256, sizeOf } from "./file.ts";
import { Progress } from "./progress.ts";
import { pathOf, Remote } from "./remote.ts";
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

export async function dump(args: DumpArgs): Promise<void> {
  const { namespace, ...profile } = settle(args);
  const [ns, only] = partsOf(args.what ?? namespace);
  const remote = new Remote(new Millrace({ ...profile, namespace: ns }));
  if (args.output === undefined && process.stdout.isTTY) throw new Usage("say where to with --output, or > file");
  if (args.output === undefined && (args.resume || args.verify))
    throw new Usage("only a file that is named with --output can be gone on with, or verified");
  const begun = args.output !== undefined && existsSync(args.output) && sizeOf(args.output) > 0;
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
    print(`${args.output} is complete already: ${summary(checkpoint)}`);
  } else {
    const to = { path: args.output, zipped, note: (origin?: string) => ({ what, url: remote.url, origin }) };
    await write(remote, ns, only, to, checkpoint, origin).catch((error) => {
      const missing = error instanceof MillraceError && error.code === "namespace-not-found";
      if (!missing || args.what === undefined || only !== undefined) throw error;
      throw new Usage(`there is no namespace '${ns}'; a stream is named with its own: ${namespace}/${ns}`);
    });
  }
  if (args.output === undefined || !args.verify) return;
  const { damages, sha256 } = await findings(args.output);
  if (damages.length > 0) throw new Error(`${args.output}: ${told(damages[0])}`);
  print(`${args.output} is intact; SHA-256 ${sha256}`);
}

function partsOf(what: string): [namespace: string, stream?: string] {
  const [namespace, stream, ...more] = what.split("/");
  if (namespace === "" || stream === "" || more.length > 0)
    throw new Usage(`'${what}' is no namespace, and no namespace/stream; say which of them to dump`);
  return stream === undefined ? [namespace] : [namespace, stream];
}

/** Where a dump goes to, and what is noted beside it of the stream that is being dumped. */
interface Target {
  readonly path: string | undefined;
  readonly zipped: boolean;
  readonly note: (origin?: string) => Begun;
}

async function write(
  remote: Remote,
  namespace: string,
  only: string | undefined,
  { path, zipped, note: noteOf }: Target,
  checkpoint: Checkpoint | undefined,
  origin: string | undefined,
): Promise<void> {
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
        let isNoted = path === undefined || zipped;
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
  if (path !== undefined) print(`dumped ${summary(outline)} to ${path}`);
  else console.error(`dumped ${summary(outline)}`);
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

/** Where the bytes go: a file, which is there from the first of them on, or the standard output. */
class Sink {
  bytes = 0;
  #parts: Uint8Array[] = [];
  #file: number | undefined;
  readonly #path: string | undefined;
  readonly #gzip: ReturnType<typeof createGzip> | undefined;
  /** Where the next bytes go; undefined: the file begins with them. */
  #at: number | undefined;
  #drained: Promise<void> = Promise.resolve();
  /** Why what was packed could not be written. */
  #failed: Error | undefined;

  constructor(path: string | undefined, zipped: boolean, at: number | undefined) {
    this.#path = path;
    this.#at = at;
    if (!zipped) return;
    this.#gzip = createGzip({ level: 6 });
    this.#gzip.on("data", (part: Buffer) => {
      this.#gzip?.pause();
      this.#drained = this.#put(part).then(
        () => void this.#gzip?.resume(),
        (error) => void this.#gzip?.destroy(error),
      );
    });
    this.#gzip.on("error", (error) => {
      this.#failed ??= error;
    });
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.bytes += bytes.length;
  }

  async flush(): Promise<void> {
    const parts = Buffer.concat(this.#parts);
    this.#parts = [];
    this.bytes = 0;
    if (this.#gzip === undefined) return this.#put(parts);
    if (this.#failed !== undefined) throw this.#failed;
    if (!this.#gzip.write(parts)) await once(this.#gzip, "drain");
  }

  async end(): Promise<void> {
    await this.flush();
    if (this.#gzip !== undefined) {
      const ended = once(this.#gzip, "end");
      this.#gzip.end();
      await ended;
      await this.#drained;
      if (this.#failed !== undefined) throw this.#failed;
    }
    if (this.#file !== undefined) fsyncSync(this.#file);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  async #put(bytes: Buffer): Promise<void> {
    if (this.#path === undefined) {
      if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
      return;
    }
    this.#file ??= opened(this.#path, this.#at);
    const at = this.#at ?? 0;
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#file, bytes, done, bytes.length - done, at + done);
    this.#at = at + bytes.length;
  }
}

/** It holds what is in the log, and secrets of webhooks: for the eyes of its owner. What is behind `at` is cut off. */
function opened(path: string, at: number | undefined): number {
  const file = openSync(path, at === undefined ? "w" : "r+", 0o600);
  if (at !== undefined) ftruncateSync(file, at);
  return file;
}
