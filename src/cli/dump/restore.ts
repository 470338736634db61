/** `restore`: what a dump's file holds, as streams again. Each step may be repeated: the same command goes on. */
import type { GroupDump, StreamDump } from "../../../schemas/dump.ts";
import type { RestoreStand } from "../../../schemas/dump-routes.ts";
import { limits } from "../../../schemas/limits.ts";
import { type Block, jsonBlock, readBlock } from "../../archive/dump.ts";
import { Millrace } from "../../client/index.ts";
import type { Shape } from "../../client/shapes.ts";
import { concat } from "../../lib/bytes.ts";
import { type Common, settle } from "../config.ts";
import { answer, counted, Usage } from "../output.ts";
import { blocksIn, type Found, sizeOf } from "./file.ts";
import { asOf, jsonIn } from "./pages.ts";
import { Progress } from "./progress.ts";
import { groupPath, partitionPath, pathOf, Remote } from "./remote.ts";
import { streamBlocks } from "./stream.ts";
import { findings, told } from "./verify.ts";

export interface RestoreArgs extends Common {
  file: string;
  /** `old`, or `old=new`: one stream, perhaps under another name. */
  stream?: string;
  newId?: boolean;
  verify?: boolean;
  /** Let groups go on at once. */
  resume?: boolean;
}

/** Bytes that are sent together. */
const sendBytes = limits.dumpBodyBytesMax / 2;

interface Told {
  readonly logId: string;
  readonly created: number;
  readonly finished: boolean;
}

export async function restore(args: RestoreArgs): Promise<void> {
  const { damages, outline, sha256 } = await findings(args.file);
  // Nothing of a file that is not whole is written anywhere.
  if (damages.length > 0) throw new Error(`${args.file} is damaged: ${told(damages[0])}`);
  const dumped = outline.state.namespace as string;
  const namespace = args.namespace ?? dumped;
  const remote = new Remote(new Millrace({ ...settle(args), namespace }));
  await remote.json("PUT", "", { namespace: "" });
  const [only, other] = (args.stream ?? "").split("=");
  const run = new Restoring(remote, args, sha256, only, other ?? only);
  const progress = new Progress("restore", sizeOf(args.file));
  try {
    for await (const found of blocksIn(args.file, (bytes) => progress.add(bytes))) await run.take(found);
    await run.end();
  } finally {
    progress.end();
  }
  if (only !== "" && run.streams === 0) throw new Usage(`${args.file} has no stream '${only}'`);
  const { streams, restored, groups } = run;
  answer(
    args.json,
    { namespace, streams, restored, groups },
    `restored ${restored} of ${counted(streams, "stream")} into ${namespace}`,
  );
  if (groups > 0 && !args.resume) {
    console.error(
      `${counted(groups, "group")} stand still, so that nothing is delivered twice: resume each with 'millrace groups resume', or all by this command with --resume`,
    );
  }
}

/** A stream that is being sent. */
interface Current {
  /** As the file has it, and under its new name. */
  readonly dumped: StreamDump;
  readonly name: string;
  readonly logId: string;
  readonly created: number;
  readonly groups: Map<string, string>;
}

const standShape = { marks: true, next: 0, chunks: 0, closed: true };

/** Where blocks are sent to. */
interface Target {
  readonly path: string;
  readonly shape: Shape;
  readonly query: Record<string, number>;
}

class Restoring {
  streams = 0;
  restored = 0;
  groups = 0;
  #current: Current | undefined;
  #group: string | undefined;
  #target: Target | undefined;
  /** What is there of the partition. */
  #stand: RestoreStand | undefined;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #sent: Promise<unknown> = Promise.resolve();

  constructor(
    readonly remote: Remote,
    readonly args: RestoreArgs,
    readonly dump: string,
    readonly only: string,
    readonly other: string,
  ) {}

