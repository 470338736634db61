/** `…/restore`: a stream out of the blocks of a dump. What comes is looked through here, so that objects may believe it. */
import { groupDump, lanesDump, letterDump, placeDump, settledDump, streamDump } from "../../schemas/dump.ts";
import { finishQuery, restorePlaceQuery, restoreQuery } from "../../schemas/dump-routes.ts";
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { lastTime } from "../../schemas/time.ts";
import { type Block, readBlocks, readLetter } from "../archive/dump.ts";
import { checkChunk, storedBytesMax } from "../archive/dump-chunk.ts";
import { jsonOf, partOf } from "../archive/dump-part.ts";
import type { Restored } from "../catalog/restores.ts";
import type { Stream } from "../catalog/stream.ts";
import type { PlacePart } from "../delivery/dump.ts";
import { Ranges } from "../delivery/ranges.ts";
import { fromBase64 } from "../lib/base64.ts";
import { varintBytes, writeVarint } from "../lib/bytes.ts";
import { check } from "../lib/check.ts";
import { flags, headerBytes, sealFrame } from "../log/frame.ts";
import { inspect } from "../log/inspect.ts";
import { bits } from "../log/record.ts";
import { catalog, delivery, type Env } from "../objects/stubs.ts";
import { readBody } from "./body.ts";
import { anyStream, askPartition, dumpType, type StreamNames } from "./dump.ts";
import { forget } from "./lookup.ts";
import { query } from "./parse.ts";
import { answer, json, problem } from "./problem.ts";

async function blocksOf(request: Request): Promise<Result<Block[]> & { readonly bytes?: Uint8Array }> {
  const type = request.headers.get("content-type")?.split(";")[0].trim().toLowerCase();
  if (type !== dumpType) return refuse("unsupported-media-type", `send blocks of a dump, as ${dumpType}`);
  const body = await readBody(request, limits.dumpBodyBytesMax);
  if (!body.ok) return body;
  const blocks = readBlocks(body.value);
  return blocks.ok ? { ...blocks, bytes: body.value } : blocks;
}

/** The block that is all there is in a body. */
function only(blocks: readonly Block[], name: Block["name"]): Result<Block> {
  const [block] = blocks;
  return blocks.length === 1 && block.name === name ? ok(block) : refuse("bad-dump", `send one ${name} block here`);
}

const shown = ({ stream: { name, logId, created }, finished }: Restored) => ({
  stream: name,
  logId,
  created,
  finished,
});

