/**
 * Where sending is, in a file of two slots of which every second write takes the other: whatever breaks off, one of them is
 * whole. It is written over and never grows, so that a full disk holds nothing up. Behind them stands how much was kept for
 * certain. That is not waited for: after a power failure it may be less, and it is never more.
 *
 *     place   two slots of 2 048 bytes: CRC-32C of the JSON in hexadecimal, a blank, the JSON, an end of line, NULs; and a third
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { known } from "../client/error.ts";
import { concat, decodeText, encodeText } from "../lib/bytes.ts";
import { crc32c } from "../lib/crc32c.ts";
import { sync, writeAt } from "./disk.ts";

const slotBytes = 2_048;
/** A release that knows less must not take it for its own. */
const version = 1;

/** A record in the spool: the segment's number, the byte at which its entry begins, and how many of the entry are before it. */
export interface Mark {
  readonly segment: number;
  readonly byte: number;
  readonly record: number;
}

/** Whoever waited for it was told that what is before it is on the disk. */
export type Kept = Pick<Mark, "segment" | "byte">;

/** For whom the records are. */
export interface Target {
  /** A folder of before it was written down has none. */
  readonly namespace?: string | undefined;
  readonly stream: string;
  readonly partition?: number | undefined;
}

export interface Place extends Target {
  readonly id: string;
  readonly epoch: number;
  /** Of the next batch, or of the one that is on its way. */
  readonly sequence: number;
  /** The first record that is not known to be stored. */
  readonly from: Mark;
  /** The end of the batch that is on its way. */
  readonly to?: Mark;
  /** When that was first to be sent, in ms. */
  readonly at?: number;
  /** The service said so of its partition. Another may be given, or none, and takes over when what is on its way is answered. */
  readonly sealed?: boolean;
}

interface Slot extends Place {
  readonly version: number;
  readonly count: number;
}

export class PlaceFile {
  readonly #file: number;
  #count: number;

  private constructor(file: number, count: number) {
    this.#file = file;
    this.#count = count;
  }

  /** The file of a folder, and what it says; or what `first` makes, where it says nothing yet. */
  static open(folder: string, first: () => Place): { file: PlaceFile; place: Place; kept: Kept | undefined } {
    const path = join(folder, "place");
    const bytes = existsSync(path) ? readFileSync(path) : new Uint8Array(0);
    const slots = [0, slotBytes].map((at) => slotOf<Slot>(bytes, at));
    const [slot] = slots.filter((one) => one !== undefined).sort((a, b) => b.count - a.count);
    if (slot !== undefined) {
      const { version: wrote, count, ...place } = slot;
      const newer = `${folder} was written by a newer release; use that one, or give another folder`;
      if (wrote > version) throw known("invalid", newer);
      return { file: new PlaceFile(openSync(path, "r+"), count), place, kept: slotOf<Kept>(bytes, 2 * slotBytes) };
    }
    const place = first();
    const file = openSync(path, "w", 0o600);
    writeSync(file, slotBytesOf({ version, count: 0, ...place }), 0, slotBytes, 0);
    writeSync(file, new Uint8Array(2 * slotBytes), 0, 2 * slotBytes, slotBytes);
    fsyncSync(file);
    return { file: new PlaceFile(file, 0), place, kept: undefined };
  }

  /** Resolves when it is on the disk. */
  async save(place: Place): Promise<void> {
    const count = this.#count + 1;
    await writeAt(this.#file, slotBytesOf({ version, count, ...place }), (count % 2) * slotBytes);
    await sync(this.#file);
    this.#count = count;
  }

  /** The same at once, while a folder is opened. */
  saveNow(place: Place): void {
    const count = this.#count + 1;
    writeSync(this.#file, slotBytesOf({ version, count, ...place }), 0, slotBytes, (count % 2) * slotBytes);
    fsyncSync(this.#file);
    this.#count = count;
  }

  /** Notes what is on the disk, as far as there is room for it. */
  async note({ segment, byte }: Kept): Promise<void> {
    await writeAt(this.#file, textOf({ segment, byte }), 2 * slotBytes).catch(() => {});
  }

  close(): void {
    closeSync(this.#file);
  }
}

const sumOf = (json: Uint8Array) => crc32c(json).toString(16).padStart(8, "0");

function textOf(slot: Slot | Kept): Uint8Array {
  const json = encodeText(JSON.stringify(slot));
  return concat([encodeText(`${sumOf(json)} `), json, encodeText("\n")]);
}

function slotBytesOf(slot: Slot): Uint8Array {
  const bytes = new Uint8Array(slotBytes);
  bytes.set(textOf(slot));
  return bytes;
}

/** Undefined where it was never written, or not to its end. */
function slotOf<T extends Slot | Kept>(file: Uint8Array, at: number): T | undefined {
  const slot = file.subarray(at, at + slotBytes);
  const json = slot.subarray(9, Math.max(9, slot.indexOf(10)));
  try {
    return decodeText(slot, 0, 8) === sumOf(json) ? (JSON.parse(decodeText(json)) as T) : undefined;
  } catch {
    return undefined;
  }
}