  async take({ bytes, block }: Found): Promise<void> {
    if (!block.ok) throw new Error(block.refusal.detail);
    const { name } = block.value;
    if (name === "namespace" || name === "hash" || name === "end") return;
    if (name === "stream") return this.#begin(block.value);
    if (this.#current === undefined) return;
    if (name === "group") return this.#beginGroup(block.value, bytes, this.#current);
    if (name === "partition") return this.#beginPartition(block.value, this.#current);
    if (name === "place") {
      await this.#flush();
      const { partition } = jsonIn<{ partition: number }>(block.value);
      const path = `${groupPath(this.#current.name, this.#group as string)}/restore`;
      this.#target = { path, shape: { group: "" }, query: { partition } };
    }
    if (this.#isThere(block.value)) return;
    if (this.#bytes + bytes.length > limits.dumpBodyBytesMax) await this.#flush();
    // The bytes of the file are read over by the next ones.
    this.#parts.push(Uint8Array.from(bytes));
    this.#bytes += bytes.length;
    if (this.#bytes >= sendBytes) await this.#flush();
  }

  /** Finishes the stream before, if there is one. */
  async end(): Promise<void> {
    await this.#flush();
    await this.#sent;
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    if (this.args.verify) await this.#compare(current);
    await this.#finish(current.name);
    this.restored++;
    this.groups += current.groups.size;
  }

  async #begin(block: Block): Promise<void> {
    await this.end();
    const dumped = jsonIn<StreamDump>(block);
    if (this.only !== "" && dumped.stream !== this.only) return;
    this.streams++;
    const name = this.only === "" ? dumped.stream : this.other;
    const query = { dump: this.dump, newId: this.args.newId === true };
    const shape = { logId: "", created: 0, finished: true };
    const told = await this.remote.post<Told>(`${pathOf(name)}/restore`, shape, query, jsonBlock("stream", dumped));
    const { logId, created, finished } = told;
    if (!finished) this.#current = { dumped, name, logId, created, groups: new Map() };
    else if (this.args.resume) {
      await this.#finish(name);
      console.error(`${name}: this dump was restored before; its groups go on`);
    } else console.error(`${name}: this dump was restored before; left as it is`);
  }

  #finish(name: string): Promise<unknown> {
    const query: { resume?: true } = this.args.resume ? { resume: true } : {};
    return this.remote.json("POST", `${pathOf(name)}/restore/finish`, { stream: "", logId: "" }, query);
  }

  async #beginGroup(block: Block, bytes: Uint8Array, { name, groups }: Current): Promise<void> {
    await this.#flush();
    const { group } = jsonIn<GroupDump>(block);
    const query = { newId: this.args.newId === true };
    const path = `${groupPath(name, group)}/restore`;
    const { groupId } = await this.remote.post<{ groupId: string }>(
      path,
      { groupId: "" },
      query,
      Uint8Array.from(bytes),
    );
    groups.set(group, groupId);
    this.#group = group;
  }

  async #beginPartition(block: Block, { name }: Current): Promise<void> {
    await this.#flush();
    await this.#sent;
    const path = `${partitionPath(name, jsonIn<{ partition: number }>(block).partition)}/restore`;
    this.#target = { path, shape: standShape, query: {} };
    this.#stand = await this.remote.json<RestoreStand>("GET", path, standShape);
  }

  /** What an earlier attempt has sent, and was taken. */
  #isThere({ name, payload }: Block): boolean {
    const stand = this.#stand;
    if (stand === undefined || name === "place" || name === "lanes" || name === "letter" || name === "settled")
      return false;
    if (stand.closed) return true;
    if (name === "keys") return stand.marks;
    if (name !== "chunk" || stand.chunks === 0) return false;
    const next = new DataView(payload.buffer, payload.byteOffset).getBigUint64(8, true);
    return next <= BigInt(stand.next);
  }

  /** Sends what has been gathered, once what went before has arrived. */
  async #flush(): Promise<void> {
    if (this.#parts.length === 0) return;
    const { path, shape, query } = this.#target as Target;
    const body = concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    await this.#sent;
    this.#sent = this.remote.post(path, shape, query, body);
    // That it failed is told when it is waited for.
    this.#sent.catch(() => {});
  }

  /** Reads everything back. */
  async #compare(current: Current): Promise<void> {
    const wanted = wantedOf(this.args.file, current);
    for await (const bytes of streamBlocks(this.remote, current.name)) {
      const got = readBlock(bytes, 0, bytes.length);
      // Of a stream that was written to meanwhile, the records say more than its index did.
      if (got.ok && notCompared.has(got.value.name)) continue;
      const next = await wanted.next();
      if (!next.done && got.ok && Buffer.compare(next.value.bytes, bytes) === 0) continue;
      const where = next.done ? "its end" : `byte ${next.value.at}`;
      throw new Error(`${current.name}: what was restored is not what the file has at ${where}; delete the stream`);
    }
    if (!(await wanted.next()).done) throw new Error(`${current.name}: not everything was restored; delete the stream`);
  }
}

/** What may come back otherwise: the index, where the records say more, and what went piece by piece in how many pieces it went. */
const notCompared: ReadonlySet<string> = new Set(["keys", "head"]);

/** The blocks of a stream, as they must come back. */
async function* wantedOf(
  path: string,
  { dumped, name, logId, created, groups }: Current,
): AsyncGenerator<{ at: number; bytes: Uint8Array }, undefined> {
  let inside = false;
  for await (const { at, bytes, block } of blocksIn(path)) {
    if (!block.ok) throw new Error(block.refusal.detail);
    const { name: kind } = block.value;
    if (kind === "stream") inside = jsonIn<StreamDump>(block.value).stream === dumped.stream;
    if (!inside || notCompared.has(kind) || kind === "hash" || kind === "end") continue;
    if (kind === "stream") yield { at, bytes: jsonBlock("stream", { ...dumped, stream: name, logId, created }) };
    else if (kind === "group") {
      const group = jsonIn<GroupDump>(block.value);
      yield { at, bytes: jsonBlock("group", { ...group, id: groups.get(group.group) }) };
    } else
      yield { at, bytes: kind === "marks" || kind === "place" ? asOf(dumped, { block: block.value, bytes }) : bytes };
  }
  return undefined;
}