export async function restoreStream(request: Request, env: Env, { namespace, name }: StreamNames): Promise<Response> {
  const terms = query(restoreQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const blocks = await blocksOf(request);
  const block = blocks.ok ? only(blocks.value, "stream") : blocks;
  const given = block.ok ? jsonOf(block.value, streamDump) : block;
  if (!given.ok) return problem(given.refusal);
  const { dump, newId } = terms.value;
  forget(namespace, name);
  const begun = await catalog(env, namespace).order("restore", name, dump, given.value, newId);
  return answer(begun, shown, begun.ok && !begun.value.finished ? 201 : 200);
}

export async function restoreFinish(request: Request, env: Env, { namespace, name }: StreamNames): Promise<Response> {
  const terms = query(finishQuery, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const done = await catalog(env, namespace).order("restoreFinish", name, terms.value.resume);
  forget(namespace, name);
  return answer(done, shown);
}

export async function restoreGroup(
  request: Request,
  env: Env,
  { namespace, name, group }: StreamNames & { group: string },
): Promise<Response> {
  const terms = query(restorePlaceQuery.extend({ newId: restoreQuery.shape.newId }), new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const blocks = await blocksOf(request);
  if (!blocks.ok) return problem(blocks.refusal);
  const { partition: number, newId } = terms.value;
  if (number === undefined) {
    const block = only(blocks.value, "group");
    const given = block.ok ? jsonOf(block.value, groupDump) : block;
    if (!given.ok) return problem(given.refusal);
    if (given.value.group !== group) return problem(otherGroup(given.value.group).refusal);
    const id = await catalog(env, namespace).order("restoreGroup", name, given.value, newId);
    return answer(id, (groupId) => ({ group, groupId }));
  }
  const parts: PlacePart[] = [];
  for (const block of blocks.value) {
    const part = placePart(block, group, number);
    if (!part.ok) return problem(part.refusal);
    parts.push(part.value);
  }
  const found = await anyStream(env, { namespace, name });
  if (!found.ok) return problem(found.refusal);
  if (found.value.finished) return problem({ code: "conflict", detail: `the stream '${name}' is not being restored` });
  const beyond = await beyondTail(env, { namespace, name, partition: String(number) }, parts);
  if (beyond !== undefined) return problem(beyond);
  const id = await catalog(env, namespace).order("restorePlace", name, group, number);
  if (!id.ok) return problem(id.refusal);
  const taken = await delivery(env, id.value, number).restore(namespace, parts);
  if (!taken.ok) return problem("refusal" in taken ? taken.refusal : { code: "unavailable", detail: "try again" });
  return json({ group, partition: number, complete: taken.value });
}

/** A place that lies behind the end of its partition, where that has come: nothing would ever come to it. */
async function beyondTail(env: Env, names: PartitionNames, parts: readonly PlacePart[]): Promise<Refusal | undefined> {
  const [floor] = parts.flatMap((part) => ("place" in part ? [part.place.floor] : []));
  if (floor === undefined) return undefined;
  const stand = await askPartition(env, names, names.partition, (stub) => stub.order("restoreStand"));
  const tail = stand.ok ? stand.value.tail : undefined;
  if (tail === undefined || floor <= tail) return undefined;
  return { code: "bad-dump", detail: `floor: ${floor} is behind the tail ${tail} of partition ${names.partition}` };
}

const otherGroup = (group: string) => refuse("bad-dump", `the block is of the group '${group}'`);

function placePart(block: Block, group: string, partition: number): Result<PlacePart> {
  const mine = (of: { group: string; partition: number }) => of.group === group && of.partition === partition;
  if (block.name === "lanes") {
    const lanes = jsonOf(block, lanesDump);
    return lanes.ok ? ok({ lanes: lanes.value }) : lanes;
  }
  if (block.name === "letter") return letterPart(block);
  if (block.name === "settled") {
    const settled = jsonOf(block, settledDump);
    if (!settled.ok) return settled;
    return mine(settled.value) ? ok({ settled: settled.value }) : otherGroup(settled.value.group);
  }
  if (block.name !== "place") return refuse("bad-dump", `a ${block.name} block is no part of a group's place`);
  const place = jsonOf(block, placeDump);
  if (!place.ok) return place;
  if (!mine(place.value)) return otherGroup(place.value.group);
  const { group: _, partition: __, done: above, acked: early = "", ...rest } = place.value;
  const [done, acked] = [fromBase64(above), fromBase64(early)];
  if (!Ranges.isEncoded(done, rest.floor)) return refuse("bad-dump", "done: these are no ranges above the floor");
  if (!Ranges.isEncoded(acked, 0)) return refuse("bad-dump", "acked: these are no ranges");
  return ok({ place: { ...rest, done, acked } });
}

function letterPart(block: Block): Result<PlacePart> {
  const read = readLetter(block.payload);
  if (!read.ok) return read;
  const letter = check(letterDump, read.value.letter, "the letter block");
  if (!letter.ok) return refuse("bad-dump", letter.refusal.detail);
  const { body } = read.value;
  return isRecord(body) ? ok({ letter: { ...letter.value, body } }) : refuse("bad-dump", "a dead letter is no record");
}

/** Whether bytes are one record, looked at as a frame of its own. */
function isRecord(body: Uint8Array): boolean {
  if (body.length < 2 || body.length > storedBytesMax) return false;
  const from = headerBytes + varintBytes(body.length);
  const bytes = new Uint8Array(from + body.length);
  writeVarint(bytes, headerBytes, body.length);
  bytes.set(body, from);
  sealFrame(bytes, 0, bytes.length, 1, 0);
  const ownOffsets = (body[0] & bits.offset) !== 0;
  const ownTimestamps = (body[0] & bits.timestamp) !== 0;
  const set = (ownOffsets ? flags.offsets : 0) | (ownTimestamps ? flags.times : 0);
  const frame = { bytes, at: 0, flags: set, count: 1, from: headerBytes, to: bytes.length, base: 0, timestamp: 0 };
  const timestampMax = lastTime;
  const rules = { recordBytesMax: body.length, ownOffsets, ownTimestamps, timestampMax, stored: true };
  return inspect(frame, rules).ok;
}

type PartitionNames = StreamNames & { readonly partition: string };

export async function restoreStand(env: Env, names: PartitionNames): Promise<Response> {
  return answer(await askPartition(env, names, names.partition, (stub) => stub.order("restoreStand")));
}

export async function restorePartition(request: Request, env: Env, names: PartitionNames): Promise<Response> {
  const blocks = await blocksOf(request);
  if (!blocks.ok) return problem(blocks.refusal);
  const bytes = blocks.bytes as Uint8Array;
  const stood = await askPartition(env, names, names.partition, async (stub, stream) => {
    const why = checkParts(blocks.value, stream, Number(names.partition));
    return why ?? stub.order("restoreParts", bytes);
  });
  return answer(stood);
}

function checkParts(blocks: readonly Block[], { map, config }: Stream, number: number) {
  for (const block of blocks) {
    const part = partOf(block);
    if (!part.ok) return part;
    const { value } = part;
    const named = "marks" in value ? value.marks.partition : "close" in value ? value.close.partition : number;
    if (named !== number) return refuse("bad-dump", `the block is of partition ${named}`);
    if (!("chunk" in value)) continue;
    const checked = checkChunk(value.chunk, config.offsets === "assigned", map[number]);
    if (!checked.ok) return checked;
  }
  return undefined;
}
