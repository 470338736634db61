/**
 * A dump: what a namespace, or a stream, holds, as one file of blocks. Each block has a checksum; hash blocks between them
 * chain everything before them, so that a block that is missing, or in another place, is found too. `docs/STORAGE.md` has
 * the bytes.
 *
 *     header │ namespace │ stream … close │ stream … close │ end
 *            └ a block: checksum, type, length, payload
 *
 * Blocks travel as they lie in the file. Nothing in them tells of when or from where they were taken, so that a dump of
 * what was restored is the same file.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { lastTime } from "../../schemas/time.ts";
import { concat, decodeText, encodeText, readNumber, writeNumber } from "../lib/bytes.ts";
import { crc32c } from "../lib/crc32c.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import type { InheritedRow } from "../log/store.ts";

export const headerBytes = 8;
export const blockHeadBytes = 12;
const magic = "MRDP";
export const formatVersion = 1;
/** A hash block follows when so many bytes have gone by since the last one. */
export const hashEvery = 1_048_576;
const hashBytes = 32;

export const blocks = {
  namespace: 1,
  stream: 2,
  group: 3,
  place: 4,
  lanes: 5,
  letter: 6,
  partition: 7,
  keys: 8,
  marks: 9,
  producers: 10,
  ids: 11,
  chunk: 12,
  head: 13,
  close: 14,
  hash: 15,
  end: 16,
  settled: 17,
} as const;
export type BlockName = keyof typeof blocks;

const names = new Map(Object.entries(blocks).map(([name, type]) => [type as number, name as BlockName]));

export interface Block {
  readonly name: BlockName;
  readonly payload: Uint8Array;
}

/** A running SHA-256. */
export interface Hash {
  update(bytes: Uint8Array): void;
  /** Of everything so far; it may go on. */
  digest(): Uint8Array;
}

const viewOf = (bytes: Uint8Array, at = 0) => new DataView(bytes.buffer, bytes.byteOffset + at);
const bad = (detail: string, facts?: Record<string, unknown>) => refuse("bad-dump", detail, facts);

export function fileHeader(): Uint8Array {
  const bytes = new Uint8Array(headerBytes);
  bytes.set(encodeText(magic));
  viewOf(bytes).setUint32(4, formatVersion, true);
  return bytes;
}

export function checkHeader(bytes: Uint8Array): Result<undefined> {
  if (bytes.length < headerBytes) return bad("the file is cut off in its header");
  if (magic.split("").some((char, at) => bytes[at] !== char.charCodeAt(0))) {
    return bad("the file does not begin with 'MRDP': it is no dump");
  }
  const version = viewOf(bytes).getUint32(4, true);
  return version === formatVersion ? ok(undefined) : bad(`dump version ${version} is not known; this reads version 1`);
}

export function writeBlock(name: BlockName, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(blockHeadBytes + payload.length);
  const view = viewOf(bytes);
  view.setUint32(4, blocks[name], true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, blockHeadBytes);
  view.setUint32(0, crc32c(bytes, 4), true);
  return bytes;
}

export const jsonBlock = (name: BlockName, value: unknown): Uint8Array =>
  writeBlock(name, encodeText(JSON.stringify(value)));

/** Bytes of the block that begins at `at`; undefined where not even that is there. More than the limit is no length. */
export function blockBytes(bytes: Uint8Array, at: number): Result<number> | undefined {
  if (bytes.length - at < blockHeadBytes) return undefined;
  const length = viewOf(bytes, at).getUint32(8, true);
  if (length <= limits.dumpBlockBytesMax) return ok(blockHeadBytes + length);
  return bad(`a block has at most ${limits.dumpBlockBytesMax} bytes, and this one says ${length}`);
}

/** The block in `bytes[at, to)`, which is as long as it says. */
export function readBlock(bytes: Uint8Array, at: number, to: number): Result<Block> {
  const view = viewOf(bytes, at);
  if (crc32c(bytes, at + 4, to) !== view.getUint32(0, true)) return bad("the checksum of the block does not match");
  const name = names.get(view.getUint32(4, true));
  if (name === undefined) return bad(`blocks of type ${view.getUint32(4, true)} are not known`);
  return ok({ name, payload: bytes.subarray(at + blockHeadBytes, to) });
}

/** Blocks one after another, all or none. */
export function readBlocks(bytes: Uint8Array): Result<Block[]> {
  const found: Block[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = blockBytes(bytes, at);
    if (length === undefined || (length.ok && length.value > bytes.length - at))
      return bad("a block is cut off", { at });
    const block = length.ok ? readBlock(bytes, at, at + length.value) : length;
    if (!length.ok || !block.ok) return block.ok ? bad("a block is cut off", { at }) : withFacts(block, { at });
    found.push(block.value);
    at += length.value;
  }
  return ok(found);
}

function withFacts(result: ReturnType<typeof bad>, facts: Record<string, unknown>): ReturnType<typeof bad> {
  return { ok: false, refusal: { ...result.refusal, facts: { ...result.refusal.facts, ...facts } } };
}

/** A payload that is JSON; whether it is what it should be is for a schema to say. */
export function readJson(payload: Uint8Array): Result<unknown> {
  try {
    return ok(JSON.parse(decodeText(payload)));
  } catch {
    return bad("the block's payload is not JSON");
  }
}

