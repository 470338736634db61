/**
 * What a forwarder must not forget: how far each file has been appended, and the batch that is on its way. A batch is
 * written down, with its number, before it is sent: whoever dies then, it is sent again under the same number, and the
 * service knows it.
 *
 *     state.json   positions, and the number and positions of the batch on its way
 *     batch        that batch, packed
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { lock, replace, unlock } from "../files.ts";
import { makeFolder } from "../folders.ts";
import { Usage } from "../output.ts";

/** A place in a file that may be renamed: `head` tells a file from another that was given its number. */
export interface Position {
  readonly inode: number;
  readonly offset: number;
  readonly head: string;
}

export type Positions = Readonly<Record<string, Position>>;

interface Saved {
  readonly stream: string;
  readonly logId: string;
  readonly producer: string;
  /** Of the next batch, or of the one on its way. */
  readonly sequence: number;
  readonly positions: Positions;
  /** Positions behind the batch on its way. */
  readonly pending?: Positions;
}

export class State {
  readonly #folder: string;
  #saved: Saved;

  private constructor(folder: string, saved: Saved) {
    this.#folder = folder;
    this.#saved = saved;
  }

  static open(folder: string, stream: string, logId: string): State {
    makeFolder(folder);
    // Two forwarders with one state would send under one name.
    lock(join(folder, "lock"), (pid) => `process ${pid} forwards with ${folder}; give another --state`);
    const fresh: Saved = { stream, logId, producer: `forward-${crypto.randomUUID()}`, sequence: 0, positions: {} };
    const saved = load(folder);
    if (saved === undefined) return new State(folder, fresh);
    if (saved.stream !== stream) {
      throw new Usage(`${folder} belongs to the stream '${saved.stream}'; give another --state for '${stream}'`);
    }
    // The stream was created anew, and knows no numbers; what has been forwarded stays forwarded.
    return new State(
      folder,
      saved.logId === logId ? saved : { ...saved, logId, producer: fresh.producer, sequence: 0 },
    );
  }

  get positions(): Positions {
    return this.#saved.positions;
  }

  get producer(): { id: string; sequence: number } {
    return { id: this.#saved.producer, sequence: this.#saved.sequence };
  }

  /** The batch that was on its way when the last forwarder ended. */
  get pending(): Uint8Array | undefined {
    return this.#saved.pending === undefined ? undefined : readFileSync(join(this.#folder, "batch"));
  }

  /** Writes a batch down before it is sent. */
  begin(batch: Uint8Array, positions: Positions): void {
    replace(join(this.#folder, "batch"), batch);
    this.#save({ ...this.#saved, pending: positions });
  }

  /** The batch is durable where it was sent to. */
  done(): void {
    const { pending, ...rest } = this.#saved;
    this.#save({ ...rest, sequence: rest.sequence + 1, positions: pending ?? rest.positions });
  }

  /** Lines that the stream does not take, kept for whoever looks for them. */
  reject(line: string): void {
    const file = openSync(join(this.#folder, "rejected.ndjson"), "a", 0o600);
    writeSync(file, `${line}\n`);
    closeSync(file);
  }

  close(): void {
    unlock(join(this.#folder, "lock"));
  }

  #save(saved: Saved): void {
    replace(join(this.#folder, "state.json"), new TextEncoder().encode(JSON.stringify(saved)));
    this.#saved = saved;
  }
}

function load(folder: string): Saved | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "state.json"), "utf8")) as Saved;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Usage(`${folder}/state.json cannot be read: ${(error as Error).message}`);
  }
}
