/**
 * What a forwarder must not forget: how far each file has been appended, and the batch that is on its way. A batch is
 * written down, with its number, before it is sent: whoever dies then, it is sent again under the same number, and the
 * service knows it.
 *
 *     state.json       positions, and the number and positions of the batch on its way
 *     batch, batch-2   that batch, packed, and the one before it
 *
 * A batch that is refused as a whole goes in parts: the state says which of its records are on their way.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StreamInfo } from "../../client/index.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { addLines } from "../../node/lines.ts";
import { lock, replace } from "../files.ts";
import { makeFolder } from "../folders.ts";
import { foreign, lacksLog, logless } from "../foreign.ts";
import { Usage } from "../output.ts";
import { canonical, holdsHead, type OldPosition, type Position } from "./identity.ts";

/** Of each file, by its one name: where reading ended, last in the file that was current. Old ones by the name as typed. */
export type Positions = Readonly<Record<string, readonly Position[] | OldPosition>>;

/** A release that knows less must not take it for its own. */
const version = 2;

/** Records of a batch; those up to `tried` may have been taken under the number when they were sent together. */
type SentPart = readonly [from: number, to: number, tried?: number];

/** Where lines go to. */
export type Goal = Pick<StreamInfo, "namespace" | "stream" | "logId">;

interface Saved extends Omit<Goal, "namespace"> {
  readonly version: number;
  /** An older release wrote none. */
  readonly namespace?: string;
  readonly producer: string;
  /** Of the next batch or part, or of the one on its way. */
  readonly sequence: number;
  readonly positions: Positions;
  /** Positions behind the batch on its way. */
  readonly pending?: Positions;
  /** The file that holds it; without it `batch`. */
  readonly batch?: string;
  /** Its bytes and their CRC-32C; an older release wrote none. */
  readonly sum?: readonly [number, number];
  /** Of that batch, the records on their way; without it all of them. */
  readonly part?: SentPart;
}

export class State {
  readonly #folder: string;
  #saved: Saved;
  /** What is on the disk is older: the last batch is still on its way there, and would be sent once more. */
  #isBehind = false;
  /** The batch on its way, where it was made in this process. */
  #batch: Uint8Array | undefined;

  readonly #unlock: () => void;
  /** What was forwarded before went to another log of this name. */
  isOfAnother = false;

  private constructor(folder: string, saved: Saved, unlock: () => void) {
    this.#folder = folder;
    this.#saved = saved;
    this.#unlock = unlock;
  }

  static open(folder: string, goal: Goal): State {
    makeFolder(folder);
    // Two forwarders with one state would send under one name.
    const unlock = lock(join(folder, "lock"), (pid) => `process ${pid} forwards with ${folder}; give another --state`);
    try {
      return State.#locked(folder, goal, unlock);
    } catch (error) {
      unlock();
      throw error;
    }
  }

