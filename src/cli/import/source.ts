/**
 * The content of an input, as UTF-8: of a file, or of the standard input; unpacked where its first bytes say gzip, and
 * decoded where it is in another encoding.
 */
import { createReadStream } from "node:fs";
import { unpackGzip } from "../gunzip.ts";
import { Usage } from "../output.ts";
import { BadPacking, type Chunks } from "../unpacking.ts";
import { encodingOf, packingOf, sniffBytes } from "./sniff.ts";

export const chunkBytes = 524_288;

/** Bytes that have been read of the file as it lies there. */
interface Counter {
  read: number;
}

export class Source {
  private constructor(
    /** Undefined: the standard input. */
    readonly path: string | undefined,
    /** A file that can be read again, unlike a pipe that has a name. */
    readonly lasting: boolean,
    readonly counter: Counter,
    readonly packed: boolean,
    /** Undefined for UTF-8. */
    readonly encoding: string | undefined,
    /** What the content begins with. */
    readonly head: Buffer,
    readonly first: Chunks,
  ) {}

  /** `said`: an encoding that is taken instead of what the first bytes suggest. Throws Usage for what cannot be read. */
  static async open(path: string | undefined, lasting: boolean, said?: string): Promise<Source> {
    const counter = { read: 0 };
    const [rawHead, raw] = await peek(rawOf(path, 0, counter), 16);
    const packed = packingOf(rawHead, path);
    const [head, unpacked] = await peek(packed ? unpackGzip(raw) : raw, sniffBytes);
    const encoding = said === undefined ? encodingOf(head, path) : nameOf(said);
    if (encoding === undefined) return new Source(path, lasting, counter, packed, encoding, head, unpacked);
    const text = await peek(decode(unpacked, encoding), sniffBytes);
    return new Source(path, lasting, counter, packed, encoding, ...text);
  }

  /** Whether the content is the file's own bytes, so that it can be had from any place. */
  get plain(): boolean {
    return this.lasting && !this.packed && this.encoding === undefined;
  }

  /** The content, once: of a plain file from a place, of anything else from its start. */
  content(start = 0): Chunks {
    if (start === 0) return this.first;
    this.counter.read = start;
    return rawOf(this.path, start, this.counter);
  }

  /** The content of a lasting file once more, as often as it is asked for. */
  again(start = 0): Chunks {
    const raw = rawOf(this.path, start, { read: 0 });
    const unpacked = this.packed ? unpackGzip(raw) : raw;
    return this.encoding === undefined ? unpacked : decode(unpacked, this.encoding);
  }
}

/** The name by which decoders know an encoding; undefined for UTF-8. */
function nameOf(said: string): string | undefined {
  try {
    const { encoding } = new TextDecoder(said);
    return encoding === "utf-8" ? undefined : encoding;
  } catch {
    throw new Usage(
      `--encoding ${said} is not known; there are utf-8, utf-16le, windows-1252, shift_jis, gbk and others`,
    );
  }
}

async function* rawOf(path: string | undefined, start: number, counter: Counter): Chunks {
  // A pipe that has a name can only be read as it comes.
  const from = start === 0 ? {} : { start };
  const raw = path === undefined ? process.stdin : createReadStream(path, { ...from, highWaterMark: chunkBytes });
  for await (const part of raw) {
    counter.read += part.length;
    yield part as Buffer;
  }
}

/** What lies at the front of chunks, and all of them; where they cannot be unpacked any further, they end with that. */
async function peek(chunks: Chunks, bytes: number): Promise<[Buffer, Chunks]> {
  let head = Buffer.alloc(0);
  let broken: BadPacking | undefined;
  while (head.length < bytes) {
    const next = await chunks.next().catch((error) => {
      if (!(error instanceof BadPacking)) throw error;
      broken = error;
    });
    if (next === undefined || next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  const all = async function* () {
    if (head.length > 0) yield head;
    if (broken !== undefined) throw broken;
    yield* chunks;
  };
  return [head.subarray(0, bytes), all()];
}

async function* decode(chunks: Chunks, encoding: string): Chunks {
  const decoded = encoding === "windows-1252" ? western : strict(encoding);
  let bytes = 0;
  const textOf = (chunk?: Buffer) => {
    try {
      return Buffer.from(decoded(chunk));
    } catch {
      throw new Usage(
        `the input is not ${encoding}: what lies behind byte ${bytes} of it is none; give another --encoding`,
      );
    }
  };
  for await (const chunk of chunks) {
    const text = textOf(chunk);
    bytes += chunk.length;
    if (text.length > 0) yield text;
  }
  const last = textOf();
  if (last.length > 0) yield last;
}

/** Decodes one chunk after the other; without one, what is left at the end. */
type Decode = (chunk?: Buffer) => string;

function strict(encoding: string): Decode {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: false });
  return (chunk) => decoder.decode(chunk, { stream: chunk !== undefined });
}

/** Of windows-1252, the letters from 0x80 on. Several versions of Node take them for control characters, as Latin-1 has them. */
const letters = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ";
const western: Decode = (chunk) =>
  (chunk?.toString("latin1") ?? "").replace(/[\x80-\x9f]/g, (letter) => letters[letter.charCodeAt(0) - 0x80]);