/** Beyond what can be counted exactly it is no number: NaN fails every comparison. */
const number = (view: DataView, at: number): number => {
  const value = readNumber(view, at);
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
};

const chunkHeadBytes = 48;

export function chunkBlock(row: ChunkRow): Uint8Array {
  const payload = new Uint8Array(chunkHeadBytes + row.print.length + row.body.length);
  const view = viewOf(payload);
  writeNumber(view, 0, row.base);
  writeNumber(view, 8, row.next);
  writeNumber(view, 16, row.first);
  writeNumber(view, 24, row.last);
  view.setUint32(32, row.records, true);
  view.setUint32(36, row.flags, true);
  view.setUint32(40, row.bytes, true);
  view.setUint32(44, row.print.length, true);
  payload.set(row.print, chunkHeadBytes);
  payload.set(row.body, chunkHeadBytes + row.print.length);
  return writeBlock("chunk", payload);
}

/** The row that a chunk block holds, as views into its payload. */
export function readChunk(payload: Uint8Array): Result<ChunkRow> {
  if (payload.length < chunkHeadBytes) return bad("a chunk's block is too short");
  const view = viewOf(payload);
  const bytes = view.getUint32(40, true);
  const print = view.getUint32(44, true);
  if (chunkHeadBytes + print + bytes !== payload.length) return bad("a chunk's lengths do not fit its block");
  const row: ChunkRow = {
    base: number(view, 0),
    next: number(view, 8),
    first: number(view, 16),
    last: number(view, 24),
    records: view.getUint32(32, true),
    flags: view.getUint32(36, true),
    bytes,
    print: payload.subarray(chunkHeadBytes, chunkHeadBytes + print),
    body: payload.subarray(chunkHeadBytes + print),
  };
  if (!(row.base < row.next && row.first <= row.last)) return bad("a chunk's numbers contradict each other");
  return ok(row);
}

const idBytes = 24;
const idsHeadBytes = 16;

/** Ids that a split parent handed over: a row of them, with its place. */
export function idsBlock({ part, origin, last, body }: InheritedRow): Uint8Array {
  const payload = new Uint8Array(idsHeadBytes + body.length);
  const view = viewOf(payload);
  view.setUint32(0, part, true);
  view.setUint32(4, origin, true);
  writeNumber(view, 8, last);
  payload.set(body, idsHeadBytes);
  return writeBlock("ids", payload);
}

export function readIds(payload: Uint8Array): Result<InheritedRow> {
  const length = payload.length - idsHeadBytes;
  if (length < idBytes || length % idBytes !== 0 || length > limits.frameBytesMax)
    return bad("a row of ids is cut off");
  const view = viewOf(payload);
  const last = number(view, 8);
  if (!(last <= lastTime)) return bad("a row of ids has no time");
  for (let at = idsHeadBytes; at < payload.length; at += idBytes) {
    const [offset, time] = [view.getFloat64(at + 8, true), view.getFloat64(at + 16, true)];
    if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(time)) {
      return bad("an id's offset or time is no number");
    }
  }
  return ok({
    part: view.getUint32(0, true),
    origin: view.getUint32(4, true),
    last,
    body: payload.subarray(idsHeadBytes),
  });
}

/** JSON and, behind it, bytes: a dead letter and its record. */
export function letterBlock(letter: unknown, body: Uint8Array): Uint8Array {
  const json = encodeText(JSON.stringify(letter));
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, json.length, true);
  return writeBlock("letter", concat([length, json, body]));
}

export function readLetter(payload: Uint8Array): Result<{ readonly letter: unknown; readonly body: Uint8Array }> {
  const length = payload.length < 4 ? payload.length : viewOf(payload).getUint32(0, true);
  if (length > payload.length - 4) return bad("a dead letter is cut off");
  const letter = readJson(payload.subarray(4, 4 + length));
  return letter.ok ? ok({ letter: letter.value, body: payload.subarray(4 + length) }) : letter;
}

/** Writes a dump, block by block, with the hashes between. */
export class DumpWriter {
  #since = 0;

  constructor(
    readonly hash: Hash,
    readonly write: (bytes: Uint8Array) => void,
    /** Goes on with a file whose bytes `hash` has seen, so many of them since its last hash block. */
    since?: number,
  ) {
    if (since === undefined) this.#put(fileHeader());
    else this.#since = since;
    this.#chain();
  }

  /** A block as it travels. */
  add(block: Uint8Array): void {
    this.#put(block);
    this.#chain();
  }

  #chain(): void {
    if (this.#since < hashEvery) return;
    this.#put(writeBlock("hash", this.hash.digest()));
    this.#since = 0;
  }

  /** The last block: the hash of all before it, and sums. */
  finish(totals: unknown): void {
    this.#put(writeBlock("end", concat([this.hash.digest(), encodeText(JSON.stringify(totals))])));
  }

  #put(bytes: Uint8Array): void {
    this.hash.update(bytes);
    this.#since += bytes.length;
    this.write(bytes);
  }
}

/** The hash that a hash block, or the end, says of everything before it. */
export const saidHash = (payload: Uint8Array): Uint8Array => payload.subarray(0, hashBytes);
export const endTotals = (payload: Uint8Array): Result<unknown> => readJson(payload.subarray(hashBytes));
