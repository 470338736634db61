/** Finds what was written after a file that was read, whatever has become of their names. */
import { closeSync, fstatSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Candidate, Finder } from "./find.ts";
import { areSame, type Entry, entriesOf, folderChangedAt, later, packingOf, schemeOf } from "./generations.ts";
import {
  fileAt,
  holds,
  idAt,
  idOf,
  openFile,
  openSeen,
  orClosed,
  type Position,
  target,
  unreadable,
} from "./identity.ts";
import { LogFile } from "./log-file.ts";
import * as messages from "./messages.ts";
import { Splitter } from "./split.ts";
import { Stirred } from "./stirred.ts";
import { type Unpacked, unpacks } from "./unpack.ts";

/** Whoever waits for a file looks that often. */
const lookMs = 1_000;

interface Place {
  readonly id: string;
  readonly path: string;
}

/** Generations that were written after a file, and the moment in which they were seen. */
interface Behind {
  readonly entries: readonly Entry[];
  /** Of which nothing tells whether they were. */
  readonly doubtful: readonly Entry[];
  /** The id of what was under the log's own name. */
  readonly under: string | undefined;
  /** All of the log. */
  readonly seen: readonly Entry[];
}

const generationsAmong = (entries: readonly Entry[], home: string): readonly Entry[] =>
  entries.filter(({ name }) => schemeOf(basename(home), name) !== undefined);

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

export class Search extends Finder {
  #stirredAt = 0;
  /** What was said to be in doubt. */
  readonly #doubted = new Set<string>();

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

