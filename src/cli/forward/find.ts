/** Finds the file that was read before, whatever it is called by now. */
import { closeSync, fstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Contents } from "./contents.ts";
import { areSame, type Entry, entriesOf, packingOf, schemeOf } from "./generations.ts";
import {
  hashOf,
  headBytes,
  heldBy,
  idOf,
  isStrong,
  openSeen,
  orClosed,
  type Position,
  problemAt,
  Unreadable,
  unreadable,
} from "./identity.ts";
import { LogFile } from "./log-file.ts";
import * as messages from "./messages.ts";
import type { Report } from "./report.ts";
import { Splitter } from "./split.ts";
import { Stirred, stirsMax } from "./stirred.ts";
import { type Unpacked, unpack, unpacks } from "./unpack.ts";

/** A compressed file that is cut off may be its writer's who is not done yet: it is given this time. */
const cutMs = 10_000;
/** Files that hold the same, and nothing tells which of them it is. */
const several = Symbol("several");

/** A file beside the one that is followed, or that one. `home` is the name that its own name continues. */
export interface Candidate extends Entry {
  readonly home: string;
}

/** A compressed file that is open, and what came out of it. */
interface From {
  readonly packed: number;
  readonly unpacked: Unpacked;
}

export interface Found {
  readonly file: LogFile;
  readonly path: string;
}

/** A file that holds what was read, open or only known to. */
interface Proven {
  readonly file: Pick<LogFile, "id" | "behind" | "close">;
  readonly path: string;
}

/** What is looked for. */
interface Question {
  readonly position: Position;
  readonly path: string;
  readonly surely: boolean;
  /** Only where it is, is asked. */
  readonly closed: boolean;
}

const candidatesOf = (home: string): Candidate[] =>
  entriesOf(dirname(home), basename(home)).map((entry) => ({ ...entry, home }));

const isOwn = ({ home, name }: Candidate): boolean =>
  name === basename(home) || schemeOf(basename(home), name) !== undefined;

/** A number that was given out again is another file's. */
const isMadeThen = ({ stat }: Candidate, { made }: Position): boolean =>
  made === undefined || stat.birthtimeNs === BigInt(made);

/** Whether none but the file under the path, which is written to, has grown: one may be a copy that was not whole yet. */
const areAsLong = (a: readonly Candidate[], b: readonly Candidate[], path: string): boolean =>
  a.every((one, index) => one.path === path || !isOwn(one) || one.stat.size === b[index].stat.size);

export class Finder {
  /** When files that are cut off were seen first, by their ids. */
  readonly #cutSince = new Map<string, number>();
  readonly contents = new Contents();

  constructor(
    /** What is unpacked lies there for a moment. */
    readonly folder: string,
    readonly report: Report,
    /** Longest piece of a line. */
    public bytesMax: number,
  ) {}

  /**
   * The file that a position is of, open at its place. By its inode first; then by what it holds alone: it was copied or
   * compressed, or its file system has no inodes. `except` those that are known not to be it. `surely`: where several hold
   * the same it is none of them.
   */
  async find(
    position: Position,
    path: string,
    except: ReadonlySet<string> = new Set(),
    surely = false,
  ): Promise<Found | undefined> {
    return (await this.#find({ position, path, surely, closed: false }, except)) as Found | undefined;
  }

  /** Where that file is, if it is surely one. */
  async where(position: Position, path: string): Promise<{ id: string; path: string } | undefined> {
    const found = await this.#find({ position, path, surely: true, closed: true }, new Set());
    found?.file.close();
    return found && { id: found.file.id, path: found.path };
  }

  async #find(question: Question, except: ReadonlySet<string>): Promise<Proven | undefined> {
    const { position, path } = question;
    this.contents.expect([position.offset]);
    const among = [...new Set([position.name ?? path, path])];
    let before: Candidate[] | undefined;
    // One that was not found may have been copied, or renamed, between the look at its folder and that at what it holds.
    for (let attempt = 0; attempt < stirsMax; attempt++) {
      const all = among.flatMap((home) => candidatesOf(home)).filter(({ stat }) => !except.has(idOf(stat)));
      if (before !== undefined && areSame(before, all) && areAsLong(before, all, path)) break;
      const found = await this.#among(all, question);
      if (found !== undefined) return found === several ? undefined : found;
      before = all;
    }
    return undefined;
  }

