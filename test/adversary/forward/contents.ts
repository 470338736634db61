/** Lines, and what becomes of them by the documents. Each names its log and its number, a long one again and again. */
import type { LinePlan } from "./plan.ts";

/** A name that any piece of a line has, unless it is very short. */
const tagOf = (log: number, number: number) => `${log}.${number};`;
const tag = /(\d+)\.(\d+);/;

export function named(text: string): { log: number; number: number } | undefined {
  const found = tag.exec(text);
  return found === null ? undefined : { log: Number(found[1]), number: Number(found[2]) };
}

/** No two parts of it are the same. */
function filled(name: string, size: number, between: string): string {
  const parts: string[] = [];
  for (let length = 0, i = 0; length < size; i++) {
    const part = `${name}${i}${between}`;
    parts.push(part);
    length += part.length;
  }
  return parts.join("");
}

/** A line with its end. */
export function lineBytes(log: number, number: number, { kind, size }: LinePlan): Buffer {
  const id = tagOf(log, number);
  const text = (line: string) => Buffer.from(`${line}\n`);
  switch (kind) {
    case "json":
      return text(`{"id":"${id}","n":${number},"ok":true}`);
    case "odd-json":
      return text(
        ` { "id" : "${id}","id":"${id}" ,"big":123456789012345678901234567890, "one":1.0,"e":1e400,"m":-0, "s":"\\ud800\\u0000\\/\\"é😀","":null}\t`,
      );
    case "scalar":
      return text(`"${id}"`);
    case "array":
      return text(`[["${id}",${"[".repeat(60)}${"]".repeat(60)},1.50]]`);
    case "near-json":
      return text(`{"id":"${id}",}`);
    case "text":
      return text(`${id} a line of a log`);
    case "letters":
      return text(`${id} h\u00e9llo \u20ac \u{1f600} \u2028 \u0085 \ufffd "quoted" \\n`);
    case "spaces":
      return text(`\t  ${id}  \t `);
    case "mark":
      return text(`${id}\ufeff{"a":1}`);
    case "nul":
      return text(`${id}\0 and \0\0`);
    case "crlf":
      return Buffer.from(`{"id":"${id}"}\r\n`);
    case "carriage":
      return Buffer.from(`${id}\rmore\r\r\n`);
    case "bytes":
      return Buffer.concat([
        Buffer.from(id),
        Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0xed, 0xa0, 0x80]),
        Buffer.from("\n"),
      ]);
    case "empty":
      return Buffer.from("\n");
    case "empty-crlf":
      return Buffer.from("\r\n");
    case "long":
      return text(filled(id, size, " "));
    case "long-json":
      return text(`{"id":"${id}","pad":"${filled(id, size, "-")}"}`);
    case "long-letters":
      return text(filled(id, size, "\u00e9\u20ac\u{1f600}"));
    case "long-bytes":
      return Buffer.from(`${filled(id, size, "\u00ff")}\n`, "latin1");
  }
}

/** A line without its end. */
export function unended(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 10) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 13 ? -2 : -1);
}

export type Form = "json" | "text" | "binary";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As what bytes are kept: JSON where they are JSON, and bytes where they are no UTF-8. */
export function formOf(bytes: Buffer, asText: boolean): Form {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return "binary";
  }
  if (asText) return "text";
  try {
    JSON.parse(text);
    return "json";
  } catch {
    return "text";
  }
}