  #placeOf({ id, name }: LogFile | Packed): Place | undefined {
    const path = this.whereIs(id, name);
    return path === undefined ? undefined : { id, path };
  }

  /** Where a file is by now, or what it held, which was compressed or copied, and is gone itself. */
  async #placeFound(last: LogFile | Packed): Promise<Place | undefined> {
    const place = this.#placeOf(last);
    if (place !== undefined || !(last instanceof LogFile)) return place;
    return this.where(last.end, last.name);
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
    const place = await this.#placeFound(last);
    const behind = place && this.#behind(last.name, place);
    if (behind === undefined) return this.after(older, isKnown);
    return this.#opened(this.#unknown(behind, isKnown), last.name);
  }

  /**
   * What came after several files, in order and open, and last what is under a path, which may be `turned`, where there is a
   * file. Throws `Stirred` where a rotation came in between.
   */
  async following(
    path: string | undefined,
    turned: LogFile | undefined,
    newest: readonly (LogFile | Packed)[],
    isKnown: (id: string) => boolean,
  ): Promise<(LogFile | Packed)[]> {
    const under = path === undefined ? undefined : (turned ?? this.open(path));
    const files: (LogFile | Packed)[] = [];
    try {
      files.push(...(await this.after(newest, (id) => id === under?.id || isKnown(id))));
      // It may have been rotated since it was opened, and others after it: they would stand before it.
      if (path !== undefined && idAt(path) !== under?.id) throw new Stirred(path);
    } catch (error) {
      for (const file of files) file.close();
      if (under !== turned) under?.close();
      throw error;
    }
    return under === undefined ? files : [...files, under];
  }

  /** The same of those before another one, which was taken for the next. */
  async between(
    newest: readonly LogFile[],
    next: LogFile,
    isKnown: (id: string) => boolean,
  ): Promise<(LogFile | Packed)[]> {
    for (const file of newest) {
      const place = await this.#placeFound(file);
      const before = place && this.#before(next, file.name, place, isKnown);
      if (before !== undefined) return this.#opened(before, file.name);
    }
    return [];
  }

  /** The generations of a log as they are called by now: another list where a rotation has come since. */
  generationsOf(home: string): readonly Entry[] {
    return generationsAmong(entriesOf(dirname(home)), home);
  }

  #opened({ entries, seen }: Behind, home: string): (LogFile | Packed)[] {
    const files: (LogFile | Packed)[] = [];
    for (const entry of entries) {
      const packing = packingOf(entry.name);
      try {
        if (packing !== undefined && !unpacks(packing)) this.report.warn(messages.cannotUnpack(entry.path, packing));
        else {
          const fd = openSeen(entry.path, entry.stat);
          files.push(packing === undefined ? LogFile.of(fd, home, this.bytesMax) : new Packed(fd, { ...entry, home }));
        }
      } catch (error) {
        const problem = error instanceof Stirred ? error : unreadable(entry.path, error);
        if (problem instanceof Stirred || problem.passing) {
          for (const file of files) file.close();
          throw problem;
        }
        this.report.warn(`${problem.message}; its lines are missing`);
      }
    }
    // What was opened may be another file under the name and the number of the one that was seen.
    if (entries.length === 0 || areSame(seen, this.generationsOf(home))) return files;
    for (const file of files) file.close();
    throw new Stirred(home);
  }

  #unknown(behind: Behind, isKnown: (id: string) => boolean): Behind {
    const isUnknown = ({ stat }: Entry) => !isKnown(idOf(stat));
    const doubtful = behind.doubtful.filter((one) => isUnknown(one) && !this.#doubted.has(idOf(one.stat)));
    for (const { stat } of doubtful) this.#doubted.add(idOf(stat));
    if (doubtful.length > 0) this.report.warn(messages.doubtful(doubtful.map(({ name }) => name)));
    return { ...behind, entries: behind.entries.filter(isUnknown) };
  }

  /** Generations behind the one at a place, and before another; undefined where nothing tells. */
  #before(next: LogFile, home: string, place: Place, isKnown: (id: string) => boolean): Behind | undefined {
    const behind = this.#behind(home, place);
    if (behind === undefined) return undefined;
    const { entries, under } = behind;
    const at = entries.findIndex(({ stat }) => idOf(stat) === next.id);
    const isNewest = at < 0 && (next.name === home ? under : idAt(next.name)) === next.id;
    // What came before one that is nowhere nothing tells.
    const before = entries.slice(0, isNewest ? entries.length : Math.max(at, 0));
    return this.#unknown({ ...behind, entries: before }, isKnown);
  }

  /** Generations behind the one at a place; undefined where nothing tells. */
  #behind(home: string, { id, path }: Place): Behind | undefined {
    const entries = entriesOf(dirname(home));
    // It may have another name since it was found.
    const own = entries.find((entry) => (id === "" ? entry.path === path : idOf(entry.stat) === id));
    if (own === undefined) throw new Stirred(path);
    // Under the path's own name nothing tells what came after.
    if (own.name === basename(home)) return undefined;
    const under = entries.find(({ name }) => name === basename(home));
    const seen = generationsAmong(entries, home);
    return { ...later(basename(home), own, entries), under: under && idOf(under.stat), seen };
  }

  /** Unpacks a generation when its turn has come. Throws where that is to be tried again. */
  async begin(next: LogFile | Packed): Promise<LogFile | undefined> {
    if (next instanceof LogFile) return next;
    const { path, name } = next.entry;
    try {
      const unpacked = await this.unpacked(next.fd, packingOf(name)!, () => true);
      return unpacked && this.#unpacked(next, unpacked);
    } catch (error) {
      const problem = unreadable(path, error);
      if (problem.passing) throw problem;
      this.report.warn(`${problem.message}; its lines are missing`);
      next.close();
      return undefined;
    }
  }

  #unpacked(next: Packed, unpacked: Unpacked): LogFile {
    return orClosed(unpacked.fd, () => {
      // It may have been written to since it was seen.
      this.tellFault({ ...next.entry, stat: fstatSync(next.fd, { bigint: true }) }, unpacked);
      return new LogFile(unpacked.fd, next.name, new Splitter(this.bytesMax), next.fd);
    });
  }
}
