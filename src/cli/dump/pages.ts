/** What the pages of a dump must be: what is wrong in one is asked for again, as long as the service may answer otherwise. */
import { groupDump, type MarksDump, type PlaceDump, type StreamDump, streamDump } from "../../../schemas/dump.ts";
import { ok, type Result } from "../../../schemas/errors.ts";
import { type Block, blockHeadBytes, jsonBlock, readBlocks, readChunk } from "../../archive/dump.ts";
import { type Part, partProblem, type Terms } from "../../archive/dump-order.ts";
import { jsonOf, partOf } from "../../archive/dump-part.ts";
import { placePartOf } from "../../archive/dump-place.ts";

/** A block, and its bytes. */
export interface Piece {
  readonly block: Block;
  readonly bytes: Uint8Array;
}

export interface Page {
  readonly pieces: readonly Piece[];
  /** Where to go on; undefined where there is no more. */
  readonly next: string | undefined;
  /** Of a stream's own block: which stream of its name it is. */
  readonly origin: string | undefined;
}

/** Says what of a page is not what was asked for, if anything. */
export type Wrong = (page: Page) => string | undefined;

export function piecesOf(bytes: Uint8Array): Result<Piece[]> {
  const read = readBlocks(bytes);
  if (!read.ok) return read;
  let at = 0;
  return ok(
    read.value.map((block) => {
      const from = at;
      at += blockHeadBytes + block.payload.length;
      return { block, bytes: bytes.subarray(from, at) };
    }),
  );
}

export const jsonIn = <T>({ payload }: Block): T => JSON.parse(new TextDecoder().decode(payload)) as T;

/**
 * A block as of the moment of its stream's: that may have grown since. What its map says takes appends is not sealed, and
 * no partition continues another that is not in it.
 */
export function asOf({ map }: StreamDump, { block, bytes }: Piece): Uint8Array {
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

/** A stream's block, and those of its groups. */
export const streamFault =
  (name: string): Wrong =>
  ({ pieces: [first, ...groups] }) => {
    if (first?.block.name !== "stream") return "it does not begin with the stream's block";
    const stream = jsonOf(first.block, streamDump);
    if (!stream.ok) return stream.refusal.detail;
    if (stream.value.stream !== name) return `it is of the stream '${stream.value.stream}'`;
    for (const { block } of groups) {
      if (block.name !== "group") return `it has a ${block.name} block`;
      const group = jsonOf(block, groupDump);
      if (!group.ok) return group.refusal.detail;
    }
    return undefined;
  };

/** Names of streams in their order, behind one; the last of them says where to go on. */
export function listFault(
  { streams, after: next }: { readonly streams: readonly { readonly stream: string }[]; readonly after?: string },
  after = "",
): string | undefined {
  const names = [after, ...streams.map(({ stream }) => stream)];
  const at = names.findIndex((name, index) => index > 0 && name <= names[index - 1]);
  if (at > 0) return `the stream '${names[at]}' is out of order`;
  return next === undefined || (next === names.at(-1) && next !== after) ? undefined : `it goes on behind '${next}'`;
}

/** Some of a group's place; the first page has the place itself. */
export const placeFault =
  (group: string, partition: number, after: string | undefined): Wrong =>
  ({ pieces, next }) => {
    for (const [at, { block }] of pieces.entries()) {
      const part = placePartOf(block, group, partition);
      if (!part.ok) return part.refusal.detail;
      if ("place" in part.value !== (after === undefined && at === 0)) return `a ${block.name} block is out of order`;
      if ("settled" in part.value) return "it has a settled block";
    }
    if (pieces.length === 0 && (after === undefined || next !== undefined)) return "it is empty";
    return next !== undefined && next === after ? `it does not go on behind ${after}` : undefined;
  };

/** A block of the key index, or none where it ends. */
export const keysFault =
  (terms: Terms, after: string | undefined): Wrong =>
  ({ pieces, next }) => {
    const parts = partsOf(pieces, terms);
    if (!parts.ok) return parts.refusal.detail;
    const keys = parts.value.flatMap((part) => ("keys" in part ? [part.keys] : []));
    if (keys.length !== parts.value.length || keys.length > 1) return "it is not one block of keys";
    if (next === undefined) return undefined;
    return next === keys[0]?.at(-1)?.[0] && next !== after ? undefined : "it does not end with the key that it names";
  };

/** Marks, and as many producers and ids as they say. */
export const stateFault =
  (terms: Terms): Wrong =>
  ({ pieces }) => {
    const parts = partsOf(pieces, terms);
    if (!parts.ok) return parts.refusal.detail;
    const [first, ...others] = parts.value;
    if (first === undefined || !("marks" in first)) return "it does not begin with the marks";
    let [producers, ids] = [0, 0];
    for (const part of others) {
      if ("producers" in part) producers += part.producers.length;
      else if ("ids" in part) ids++;
      else return "it has more than marks, producers and ids";
    }
    const { marks } = first;
    if (producers === marks.producers && ids === marks.ids) return undefined;
    return `it has ${producers} of ${marks.producers} producers, and ${ids} of ${marks.ids} rows of ids`;
  };

/** Chunks from an offset on, one behind the other, up to where the page says that it ends. */
export const recordsFault =
  (from: number, { tail }: MarksDump, dense: boolean): Wrong =>
  ({ pieces, next }) => {
    const end = next !== undefined && /^\d+$/.test(next) ? Number(next) : -1;
    if (end <= from || end > tail) return `it does not go on from offset ${from}, but from '${next}'`;
    let at = from;
    for (const { block } of pieces) {
      const chunk = block.name === "chunk" ? readChunk(block.payload) : undefined;
      if (chunk?.ok !== true) return chunk?.refusal.detail ?? `it has a ${block.name} block`;
      const { base, next: behind } = chunk.value;
      if (dense ? base !== at : base < at) return `the chunk at offset ${at} is missing before ${base}`;
      at = behind;
    }
    return (dense ? at !== end : at > end) ? `its chunks end at offset ${at}, and it says ${end}` : undefined;
  };

function partsOf(pieces: readonly Piece[], terms: Terms): Result<Part[]> {
  const parts: Part[] = [];
  for (const { block } of pieces) {
    const part = partOf(block);
    if (!part.ok) return part;
    const problem = partProblem(part.value, terms, false);
    if (problem !== undefined) return problem;
    parts.push(part.value);
  }
  return ok(parts);
}
