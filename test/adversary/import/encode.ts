/** Texts as files have them: in encodings, and packed. */
import { gzipSync } from "node:zlib";
import type { Encoding, Look } from "./plan.ts";

/** Windows-1252 above Latin-1, as far as it is used. */
const western: ReadonlyMap<string, number> = new Map([
  ["€", 0x80],
  ["“", 0x93],
  ["”", 0x94],
]);

const tables = new Map<string, Map<string, Buffer>>();

/** What bytes an encoding has for its letters, as its decoder tells. */
function tableOf(encoding: string): Map<string, Buffer> {
  const known = tables.get(encoding);
  if (known !== undefined) return known;
  const table = new Map<string, Buffer>();
  const decoder = new TextDecoder(encoding);
  const add = (...bytes: number[]) => {
    const text = decoder.decode(new Uint8Array(bytes));
    if ([...text].length === 1 && text !== "\ufffd" && !table.has(text)) table.set(text, Buffer.from(bytes));
  };
  for (let byte = 0; byte < 0x100; byte++) add(byte);
  if (encoding !== "koi8-r") {
    for (let first = 0x81; first < 0xff; first++) for (let next = 0x40; next < 0xff; next++) add(first, next);
  }
  tables.set(encoding, table);
  return table;
}

function bigEndian(text: string): Buffer {
  return Buffer.from(text, "utf16le").swap16();
}

export function encoded(text: string, encoding: Encoding): Buffer {
  switch (encoding) {
    case "utf-8":
      return Buffer.from(text);
    case "utf-8-mark":
      return Buffer.from(`\ufeff${text}`);
    case "utf-16le":
      return Buffer.from(text, "utf16le");
    case "utf-16le-mark":
      return Buffer.from(`\ufeff${text}`, "utf16le");
    case "utf-16be-mark":
      return bigEndian(`\ufeff${text}`);
    case "windows-1252":
    case "latin1":
      return Buffer.from([...text].map((char) => western.get(char) ?? char.charCodeAt(0)));
    default: {
      const table = tableOf(encoding);
      return Buffer.concat([...text].map((char) => table.get(char) ?? Buffer.from("?")));
    }
  }
}

/** What has to be said of it. */
export const encodingArgs = (encoding: Encoding): string[] =>
  encoding.startsWith("utf-8") || encoding.endsWith("-mark") ? [] : ["--encoding", encoding];

/** In so many members, one behind the other. */
export function packed(bytes: Buffer, members: number): Buffer {
  if (members === 0) return bytes;
  const size = Math.max(1, Math.ceil(bytes.length / members));
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += size) parts.push(gzipSync(bytes.subarray(at, at + size)));
  return Buffer.concat(parts);
}

export const written = (text: string, { encoding, gzip }: Look): Buffer => packed(encoded(text, encoding), gzip);
