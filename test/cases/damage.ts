/** Every way in which a field of a dump's block can be another. */
import { type Block, letterBlock, readJson, readLetter } from "../../src/archive/dump.ts";
import { blockOf, blocksOf } from "./restoring.ts";

export type Path = readonly (string | number)[];

/** Every place of a value, in texts that are JSON too, and of each field that it has not, one. */
export function placesOf(value: unknown, path: Path = []): Path[] {
  if (typeof value === "string" && /^[[{]/.test(value))
    return [path, ...placesOf(JSON.parse(value), [...path, "JSON"])];
  if (typeof value !== "object" || value === null) return [path];
  // Rows are alike: the first and the last stand for all.
  const names = Array.isArray(value) ? [...new Set([0, value.length - 1])].filter((at) => at >= 0) : Object.keys(value);
  const within = names.flatMap((name) => placesOf((value as Record<string, unknown>)[name], [...path, name]));
  return [path, ...within, ...(Array.isArray(value) ? [] : [[...path, "newer"]])];
}

export function changed(value: unknown, [name, ...rest]: Path, to: unknown): unknown {
  if (name === undefined) return to;
  if (name === "JSON") return JSON.stringify(changed(JSON.parse(value as string), rest, to));
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  if (to === missing && rest.length === 0) {
    if (Array.isArray(copy)) copy.splice(name as number, 1);
    else delete copy[name];
    return copy;
  }
  copy[name] = changed(copy[name], rest, to);
  return copy;
}

/** Stands for: the field is not there. */
export const missing = Symbol("missing");

export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const name of path) at = name === "JSON" ? JSON.parse(at as string) : (at as Record<string, unknown>)?.[name];
  return at;
}

/** What else a field might say, near what it says: a number beside it, a row twice or too few, another order. */
export function near(value: unknown): unknown[] {
  if (typeof value === "number") return [value - 1, value + 1, value + 1_000, 0];
  if (typeof value === "boolean") return [!value];
  if (Array.isArray(value) && value.length > 0) {
    const [first, ...rest] = value;
    return [[...value, value.at(-1)], [first, ...value], rest, value.slice(0, -1), [...value].reverse(), []];
  }
  return typeof value === "string" ? [`${value}x`, value.slice(1)] : [];
}

/** What a block's JSON is; of a letter, what stands before its record. Undefined where it has none. */
export function jsonIn({ name, payload }: Block): unknown {
  if (name === "chunk" || name === "ids") return undefined;
  const read = name === "letter" ? readLetter(payload) : readJson(payload);
  if (!read.ok) throw new Error("a dump is readable");
  return name === "letter" ? (read.value as { letter: unknown }).letter : read.value;
}

export function withValue(block: Block, value: unknown): Block {
  if (block.name !== "letter") return blockOf(block.name, value);
  const read = readLetter(block.payload);
  if (!read.ok) throw new Error("a dump is readable");
  return blocksOf(letterBlock(value, read.value.body))[0];
}

/** A block in every way that it can lie: each field with each of `odd`, and with what is near it. */
export function* liesOf(block: Block, odd: readonly unknown[]): Generator<readonly [what: string, block: Block]> {
  const json = jsonIn(block);
  if (json !== undefined)
    for (const path of placesOf(json))
      for (const one of [...near(valueAt(json, path)), ...odd, ...(path.length === 0 ? [] : [missing])])
        yield [`${path.join(".")} = ${String(JSON.stringify(one))}`, withValue(block, changed(json, path, one))];
  yield* bytesOf(block);
}

/** Numbers of what is no JSON, and records of letters. */
function* bytesOf({ name, payload }: Block): Generator<readonly [what: string, block: Block]> {
  const places = name === "chunk" ? [0, 8, 16, 24] : name === "ids" ? [0, 8] : [];
  for (const at of places)
    for (const by of [-1n, 1n, 1_000n, 2n ** 53n, 2n ** 63n]) {
      const copy = payload.slice();
      const view = new DataView(copy.buffer);
      view.setBigUint64(at, BigInt.asUintN(64, view.getBigUint64(at, true) + by), true);
      yield [`byte ${at} by ${by}`, { name, payload: copy }];
    }
  const step = name === "letter" || name === "chunk" || name === "ids" ? 1 : payload.length;
  for (let at = 0; step === 1 && at < payload.length; at++) {
    const copy = payload.slice();
    copy[at] ^= 1 << (at % 8);
    yield [`byte ${at} flipped`, { name, payload: copy }];
  }
  if (name !== "letter") return;
  const length = 4 + new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  yield ["no record", { name, payload: payload.slice(0, length) }];
  yield ["half a record", { name, payload: payload.slice(0, length + ((payload.length - length) >> 1)) }];
  yield ["two records", { name, payload: Uint8Array.from([...payload, ...payload.subarray(length)]) }];
}
