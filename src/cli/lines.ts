/** Lines of a stream of bytes. */
import { concat, markBytes } from "../lib/bytes.ts";

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Without its end. */
  readonly bytes: Uint8Array;
}

/** Why a line is none of ours. */
export class BadLine extends Error {
  constructor(
    readonly line: number,
    why: string,
  ) {
    super(`line ${line}: ${why}`);
  }
}

const [lineFeed, carriageReturn] = [10, 13];

/**
 * Lines as bytes, without `\n` or `\r\n`; the first one without a byte order mark. Throws BadLine where one has more than `bytesMax`, of
 * which no more is held.
 */
export async function* numberedLines(
  input: AsyncIterable<Uint8Array | string>,
  bytesMax: number,
): AsyncGenerator<Line, void, undefined> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let number = 0;
  const hold = (part: Uint8Array) => {
    heldBytes += part.length;
    if (heldBytes > bytesMax)
      throw new BadLine(number + 1, `has more than ${bytesMax} bytes (batchBytesMax), the most that one request takes`);
    held.push(part);
  };
  const take = (): Line => {
    let bytes = concat(held);
    held = [];
    heldBytes = 0;
    if (number === 0) bytes = bytes.subarray(markBytes(bytes));
    if (bytes.at(-1) === carriageReturn) bytes = bytes.subarray(0, -1);
    return { number: ++number, bytes };
  };
  for await (const part of input) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    let from = 0;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, from)) {
      hold(bytes.subarray(from, end));
      from = end + 1;
      yield take();
    }
    if (from < bytes.length) hold(bytes.subarray(from));
  }
  if (heldBytes > 0) yield take();
}
