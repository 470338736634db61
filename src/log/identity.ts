/**
 * Who a record with an id is: its source, id and key. The same id under another key is another record.
 */
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import type { Rec } from "./record.ts";

type Named = Pick<Rec, "source" | "id" | "key">;

/** What two records with ids have in common where they are the same one. No source and no id has a NUL. */
export const identityOf = ({ source = "", id, key }: Named): string =>
  key === undefined ? `${source}\0${id}` : `${source}\0${id}\0${key}`;

/** 64 bits for an identity. */
export function identityHash(identity: string): [number, number] {
  const bytes = encodeText(identity);
  return [murmur3(bytes, 0x5eed), murmur3(bytes, 0xd1ff)];
}
