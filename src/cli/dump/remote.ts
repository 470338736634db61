/** A service from which is dumped, or into which is restored. Everything may be asked again. */

import type { GroupDump, MarksDump, PlaceDump, StreamDump } from "../../../schemas/dump.ts";
import { type Block, jsonBlock, readBlocks } from "../../archive/dump.ts";
import { network } from "../../client/error.ts";
import { type Millrace, MillraceError, type StreamInfo } from "../../client/index.ts";
import { retrying } from "../../client/retry.ts";
import type { Shape } from "../../client/shapes.ts";
import { haste } from "../config.ts";

/** Some minutes: as long as a service may be away, or an archive behind. */
const patience = { attempts: 60, initialMs: 100, maxMs: 5_000 };
const blocksType = "application/vnd.millrace.dump";

type Query = Record<string, string | number | boolean | undefined>;

export interface Page {
  readonly bytes: Uint8Array;
  readonly next: string | undefined;
  /** Of a stream's own block: which stream of its name it is. */
  readonly origin: string | undefined;
}

export class Remote {
  /** Something has been answered: the service is where it was said to be. */
  #met = false;
  /** When the namespace was created. */
  #since: string | undefined;

  constructor(readonly millrace: Millrace) {}

  get(path: string, query: Query = {}): Promise<Page> {
    return this.#patiently(async () => {
      const response = await this.millrace.http.once("GET", path, { query });
      const next = response.headers.get("millrace-next");
      // What something in between answers has no blocks.
      if (response.headers.get("content-type") !== blocksType) throw network("something else did");
      const body: ArrayBuffer = await response.arrayBuffer().catch((error) => Promise.reject(network(error)));
      const origin = response.headers.get("millrace-origin") ?? undefined;
      return { bytes: new Uint8Array(body), next: next === null ? undefined : decodeURIComponent(next), origin };
    });
  }

  /** The blocks of a stream and of its groups. Throws where the namespace is not that of the streams before. */
  async stream(name: string): Promise<Page> {
    const page = await this.get(`${pathOf(name)}/dump`);
    const since = page.origin?.split("-")[0];
    if (since !== (this.#since ?? since)) throw new Error("the namespace was deleted and made anew; begin anew");
    this.#since = since;
    return page;
  }

  json<T>(method: "GET" | "POST" | "PUT", path: string, shape: Shape, query: Query = {}): Promise<T> {
    return this.#patiently(() => this.millrace.http.jsonOnce<T>(method, path, shape, { query }));
  }

  /** The names of all streams, in their order. */
  async *streams(): AsyncGenerator<string, void, undefined> {
    for (let after: string | undefined; ; ) {
      const page = await this.json<{ streams: StreamInfo[]; after?: string }>(
        "GET",
        "/streams",
        { streams: [{ stream: "" }] },
        { after },
      );
      for (const { stream } of page.streams) yield stream;
      if (!page.after) return;
      after = page.after;
    }
  }

  post<T>(path: string, shape: Shape, query: Query, body: Uint8Array): Promise<T> {
    const headers = { "content-type": blocksType };
    return this.#patiently(() => this.millrace.http.jsonOnce<T>("POST", path, shape, { query, body, headers }));
  }

  /** A service that was never there is not waited for: its address may be wrong. */
  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    let failures = 0;
    const may = ({ code, retryable }: MillraceError) => {
      if (code !== "network") this.#met = true;
      return retryable && (this.#met || ++failures < haste.attempts);
    };
    const answer = await retrying(attempt, patience, undefined, may);
    this.#met = true;
    return answer;
  }
}

export const pathOf = (stream: string): string => `/streams/${encodeURIComponent(stream)}`;
export const groupPath = (stream: string, group: string): string =>
  `${pathOf(stream)}/groups/${encodeURIComponent(group)}`;
export const partitionPath = (stream: string, partition: number): string => `${pathOf(stream)}/partitions/${partition}`;

/** Blocks of an answer, which the service has just made. */
export function blocksOf(bytes: Uint8Array): { block: Block; bytes: Uint8Array }[] {
  const read = readBlocks(bytes);
  if (!read.ok) throw network(new Error(read.refusal.detail));
  let at = 0;
  return read.value.map((block) => {
    const from = at;
    at += 12 + block.payload.length;
    return { block, bytes: bytes.subarray(from, at) };
  });
}

export const jsonIn = <T>({ payload }: Block): T => JSON.parse(new TextDecoder().decode(payload)) as T;

/** Where a dump goes on within a stream. */
export interface Onwards {
  readonly stream: StreamDump;
  /** Partitions that are yet to come. */
  readonly partitions: readonly number[];
  /** A partition whose state is told, and its records up to `next`. */
  readonly within?: {
    readonly marks: MarksDump;
    readonly next: number;
    readonly chunks: number;
    readonly records: number;
  };
}

/** All blocks of a stream, in the order of a dump. Groups come first: what they have finished is in the records, then. */
export async function* streamBlocks(remote: Remote, name: string, onwards?: Onwards): AsyncGenerator<Uint8Array> {
  let partitions = onwards?.partitions;
  let stream = onwards?.stream;
  let origin = stream?.logId;
  if (stream === undefined) {
    const page = await remote.stream(name);
    const [first, ...groups] = blocksOf(page.bytes);
    stream = jsonIn<StreamDump>(first.block);
    origin = page.origin;
    partitions = stream.opened;
    yield first.bytes;
    for (const { block, bytes } of groups) {
      yield bytes;
      const { group, id, opened } = jsonIn<GroupDump>(block);
      for (const partition of opened)
        for await (const part of placeBlocks(remote, name, group, { partition, origin, id })) yield asOf(stream, part);
    }
  }
  if (onwards?.within !== undefined) yield* recordBlocks(remote, name, onwards.within, origin);
  for (const partition of partitions ?? []) {
    const path = `${partitionPath(name, partition)}/dump`;
    yield jsonBlock("partition", { partition });
    if (stream.config.keyIndex) yield* pages(remote, path, { part: "keys", origin });
    const state = blocksOf((await remote.get(path, { part: "state", origin })).bytes);
    for (const { bytes } of state) yield asOf(stream, bytes);
    const marks = jsonIn<MarksDump>(state[0].block);
    yield* recordBlocks(remote, name, { marks, next: marks.head, chunks: 0, records: 0 }, origin);
  }
}

/**
 * A block as of the moment of its stream's: that may have grown since. What its map says takes appends is not sealed, and
 * no partition continues another that is not in it.
 */
export function asOf({ map }: StreamDump, bytes: Uint8Array): Uint8Array {
  const [{ block }] = blocksOf(bytes);
  if (block.name === "marks") {
    const marks = jsonIn<MarksDump>(block);
    const { sealed } = map[marks.partition];
    return marks.sealed === sealed ? bytes : jsonBlock("marks", { ...marks, sealed });
  }
  if (block.name !== "place") return bytes;
  const { unheard, ...place } = jsonIn<PlaceDump>(block);
  const all: number[] = JSON.parse(unheard ?? "[]");
  const known = all.filter((one) => one < map.length);
  if (known.length === all.length) return bytes;
  return jsonBlock("place", { ...place, ...(known.length === 0 ? {} : { unheard: JSON.stringify(known) }) });
}

async function* placeBlocks(
  remote: Remote,
  name: string,
  group: string,
  { partition, ...of }: { partition: number; origin: string | undefined; id: string },
): AsyncGenerator<Uint8Array> {
  let lanes = 0;
  let letters = 0;
  for await (const bytes of pages(remote, `${groupPath(name, group)}/dump`, { partition, ...of })) {
    const [{ block }] = blocksOf(bytes);
    if (block.name === "lanes") lanes += jsonIn<unknown[]>(block).length;
    if (block.name === "letter") letters++;
    yield bytes;
  }
  yield jsonBlock("settled", { group, partition, lanes, letters });
}

async function* pages(remote: Remote, path: string, query: Query): AsyncGenerator<Uint8Array> {
  for (let after: string | undefined; ; ) {
    const page = await remote.get(path, { ...query, after });
    for (const { bytes } of blocksOf(page.bytes)) yield bytes;
    if (page.next === undefined) return;
    after = page.next;
  }
}

/** The chunks of a partition, the next page being fetched while this one is written. */
async function* recordBlocks(
  remote: Remote,
  name: string,
  { marks, ...before }: NonNullable<Onwards["within"]>,
  origin: string | undefined,
): AsyncGenerator<Uint8Array> {
  const { partition, tail } = marks;
  let { next, chunks, records } = before;
  const fetch = async (from: number): Promise<Page | { head: number }> => {
    try {
      return await remote.get(`${partitionPath(name, partition)}/dump`, { from, to: tail, origin });
    } catch (error) {
      // Retention was faster.
      const gone = error instanceof MillraceError && error.code === "trimmed" && typeof error.facts.head === "number";
      if (!gone) throw error;
      return { head: Math.min(error.facts.head as number, tail) };
    }
  };
  let coming = next < tail ? quiet(fetch(next)) : undefined;
  while (coming !== undefined) {
    const page = await coming;
    const end: number = "head" in page ? page.head : Number(page.next);
    if (!("head" in page) && end <= next) throw new Error(`the service does not go on at offset ${next}`);
    coming = end < tail ? quiet(fetch(end)) : undefined;
    next = end;
    if ("head" in page) yield jsonBlock("head", { partition, head: end });
    else
      for (const { block, bytes } of blocksOf(page.bytes)) {
        chunks++;
        records += new DataView(block.payload.buffer, block.payload.byteOffset).getUint32(32, true);
        yield bytes;
      }
  }
  yield jsonBlock("close", { partition, chunks, records });
}

/** That it failed is told when it is asked for. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
