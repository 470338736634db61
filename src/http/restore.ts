/** `…/restore`: a stream out of the blocks of a dump. What comes is looked through here, so that objects may believe it. */
import { groupDump, streamDump } from "../../schemas/dump.ts";
import { finishQuery, restorePlaceQuery, restoreQuery } from "../../schemas/dump-routes.ts";
import { floorProblem } from "../../schemas/dump-rules.ts";
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { type Block, readBlocks } from "../archive/dump.ts";
import { partProblem } from "../archive/dump-order.ts";
import { jsonOf, partOf } from "../archive/dump-part.ts";
import { type PlacePart, placePartOf } from "../archive/dump-place.ts";
import type { Restored } from "../catalog/restores.ts";
import type { Stream } from "../catalog/stream.ts";
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
    if (given.value.group !== group)
      return problem({ code: "bad-dump", detail: `the block is of the group '${given.value.group}'` });
    const id = await catalog(env, namespace).order("restoreGroup", name, given.value, newId);
    return answer(id, (groupId) => ({ group, groupId }));
  }
  const parts: PlacePart[] = [];
  for (const block of blocks.value) {
    const part = placePartOf(block, group, number);
    if (!part.ok) return problem(part.refusal);
    parts.push(part.value);
  }
  const found = await anyStream(env, { namespace, name });
  if (!found.ok) return problem(found.refusal);
  if (found.value.finished) return problem({ code: "conflict", detail: `the stream '${name}' is not being restored` });
  const beyond = await beyondTail(env, { namespace, name, partition: String(number) }, group, parts);
  if (beyond !== undefined) return problem(beyond);
  const id = await catalog(env, namespace).order("restorePlace", name, group, number);
  if (!id.ok) return problem(id.refusal);
  const taken = await delivery(env, id.value, number).restore(namespace, parts);
  if (!taken.ok) return problem("refusal" in taken ? taken.refusal : { code: "unavailable", detail: "try again" });
  return json({ group, partition: number, complete: taken.value.complete });
}

/** A place that lies behind the end of its partition, where that has come. Where it has not, it is looked at when all has. */
async function beyondTail(
  env: Env,
  names: PartitionNames,
  group: string,
  parts: readonly PlacePart[],
): Promise<Refusal | undefined> {
  const [floor] = parts.flatMap((part) => ("place" in part ? [part.place.floor] : []));
  if (floor === undefined) return undefined;
  const partition = Number(names.partition);
  const stood = await askPartition(env, names, names.partition, async (stub, { config: { offsets } }) => {
    const stand = await stub.order("restoreStand");
    const tail = stand.ok ? stand.value.tail : undefined;
    return (tail === undefined ? undefined : floorProblem({ group, partition, floor, tail, offsets })) ?? stand;
  });
  return stood.ok || stood.refusal.code !== "bad-dump" ? undefined : stood.refusal;
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
  const terms = { partition: number, dense: config.offsets === "assigned", range: map[number] };
  for (const block of blocks) {
    const part = partOf(block);
    const problem = part.ok ? partProblem(part.value, terms) : part;
    if (problem !== undefined) return problem;
  }
  return undefined;
}
