/** Records of the program as packed frames have them. */
import { frameOf, type Parts, type Unpacked } from "../frame/packed.ts";
import type { Fields, Sent } from "./sent.ts";

const bytesOf = (text: string) => Buffer.from(text);

function partsOf({ fields: { tags, extensions, ...texts }, data, stamp }: Sent): Parts {
  return {
    timestamp: stamp,
    fields: new Map(Object.entries(texts).map(([name, value]) => [name, bytesOf(value)])),
    tags: (tags ?? []).map(bytesOf),
    extensions: Object.entries(extensions ?? {}).map(
      ([name, value]) => [bytesOf(name), bytesOf(JSON.stringify(value))] as const,
    ),
    kind: data === undefined ? "none" : "json" in data ? "json" : "binary",
    data: data === undefined ? Buffer.alloc(0) : "json" in data ? bytesOf(data.json) : data.bytes,
  };
}

/** One frame, as an append has it. */
export const packed = (records: readonly Sent[]): Buffer => frameOf(records.map(partsOf));

/** The fields of a record that came in a frame. */
export function fieldsOf({ fields, tags, extensions }: Unpacked): Fields {
  return {
    ...Object.fromEntries([...fields].map(([name, value]) => [name, value.toString()])),
    ...(tags.length > 0 && { tags: tags.map(String) }),
    ...(extensions.length > 0 && {
      extensions: Object.fromEntries(extensions.map(([name, json]) => [name.toString(), JSON.parse(json.toString())])),
    }),
  };
}
