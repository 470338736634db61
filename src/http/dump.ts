/** `…/dump`: a stream, its groups and its partitions as blocks. The caller puts them together; see src/cli/dump. */
import { partitionQuery, placeQuery } from "../../schemas/dump-routes.ts";
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { chunkBlock, jsonBlock, letterBlock, readBlocks, readChunk } from "../archive/dump.ts";
import { cutChunk } from "../archive/dump-chunk.ts";
import { type ChunksPage, pageBytes } from "../archive/dump-log.ts";
import type { Stream } from "../catalog/stream.ts";
import type { PlacePage } from "../delivery/dump.ts";
import { toBase64 } from "../lib/base64.ts";
import { concat } from "../lib/bytes.ts";
import { openChunk } from "../log/chunk.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { ColdSegment } from "../log/read.ts";
import type { Answer } from "../objects/answer.ts";
import { chunkRows, indexOf } from "../objects/cold.ts";
import type { PartitionRpc } from "../objects/rpc.ts";
import { archive, catalog, delivery, type Env, partition } from "../objects/stubs.ts";
import { query } from "./parse.ts";
import { problem, thrown } from "./problem.ts";
import { countedBody, passedOn } from "./sending.ts";
import { Untaken } from "./untaken.ts";

export const dumpType = "application/vnd.millrace.dump";
/** Where to go on; absent where there is no more. */
const nextHeader = "millrace-next";
/** How many bytes the blocks have: what something in between leaves out between two of them is missed by that. */
const bytesHeader = "millrace-bytes";
/** Which stream of its name it is: what belongs to it is asked for with that. */
const originHeader = "millrace-origin";

export interface StreamNames {
  readonly namespace: string;
  readonly name: string;
}

export const blocksAnswer = (blocks: Uint8Array | null, next?: string | number): Response =>
  new Response(blocks && countedBody(blocks), {
    headers: {
      "content-type": dumpType,
      [bytesHeader]: String(blocks?.length ?? 0),
      ...(next === undefined ? {} : { [nextHeader]: encodeURIComponent(next) }),
    },
  });

/** A stream that is there, or is being restored. */
export async function anyStream(
  env: Env,
  { namespace, name }: StreamNames,
  origin?: string,
): Promise<Result<{ stream: Stream; finished: boolean }>> {
  try {
    return await catalog(env, namespace).order("anyStream", name, origin);
  } catch (error) {
    return thrown(error);
  }
}

export async function dumpStream(env: Env, { namespace, name }: StreamNames): Promise<Response> {
  const dumped = await catalog(env, namespace).order("dump", name);
  if (!dumped.ok) return problem(dumped.refusal);
  const { stream, groups, origin } = dumped.value;
  const blocks = concat([jsonBlock("stream", stream), ...groups.map((group) => jsonBlock("group", group))]);
  const answer = blocksAnswer(blocks);
  answer.headers.set(originHeader, origin);
  return answer;
}