  async #among(all: readonly Candidate[], question: Question): Promise<Proven | typeof several | undefined> {
    const { position, path, surely } = question;
    const { dev, inode } = position;
    const proofs: ((candidate: Candidate) => boolean)[] = [
      ({ stat }) => inode !== "" && idOf(stat) === `${dev}:${inode}`,
      (one) => String(one.stat.ino) === inode && isOwn(one),
      (one) => packingOf(one.name) === undefined && isOwn(one),
      (one) => packingOf(one.name) !== undefined && isOwn(one),
    ];
    // Nothing that was read of it could prove another file to be it; and its number may be any file's.
    const untouched = position.offset === 0;
    for (const proof of untouched ? proofs.slice(0, 1) : proofs) {
      const candidates = all.filter((one) => proof(one) && (!untouched || (isOwn(one) && isMadeThen(one, position))));
      // Where its own file cannot be read it is not another one.
      const isCertain = (one: Candidate) =>
        packingOf(one.name) === undefined && (one.path === path || proof === proofs[0]);
      const found = await this.#proved(candidates, question, isCertain);
      if (found.length > 1 && surely && !isStrong(position)) {
        for (const { file } of found) file.close();
        return several;
      }
      if (found.length > 0) return this.#choose(found, path, position);
    }
    return undefined;
  }

  async #proved(
    candidates: readonly Candidate[],
    question: Question,
    isCertain: (candidate: Candidate) => boolean,
  ): Promise<Proven[]> {
    const found: Proven[] = [];
    try {
      await this.#prove(found, candidates, question, isCertain);
      return found;
    } catch (error) {
      for (const { file } of found) file.close();
      throw error;
    }
  }

  async #prove(
    found: Proven[],
    candidates: readonly Candidate[],
    question: Question,
    isCertain: (candidate: Candidate) => boolean,
  ): Promise<void> {
    const seen = new Set<string>();
    for (const candidate of candidates) {
      // One file may have several names.
      const id = idOf(candidate.stat) || candidate.path;
      if (seen.has(id)) continue;
      seen.add(id);
      const file = await this.#at(candidate, question).catch((error) => {
        if (error instanceof Stirred) throw error;
        const problem = unreadable(candidate.path, error);
        if (problem.passing || (isCertain(candidate) && !problem.missing)) throw problem;
        this.report.once(candidate.path, problem.message);
        return undefined;
      });
      if (file !== undefined) found.push({ file, path: candidate.path });
    }
  }

  /** The file open at the place, if it holds what was read. */
  async #at(candidate: Candidate, { position, closed }: Question): Promise<Proven["file"] | undefined> {
    const { name, path, stat } = candidate;
    const packing = packingOf(name);
    if (packing === undefined) return this.#proven(openSeen(path, stat), candidate, position);
    if (!unpacks(packing)) {
      this.report.once(path, messages.cannotUnpack(path, packing));
      return undefined;
    }
    const { offset, head } = position;
    const known = this.contents.holds(stat, position);
    if (known === false) return undefined;
    if (known && closed) return { id: idOf(stat), behind: this.contents.bytesOf(stat)! - offset, close: () => {} };
    const begins = (bytes: Buffer) => hashOf(bytes.subarray(0, Math.min(headBytes, offset))) === head;
    const packed = openSeen(path, stat);
    let file: LogFile | undefined;
    try {
      const unpacked = await this.unpacked(packed, packing, begins);
      file = unpacked && this.#proven(unpacked.fd, candidate, position, { packed, unpacked });
      return file;
    } finally {
      if (file === undefined) closeSync(packed);
    }
  }

  /** What comes out of a file; it is remembered what that is. */
  async unpacked(packed: number, packing: string, begins: (head: Buffer) => boolean): Promise<Unpacked | undefined> {
    const stat = fstatSync(packed, { bigint: true });
    const sampler = this.contents.sampler();
    const unpacked = await unpack(packed, packing, this.folder, sampler, begins);
    this.contents.remember(stat, sampler, unpacked !== undefined || sampler.head.length < headBytes);
    return unpacked;
  }

  /** Says what is missing of a compressed file; throws where it may still come. */
  tellFault({ path, stat }: Entry, { bytes, fault }: Unpacked): void {
    if (fault === undefined) return;
    const [now, id] = [Date.now(), idOf(stat)];
    const since = this.#cutSince.get(id) ?? now;
    const isWrittenTo = now - Number(stat.mtimeNs / 1_000_000n) < cutMs && now - since < cutMs;
    if (fault.isCut && isWrittenTo) {
      this.#cutSince.set(id, since);
      throw new Unreadable(path, "is not whole yet", false, true);
    }
    this.#cutSince.delete(id);
    this.report.once(path, messages.damaged(path, fault.why, bytes));
  }

  #proven(fd: number, candidate: Candidate, position: Position, from?: From): LogFile | undefined {
    const { offset, inside = false } = position;
    return orClosed(fd, () => {
      const held = heldBy(fd, position);
      // Where it is not ours, and the file that it is made of is still there, it is not done yet, and nothing is lost.
      const isMade = () => problemAt(candidate.path.slice(0, candidate.path.lastIndexOf("."))) !== undefined;
      if (from !== undefined && (held !== undefined || isMade())) this.tellFault(candidate, from.unpacked);
      if (held === undefined && offset > 0) return undefined;
      const lines = new Splitter(this.bytesMax, offset, inside, held?.before);
      return new LogFile(fd, candidate.home, lines, from?.packed, held?.head);
    });
  }

  /** Of several that hold the same: the path's own where so much was compared that it must be it, else what came before. */
  #choose(found: Proven[], path: string, position: Position): Proven {
    const own = found.find((one) => one.path === path);
    const others = found.filter((one) => one !== own).sort((a, b) => b.file.behind - a.file.behind);
    const chosen = own !== undefined && (others.length === 0 || isStrong(position)) ? own : others[0];
    for (const { file } of found) if (file !== chosen.file) file.close();
    if (found.length > 1) {
      const names = found.map((one) => one.path);
      this.report.warn(messages.sameBytes(names, position.offset, chosen.path));
    }
    return chosen;
  }
}
