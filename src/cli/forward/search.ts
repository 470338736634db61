/** Finds the file that was read before, whatever it is called by now, and those that were written after it. */
import { closeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Entry, entriesOf, folderChangedAt, later, packingOf, schemeOf } from "./generations.ts";
import {
  beforeAt,
  fileAt,
  hashOf,
  headBytes,
  holds,
  idOf,
  isStrong,
  openFile,
  orClosed,
  type Position,
  target,
  unreadable,
} from "./identity.ts";
import { LogFile } from "./log-file.ts";
import * as messages from "./messages.ts";
import type { Report } from "./report.ts";
import { Splitter } from "./split.ts";
import { unpack, unpacks } from "./unpack.ts";

/** Whoever waits for a file looks that often. */
const lookMs = 1_000;

/** A file beside the one that is followed, or that one. `home` is the name that its own name continues. */
interface Candidate extends Entry {
  readonly home: string;
}

export interface Found {
  readonly file: LogFile;
  readonly path: string;
}

/** A compressed generation whose turn has not come. */
export class Packed {
  readonly id: string;

  constructor(
    readonly fd: number,
    readonly entry: Candidate,
  ) {
    this.id = idOf(entry.stat);
  }

  get name(): string {
    return this.entry.home;
  }

  close(): void {
    closeSync(this.fd);
  }
}

export const idsOf = (files: readonly (LogFile | Packed)[]): Set<string> => new Set(files.map(({ id }) => id));

