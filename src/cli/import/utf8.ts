/** Whether all of a content is UTF-8, and where not. */
import { isUtf8 } from "node:buffer";
import { textBefore } from "../../lib/bytes.ts";

type Chunks = AsyncIterable<Buffer>;

/** The line, from 1, of the first byte that is of no UTF-8; undefined where there is none. `open` gives the content anew. */
export async function strayLine(open: () => Chunks): Promise<number | undefined> {
  const stray = await strayAt(open());
  if (stray === undefined) return undefined;
  let line = 1;
  let at = 0;
  for await (const chunk of open()) {
    for (const byte of chunk.subarray(0, stray - at)) if (byte === 10) line++;
    at += chunk.length;
    if (at > stray) break;
  }
  return line;
}

async function strayAt(chunks: Chunks): Promise<number | undefined> {
  let at = 0;
  /** The beginning of a letter, at the end of a chunk. */
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const whole = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const end = whole.length - begun(whole);
    const body = whole.subarray(0, end);
    if (!isUtf8(body)) return at + Buffer.byteLength(textBefore(body));
    at += end;
    rest = whole.subarray(end);
  }
  return rest.length === 0 ? undefined : at;
}

/** Bytes at the end that may be the beginning of a letter. */
function begun(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}