  static #locked(folder: string, { namespace, stream, logId }: Goal, unlock: () => void): State {
    // What was being unpacked when a forwarder died.
    for (const name of readdirSync(folder)) if (name.startsWith("unpacked-")) rmSync(join(folder, name));
    const fresh: Saved = { version, namespace, stream, logId, producer: nameOf(), sequence: 0, positions: {} };
    const saved = load(folder, { namespace, stream, logId });
    if (saved === undefined) return new State(folder, fresh, unlock);
    if ((saved.version ?? 1) > version) {
      throw new Usage(`${folder} was written by a newer release of millrace; use that one, or give another --state`);
    }
    const others = foreign(saved, { namespace, stream });
    if (others !== undefined) throw new Usage(`${folder} ${others}`);
    const state = new State(folder, { ...saved, version, namespace }, unlock);
    state.isOfAnother = saved.logId !== logId;
    if (state.isOfAnother) state.#renew(logId);
    // It is to be told once.
    state.#isBehind = state.isOfAnother || saved.namespace === undefined;
    return state;
  }

  get producer(): { id: string; sequence: number } {
    return { id: this.#saved.producer, sequence: this.#saved.sequence };
  }

  get logId(): string {
    return this.#saved.logId;
  }

  get positions(): Positions {
    return this.#saved.positions;
  }

  /**
   * Where reading of a file ended, behind the batch on its way. What an older release wrote stands under the path as it was
   * typed, from anywhere.
   */
  take(key: string): readonly Position[] {
    const of = this.#saved.pending === undefined ? "positions" : "pending";
    const all = this.#saved[of] ?? {};
    const { [key]: own, ...others } = all;
    if (isNew(own)) return own;
    const old = Object.entries(all)
      .filter((entry): entry is [string, OldPosition] => !isNew(entry[1]))
      .filter(([typed, position]) => canonical(typed) === key || holdsHead(key, position));
    if (old.length === 0) return [];
    const names = new Set(old.map(([typed]) => typed));
    const left = Object.entries(others).filter(([typed]) => !names.has(typed));
    const { inode, offset, head } = old.map(([, position]) => position).reduce((a, b) => (b.offset > a.offset ? b : a));
    const taken = [{ dev: "", inode: String(inode), offset, head, near: "" }];
    this.#saved = { ...this.#saved, [of]: { ...Object.fromEntries(left), [key]: taken } };
    return taken;
  }

  /** The batch that is on its way, and which of its records are; all without `part`. */
  get pending(): { batch: Uint8Array; part: SentPart | undefined } | undefined {
    if (this.#saved.pending === undefined) return undefined;
    this.#batch ??= this.#written(this.#saved);
    return { batch: this.#batch, part: this.#saved.part };
  }

  /** Throws where it is not the whole batch: its lines would be taken for sent. */
  #written({ batch = "batch", sum }: Saved): Uint8Array {
    const path = join(this.#folder, batch);
    const bytes = readFileSync(path);
    const [length, crc] = sum ?? [bytes.length, undefined];
    if (bytes.length > 0 && bytes.length === length && (crc === undefined || crc32c(bytes) === crc)) return bytes;
    throw new Error(
      `${path} is damaged: it is not the batch that was written down, whose lines may not have been sent; put it back, or give another --state`,
    );
  }

  /** Writes a batch down before it is sent. */
  begin(batch: Uint8Array, positions: Positions): void {
    // The state on the disk may still be about the batch before. Both names last when that of the state does.
    const name = this.#saved.batch === "batch-2" ? "batch" : "batch-2";
    replace(join(this.#folder, name), batch, false);
    this.#batch = batch;
    const sum = [batch.length, crc32c(batch)] as const;
    this.#save({ ...this.#saved, pending: positions, batch: name, sum }, true);
  }

  /** The batch was refused as it was: so many of its records are sent under its number. */
  beginPart(part: SentPart): void {
    this.#save({ ...this.#saved, part }, true);
  }

  /** The part is durable where it was sent to, or was rejected; the next one takes its place. `used`: so is its number. */
  donePart(next: SentPart, used: boolean): void {
    this.#save({ ...this.#saved, sequence: this.#saved.sequence + Number(used), part: next }, true);
  }

  /**
   * The batch is durable where it was sent to, or was rejected. Is written down with the next one, or by `settle`: until
   * then it is repeated.
   */
  done(used: boolean): void {
    const { pending, part: _, ...rest } = this.#saved;
    const sequence = rest.sequence + Number(used);
    this.#saved = { ...rest, sequence, positions: pending ?? rest.positions };
    this.#isBehind = true;
    this.#batch = undefined;
  }

  /** There is nothing to be sent: what is known of the files is written down. */
  settle(positions = this.#saved.positions): void {
    const isNew = positions !== this.#saved.positions && JSON.stringify(positions) !== JSON.stringify(this.positions);
    if (this.#isBehind || isNew) this.#save({ ...this.#saved, positions }, false);
  }

  /** The stream was made anew and knows no numbers; what has been forwarded stays forwarded. */
  renew(logId: string): void {
    this.#renew(logId);
    this.#save(this.#saved, true);
  }

  /** Lines that the stream does not take, kept for whoever looks for them. */
  reject(lines: readonly string[]): void {
    addLines(join(this.#folder, "rejected.ndjson"), lines.map((line) => `${line}\n`).join(""));
  }

  close(): void {
    this.settle();
    this.#unlock();
  }

  #renew(logId: string): void {
    this.#saved = { ...this.#saved, logId, producer: nameOf(), sequence: 0 };
  }

  #save(saved: Saved, lasting: boolean): void {
    replace(join(this.#folder, "state.json"), new TextEncoder().encode(JSON.stringify(saved)), lasting);
    this.#saved = saved;
    this.#isBehind = false;
  }
}

const nameOf = () => `forward-${crypto.randomUUID()}`;

const isNew = (position: Positions[string] | undefined): position is readonly Position[] => Array.isArray(position);

/** Throws where it is nothing that a forwarder has written: what it says of files would not be so. */
function load(folder: string, { stream, logId }: Goal): Saved | undefined {
  const path = join(folder, "state.json");
  const anew = "or give another --state, with which what the files hold is sent anew";
  let saved: unknown;
  try {
    saved = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Usage(`${path} cannot be read: ${(error as Error).message}; put it back as it was; ${anew}`);
  }
  // What a newer one has is its own.
  if (isObject(saved) && isWhole(saved.version) && (saved.version as number) > version)
    return saved as unknown as Saved;
  if (!isSaved(saved)) throw new Usage(`${path} is not what a forwarder has written: put it back as it was; ${anew}`);
  if (lacksLog(saved))
    throw new Usage(`${logless(path, (saved as Saved).stream === stream ? { stream, logId } : undefined)}; ${anew}`);
  return saved;
}

const isWhole = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value: unknown): boolean => typeof value === "string";
const isPosition = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && isWhole(value.offset) && [value.head, value.near ?? ""].every(isText);
const isOne = (value: unknown): boolean => isPosition(value) && [value.dev, value.inode].every(isText);
const arePositions = (value: unknown): boolean =>
  isObject(value) &&
  Object.values(value).every((one) => (Array.isArray(one) ? one.every(isOne) : isPosition(one) && isWhole(one.inode)));
const areWhole = (value: unknown, least: number, most: number): boolean =>
  Array.isArray(value) && value.length >= least && value.length <= most && value.every(isWhole);

/** Whether it has every field that is worked with, save for the log. */
function isSaved(value: unknown): value is Saved {
  if (!isObject(value)) return false;
  const { namespace = "", stream, producer, logId, sequence, positions, pending, batch = "batch", sum, part } = value;
  return (
    [namespace, stream, producer, logId ?? ""].every(isText) &&
    [value.version ?? 1, sequence].every(isWhole) &&
    arePositions(positions) &&
    (pending === undefined || arePositions(pending)) &&
    (batch === "batch" || batch === "batch-2") &&
    (sum === undefined || areWhole(sum, 2, 2)) &&
    (part === undefined || areWhole(part, 2, 3))
  );
}