export async function dumpPlace(request: Request, env: Env, names: StreamNames & { group: string }): Promise<Response> {
  const terms = query(placeQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { partition: number, after, origin, id: groupId } = terms.value;
  const catalogOf = catalog(env, names.namespace);
  const id = await catalogOf.order("restorePlace", names.name, names.group, number, origin, groupId);
  if (!id.ok) return problem(id.refusal);
  const page = await delivery(env, id.value, number).dump(after);
  if (page.ok) return blocksAnswer(placeBlocks(page.value, names.group, number), page.value.after);
  return problem("moved" in page ? noPlace(names.group, number) : page.refusal);
}

const noPlace = (group: string, number: number): Refusal => ({
  code: "unavailable",
  detail: `the group '${group}' is yet to begin on partition ${number}; try again in a moment`,
});

/** Lanes that go into one block. */
const lanesPerBlock = 64;

function placeBlocks({ place, lanes, letters }: PlacePage, group: string, partition: number): Uint8Array {
  const blocks: Uint8Array[] = [];
  if (place !== undefined) {
    const { floor, era, done, acked, ...rest } = place;
    const early = acked.length === 0 ? {} : { acked: toBase64(acked) };
    blocks.push(jsonBlock("place", { group, partition, floor, era, done: toBase64(done), ...early, ...rest }));
  }
  for (let at = 0; at < lanes.length; at += lanesPerBlock) {
    blocks.push(jsonBlock("lanes", lanes.slice(at, at + lanesPerBlock)));
  }
  for (const { body, ...letter } of letters) blocks.push(letterBlock(letter, body));
  return blocks.length === 0 ? new Uint8Array(0) : concat(blocks);
}

/** Asks a partition of a stream that may be one that is being restored; one that never was is made. */
export async function askPartition<T>(
  env: Env,
  { namespace, name }: StreamNames,
  number: string,
  call: (partition: PartitionRpc, stream: Stream) => Promise<Answer<T>>,
  origin?: string,
): Promise<Result<T>> {
  const found = await anyStream(env, { namespace, name }, origin);
  if (!found.ok) return found;
  const { stream, finished } = found.value;
  const known = /^\d{1,7}$/.test(number) && Number(number) < stream.map.length;
  if (!known)
    return refuse(
      "partition-not-found",
      `the stream has no partition '${number}'; its partitions are 0 to ${stream.map.length - 1}`,
    );
  try {
    const stub = () => partition(env, stream.logId, Number(number), stream.config.placement);
    const answer = await call(stub(), stream);
    if (answer.ok || "refusal" in answer) return answer;
    if (!finished) return refuse("partition-not-found", `partition ${number} is not part of what is being restored`);
    const opened = await catalog(env, namespace).open(name, Number(number));
    if (!opened.ok) return opened;
    const again = await call(stub(), stream);
    return again.ok || "refusal" in again ? again : refuse("unavailable", "the partition is being made; try again");
  } catch (error) {
    return thrown(error);
  }
}

export async function dumpPartition(
  request: Request,
  env: Env,
  names: StreamNames & { partition: string },
): Promise<Response> {
  const terms = query(partitionQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const { part, from, to = Number.MAX_SAFE_INTEGER, after, origin } = terms.value;
  const ask = <T>(call: (stub: PartitionRpc, stream: Stream) => Promise<Answer<T>>) =>
    askPartition(env, names, names.partition, call, origin);
  if (part === "state") {
    const state = await ask((stub) => stub.order("dumpState"));
    return state.ok ? stateAnswer(state.value) : problem(state.refusal);
  }
  if (part === "keys") {
    const page = await ask((stub) => stub.order("dumpKeys", after));
    return page.ok ? blocksAnswer(page.value.blocks, page.value.after) : problem(page.refusal);
  }
  for (let gone = -1; ; ) {
    let log: Stream | undefined;
    const page = await ask((stub, stream) => {
      log = stream;
      return stub.order("dumpChunks", from, to);
    });
    if (!page.ok) return problem(page.refusal);
    const { cold } = page.value;
    const rows: Result<Rows | undefined> =
      cold === undefined
        ? rowsOf(page.value)
        : await coldRows(env, log as Stream, Number(names.partition), cold, { from, to });
    if (!rows.ok) return problem(rows.refusal);
    if (rows.value !== undefined) return chunksAnswer(rows.value, page.value.dense, from, to);
    // It was rewritten, or trimmed, since the partition named it; if it is still the one, it is lost.
    if (cold?.n === gone) return problem(damaged(from, `the object of the segment at offset ${cold.base} is missing`));
    gone = cold?.n ?? -1;
  }
}

/** All of it is in memory until it is taken, in the partition: how much that is nobody knows here. */
function stateAnswer(blocks: ReadableStream<Uint8Array>): Response {
  const untaken = new Untaken();
  untaken.holds(limits.dumpBodyBytesMax);
  return new Response(passedOn(blocks, untaken), { headers: { "content-type": dumpType } });
}

interface Rows {
  readonly rows: readonly ChunkRow[];
  /** Where the page ends. */
  readonly next: number;
}

const damaged = (from: number, why: string): Refusal => ({
  code: "damaged",
  detail: `the records from offset ${from} on cannot be dumped: ${why}; repair the partition first`,
  facts: { from },
});

function rowsOf({ blocks, next }: ChunksPage): Result<Rows> {
  const read = readBlocks(blocks);
  if (!read.ok) return read;
  const rows: ChunkRow[] = [];
  for (const { payload } of read.value) {
    const row = readChunk(payload);
    if (!row.ok) return { ok: false, refusal: damaged(next, row.refusal.detail) };
    rows.push(row.value);
  }
  return ok({ rows, next });
}

/** The chunks of an archived segment from an offset on; undefined where its object is not there. */
async function coldRows(
  env: Env,
  { logId }: Stream,
  number: number,
  segment: ColdSegment,
  { from, to }: { from: number; to: number },
): Promise<Result<Rows | undefined>> {
  const where = { logId, partition: number, blobs: archive(env) };
  const index = await indexOf(where, segment);
  if (index === undefined) return ok(undefined);
  if (!index.ok) return index;
  const { chunks } = index.value;
  const wanted = chunks.filter(({ base, next }) => next > from && base < to);
  if (wanted.length === 0) return ok({ rows: [], next: Math.min(segment.next, to) });
  const read = await chunkRows(where, segment, wanted, pageBytes);
  if (!read.ok) return read;
  const rows = read.value;
  if (rows === undefined) return ok(undefined);
  const all = rows.length === wanted.length;
  return ok({ rows, next: all ? Math.min(segment.next, to) : rows[rows.length - 1].next });
}

/** The chunks as blocks, as far as they are sound. */
function chunksAnswer({ rows, next }: Rows, dense: boolean, from: number, to: number): Response {
  const blocks: Uint8Array[] = [];
  let at = from;
  for (const row of rows) {
    const opened = openChunk(row, dense);
    const cut = opened.ok ? cutChunk(row, dense, from, to) : opened;
    const why = cut.ok ? (dense && cut.value.base !== at ? "a chunk is missing" : undefined) : cut.refusal.detail;
    if (!cut.ok || why !== undefined) {
      return blocks.length > 0 ? blocksAnswer(concat(blocks), at) : problem(damaged(at, why ?? ""));
    }
    blocks.push(chunkBlock(cut.value));
    at = cut.value.next;
  }
  const end = Math.min(Math.max(at, next), to);
  return blocksAnswer(blocks.length === 0 ? null : concat(blocks), end);
}