export class Search {
  #stirredAt = 0;

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
    const homes = [...new Set([position.name ?? path, path])];
    const all = homes
      .flatMap((home) => entriesOf(dirname(home), basename(home)).map((entry) => ({ ...entry, home })))
      .filter(({ stat }) => !except.has(idOf(stat)));
    const isOwn = ({ home, name }: Candidate) =>
      name === basename(home) || schemeOf(basename(home), name) !== undefined;
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
      const candidates = all.filter((one) => proof(one) && (!untouched || isOwn(one)));
      // Where its own file cannot be read it is not another one.
      const isCertain = (one: Candidate) =>
        packingOf(one.name) === undefined && (one.path === path || proof === proofs[0]);
      const found = await this.#proved(candidates, position, isCertain);
      if (found.length > 1 && surely && !isStrong(position)) {
        for (const { file } of found) file.close();
        return undefined;
      }
      if (found.length > 0) return this.#choose(found, path, position);
    }
    return undefined;
  }

  async #proved(
    candidates: readonly Candidate[],
    position: Position,
    isCertain: (candidate: Candidate) => boolean,
  ): Promise<Found[]> {
    const found: Found[] = [];
    const seen = new Set<string>();
    for (const candidate of candidates) {
      // One file may have several names.
      const id = idOf(candidate.stat) || candidate.path;
      if (seen.has(id)) continue;
      seen.add(id);
      const file = await this.#at(candidate, position).catch((error) => {
        const problem = unreadable(candidate.path, error);
        if (isCertain(candidate) && !problem.missing) throw problem;
        this.report.once(candidate.path, problem.message);
        return undefined;
      });
      if (file !== undefined) found.push({ file, path: candidate.path });
    }
    return found;
  }

  /** The file open at the place, if it holds what was read. */
  async #at(candidate: Candidate, position: Position): Promise<LogFile | undefined> {
    const packing = packingOf(candidate.name);
    const { offset, head, inside = false } = position;
    const begins = (bytes: Buffer) => hashOf(bytes.subarray(0, Math.min(headBytes, offset))) === head;
    const fd = packing === undefined ? openFile(candidate.path) : await this.#unpacked(candidate, packing, begins);
    if (fd === undefined) return undefined;
    return orClosed(fd, () => {
      if (offset > 0 && !holds(fd, position)) return undefined;
      const lines = new Splitter(this.bytesMax, offset, inside, beforeAt(fd, offset));
      return new LogFile(fd, candidate.home, lines, idOf(candidate.stat), packing !== undefined);
    });
  }

  async #unpacked(
    { path }: Candidate,
    packing: string,
    begins: (head: Buffer) => boolean,
  ): Promise<number | undefined> {
    if (!unpacks(packing)) {
      this.report.once(path, messages.cannotUnpack(path, packing));
      return undefined;
    }
    const fd = openFile(path);
    try {
      return await unpack(fd, packing, this.folder, begins);
    } finally {
      closeSync(fd);
    }
  }

  /** Of several that hold the same: the path's own where so much was compared that it must be it, else what came before. */
  #choose(found: Found[], path: string, position: Position): Found {
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

  /** Whether files may have come, gone or been renamed beside one since this was asked before. */
  isStirred(path: string, now: number): boolean {
    const before = this.#stirredAt;
    this.#stirredAt = folderChangedAt(path);
    // What came after the last look may have come in the same moment.
    return this.#stirredAt !== before || now - this.#stirredAt < 2 * lookMs;
  }

  /** Where a file is by now, as long as it is in its folder. */
  whereIs(id: string, home: string): string | undefined {
    return id === "" ? undefined : entriesOf(dirname(home)).find(({ stat }) => idOf(stat) === id)?.path;
  }

  /** Where what a file held is by now, which was compressed or copied, and is gone itself. */
  async #wherePacked(last: LogFile | Packed): Promise<string | undefined> {
    if (!(last instanceof LogFile)) return undefined;
    const found = await this.find(last.end, last.name, undefined, true);
    found?.file.close();
    return found?.path;
  }

  /** What is under a path, from its start, or from behind what is there. */
  open(path: string, atEnd = false): LogFile {
    return LogFile.open(path, target(path), this.bytesMax, atEnd);
  }

  /** Whether a file is the one under a path. Without inodes what it holds has to tell. */
  isUnder(path: string, last: LogFile | Packed): boolean {
    const id = idOf(fileAt(path));
    if (id !== "" || !(last instanceof LogFile)) return id === last.id;
    const fd = openFile(path);
    const { position } = last;
    // One that was cut is the same one, too.
    try {
      return position.offset === 0 || holds(fd, position) || !holds(last.fd, position);
    } finally {
      closeSync(fd);
    }
  }

  tellFound(path: string, at: string, { offset, name = path }: Position): void {
    const leads = target(path);
    this.report.note(messages.found(path, at === leads ? path : at, offset));
    if (leads !== path && leads !== name) this.report.warn(messages.turned(path, name, leads));
  }

  tellLoss(path: string, { offset, inode }: Position): void {
    const isSame = String(fileAt(path).ino) === inode;
    this.report.warn(isSame ? messages.cut(path, offset) : messages.another(path, offset));
    const beside = this.#beside(path);
    if (beside.length > 0) this.report.warn(messages.beside(beside));
  }

  /** Names beside a path that look like its generations. */
  #beside(path: string): string[] {
    const base = basename(path);
    return entriesOf(dirname(path)).flatMap(({ name }) => (schemeOf(base, name) === undefined ? [] : [name]));
  }

  /**
   * Generations that were written after the newest file that can be found of several, in order and open, except those that
   * are known.
   */
  async after(newest: readonly (LogFile | Packed)[], isKnown: (id: string) => boolean): Promise<(LogFile | Packed)[]> {
    const [last, ...older] = newest;
    if (last === undefined) return [];
    const home = last.name;
    const where = this.whereIs(last.id, home) ?? (await this.#wherePacked(last));
    const names = this.#behind(home, where, isKnown);
    if (names === undefined) return this.after(older, isKnown);
    return names.flatMap((entry): (LogFile | Packed)[] => {
      try {
        const packing = packingOf(entry.name);
        if (packing === undefined) return [LogFile.open(entry.path, home, this.bytesMax)];
        if (unpacks(packing)) return [new Packed(openFile(entry.path), { ...entry, home })];
        this.report.warn(messages.cannotUnpack(entry.path, packing));
      } catch (error) {
        this.report.warn(`${unreadable(entry.path, error).message}; its lines are missing`);
      }
      return [];
    });
  }

  /** Whether there are any that `after` would open. */
  hasLater(newest: readonly (LogFile | Packed)[], isKnown: (id: string) => boolean): boolean {
    for (const { id, name } of newest) {
      const where = this.whereIs(id, name);
      // It was packed, or is gone: `after` looks for what it held.
      if (where === undefined) return false;
      const names = this.#behind(name, where, isKnown);
      if (names !== undefined) return names.length > 0;
    }
    return false;
  }

  /** Generations behind the one that is found there, but those that are known; undefined where nothing tells. */
  #behind(home: string, where: string | undefined, isKnown: (id: string) => boolean): Entry[] | undefined {
    const entries = entriesOf(dirname(home));
    const own = entries.find(({ path }) => path === where);
    // Under the path's own name nothing tells what came after.
    if (own === undefined || own.name === basename(home)) return undefined;
    return later(basename(home), own, entries).filter(({ stat }) => !isKnown(idOf(stat)));
  }

  /** Unpacks a generation when its turn has come. */
  async begin(next: LogFile | Packed): Promise<LogFile | undefined> {
    if (next instanceof LogFile) return next;
    const { path, name } = next.entry;
    try {
      const fd = await unpack(next.fd, packingOf(name)!, this.folder, () => true);
      if (fd !== undefined) return new LogFile(fd, next.name, new Splitter(this.bytesMax), next.id, true);
    } catch (error) {
      this.report.warn(`${unreadable(path, error).message}; its lines are missing`);
    } finally {
      next.close();
    }
    return undefined;
  }
}
