/** A stream, its groups and its partitions, asked for piece by piece and put in the order of a dump. */
import type { MarksDump, StreamDump } from "../../../schemas/dump.ts";
import { jsonBlock } from "../../archive/dump.ts";
import { MillraceError } from "../../client/index.ts";
import { groupBlocks } from "./group.ts";
import { asOf, jsonIn, keysFault, type Page, recordsFault, stateFault } from "./pages.ts";
import { partitionPath, type Remote } from "./remote.ts";

/** Where a dump goes on within a stream. */
export interface Onwards {
  readonly stream: StreamDump;
  /** Which stream of its name it is, where that is known besides its log. */
  readonly origin?: string | undefined;
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
  let origin = onwards?.origin ?? stream?.logId;
  if (stream === undefined) {
    const page = await remote.stream(name);
    const [first, ...groups] = page.pieces;
    stream = jsonIn<StreamDump>(first.block);
    origin = page.origin;
    partitions = stream.opened;
    yield first.bytes;
    for (const piece of groups) yield* groupBlocks(remote, stream, origin, piece);
  }
  const dense = stream.config.offsets === "assigned";
  if (onwards?.within !== undefined) yield* recordBlocks(remote, name, onwards.within, origin, dense);
  for (const partition of partitions ?? []) {
    const path = `${partitionPath(name, partition)}/dump`;
    const terms = { partition, dense, range: stream.map[partition] };
    yield jsonBlock("partition", { partition });
    for (let after: string | undefined, more = stream.config.keyIndex; more; more = after !== undefined) {
      const page: Page = await remote.get(path, { part: "keys", origin, after }, keysFault(terms, after));
      for (const { bytes } of page.pieces) yield bytes;
      after = page.next;
    }
    const { pieces } = await remote.get(path, { part: "state", origin }, stateFault(terms));
    for (const piece of pieces) yield asOf(stream, piece);
    const marks = jsonIn<MarksDump>(pieces[0].block);
    yield* recordBlocks(remote, name, { marks, next: marks.head, chunks: 0, records: 0 }, origin, dense);
  }
}

/** The chunks of a partition, the next page being fetched while this one is written. */
async function* recordBlocks(
  remote: Remote,
  name: string,
  { marks, ...before }: NonNullable<Onwards["within"]>,
  origin: string | undefined,
  dense: boolean,
): AsyncGenerator<Uint8Array> {
  const { partition, tail } = marks;
  let { next, chunks, records } = before;
  const fetch = async (from: number): Promise<Page | { head: number }> => {
    try {
      const query = { from, to: tail, origin };
      return await remote.get(`${partitionPath(name, partition)}/dump`, query, recordsFault(from, marks, dense));
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
    coming = end < tail ? quiet(fetch(end)) : undefined;
    next = end;
    if ("head" in page) yield jsonBlock("head", { partition, head: end });
    else
      for (const { block, bytes } of page.pieces) {
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
