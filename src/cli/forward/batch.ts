/** What is sent at a time: pieces of lines as records, within what the stream takes. */
import { frameLimits } from "../../../schemas/frame-limits.ts";
import type { StreamConfig } from "../../client/index.ts";
import { concat, decodeText, varintBytes } from "../../lib/bytes.ts";
import { headerBytes } from "../../log/frame.ts";
import { FrameWriter, type Kind, kinds, recordBytes } from "../../log/record.ts";
import { Usage } from "../output.ts";
import type { Piece } from "./split.ts";

const [bytesMax, recordsMax] = [1_048_576, 10_000];
/** A batch of 1 MiB is in two frames at most. */
const framesBytes = 2 * headerBytes;
/** A line should not be cut into crumbs. */
const pieceBytesMin = 64;

export interface Limits {
  readonly batchBytes: number;
  readonly recordBytes: number;
}

export const limitsOf = ({ recordBytesMax, batchBytesMax }: StreamConfig): Limits => {
  const batchBytes = Math.min(bytesMax, batchBytesMax ?? bytesMax) - framesBytes;
  const recordBytes = Math.min(frameLimits.recordBytesMax, recordBytesMax ?? frameLimits.recordBytesMax);
  return { batchBytes, recordBytes: Math.min(recordBytes, batchBytes - varintBytes(batchBytes)) };
};

/** Bytes of a record with the key beside its line. */
export const around = (key: string | undefined): number =>
  recordBytes({ kind: kinds.binary, data: new Uint8Array(0), ...(key === undefined ? {} : { key }) });

/** Longest piece of a line that fits a record with the key. */
export function pieceBytesMax({ recordBytes }: Limits, key: string | undefined): number {
  const left = recordBytes - around(key);
  if (left >= pieceBytesMin) return left;
  throw new Usage(
    `the stream takes records of ${recordBytes} bytes, of which the key leaves ${Math.max(0, left)} for a line; give a shorter --key, or let recordBytesMax and batchBytesMax of the stream be larger`,
  );
}

export class Batch {
  readonly #writer = new FrameWriter();
  #bytes = 0;

  constructor(
    readonly limits: Limits,
    /** Lines are texts, though they may look like JSON. */
    readonly asText: boolean,
  ) {}

  get count(): number {
    return this.#writer.count;
  }

  get isFull(): boolean {
    return this.count >= recordsMax || this.limits.batchBytes - this.#bytes < pieceBytesMin;
  }

  /** Bytes of a line for which there is room, where its record has so many others. */
  room(others: number): number {
    const left = this.limits.batchBytes - this.#bytes;
    return this.count >= recordsMax ? -1 : left - varintBytes(left) - others;
  }

  add({ bytes: data, part }: Piece, key: string | undefined): void {
    const kind = kindOf(data, part || this.asText);
    const length = this.#writer.add({ kind, data, ...(key === undefined ? {} : { key }) });
    this.#bytes += varintBytes(length) + length;
  }

  /** The frames; undefined where there is nothing in them. */
  finish(): Uint8Array | undefined {
    return this.count === 0 ? undefined : concat(this.#writer.finish(0));
  }
}

/** Text that is JSON is JSON, unless it is a part of a line; bytes that are no UTF-8 are kept as they are. */
function kindOf(data: Buffer, asText: boolean): Kind {
  try {
    const text = decodeText(data);
    if (asText) return kinds.text;
    JSON.parse(text);
    return kinds.json;
  } catch (error) {
    return error instanceof SyntaxError ? kinds.text : kinds.binary;
  }
}
