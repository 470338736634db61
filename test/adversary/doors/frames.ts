/** Records as packed frames have them; texts are bytes, whether they are UTF-8 or not. */
import * as packed from "../frame/packed.ts";
import { type Binary, bytesOf, type Value } from "./values.ts";
import type { Made } from "./want.ts";

/** A record as a frame has it; texts are still bytes. */
export interface Unpacked {
  readonly offset: number;
  readonly fields: ReadonlyMap<string, Binary>;
  readonly tags: readonly Binary[];
  readonly extensions: readonly (readonly [name: Binary, json: Binary])[];
  readonly kind: packed.Kind;
  readonly data: Binary;
}

const buffer = (bytes: Binary) => Buffer.from(bytes, "latin1");
const binary = (bytes: Buffer): Binary => bytes.toString("latin1");

/** What is no UTF-8 stands in quotes as it is. */
function extensionJson(value: Value): Binary {
  if (value.json !== undefined) return bytesOf({ name: "", text: value.json });
  if (value.bytes !== undefined) return `"${bytesOf(value)}"`;
  return bytesOf({ name: "", text: JSON.stringify((value.text ?? "").repeat(value.times ?? 1)) });
}

/** One frame of these records. */
export const frameOf = (records: readonly Made[]): Buffer =>
  packed.frameOf(
    records.map(({ fields, tags, extensions, data, bytes }) => ({
      fields: new Map([...fields].map(([name, value]) => [name, buffer(bytesOf(value))])),
      tags: tags.map((tag) => buffer(bytesOf(tag))),
      extensions: extensions.map(([name, value]) => [buffer(bytesOf(name)), buffer(extensionJson(value))] as const),
      kind: data.kind,
      data: buffer(bytes),
    })),
  );

function shown({ offset, fields, tags, extensions, kind, data }: packed.Unpacked): Unpacked {
  return {
    offset,
    fields: new Map([...fields].map(([name, value]) => [name, binary(value)])),
    tags: tags.map(binary),
    extensions: extensions.map(([name, json]) => [binary(name), binary(json)] as const),
    kind,
    data: binary(data),
  };
}

/** Every record of some frames; throws where they are not as they should be. */
export function unpacked(bytes: Buffer): Unpacked[] {
  const { records, holes } = packed.unpacked(bytes);
  if (holes.length > 0) throw new Error(`there are holes: ${JSON.stringify(holes)}`);
  return records.map(shown);
}

/** The records of a binary message of a socket, and their partition. */
export function unpackedMessage(bytes: Buffer): { partition: number; records: Unpacked[] } {
  const { partition, records } = packed.recordsIn(bytes);
  return { partition, records: records.map(shown) };
}
