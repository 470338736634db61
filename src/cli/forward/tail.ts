/**
 * The lines of one path as its file grows, over rotations. Files that have stood under the path are held open and are
 * read one after another: a writer's last lines reach a file that was renamed, and nothing else comes between.
 *
 *     late      were renamed, and have been read: looked at for a while still
 *     current   is read
 *     queue     came after it
 */
import { Between } from "./between.ts";
import { awayFrom, idAt, missingAt, type Position, problemAt, type Unreadable, unreadable } from "./identity.ts";
import { LateFiles } from "./late.ts";
import { LogFile } from "./log-file.ts";
import * as messages from "./messages.ts";
import { filesOfOthers } from "./owned.ts";
import type { Report } from "./report.ts";
import { idsOf, type Packed, type Search } from "./search.ts";
import type { Piece } from "./split.ts";
import { Stirred, unlessStirred } from "./stirred.ts";

/** What cannot be read is tried again. */
const againMs = 1_000;

export interface TailOptions {
  /** One name, however it was typed. */
  readonly path: string;
  /** Where reading ended: in late files, and last in the one that was current. */
  readonly saved: readonly Position[];
  /** A file that was never read begins at its end. */
  readonly fromEnd: boolean;
  readonly once: boolean;
}

export class Tail {
  readonly path: string;
  /** Why it cannot be read now. */
  problem: Unreadable | undefined;
  #saved: readonly Position[];
  #fromEnd: boolean;
  #isOpen = false;
  #current: LogFile | undefined;
  #queue: (LogFile | Packed)[] = [];
  readonly #late = new LateFiles();
  readonly #between: Between;
  /** It is known that nothing stood between the current file and the one before. */
  #isNext = false;
  #rotatedAt = 0;
  #againAt = 0;

  constructor(
    readonly options: TailOptions,
    readonly search: Search,
    readonly report: Report,
    /** Files that stand under other paths that are followed. */
    readonly isOthers: (id: string) => boolean,
  ) {
    this.path = options.path;
    this.#between = new Between(search, this.#late, (id) => this.#isOwn(id));
    [this.#saved, this.#fromEnd] = [options.saved, options.fromEnd];
  }

  /** Behind what was given out. */
  get positions(): readonly Position[] {
    if (!this.#isOpen) return this.#saved;
    // A link that was turned back leads to a file that has been read up to some place.
    const turned = this.#queue.filter((file) => file instanceof LogFile && file.lines.at > 0) as LogFile[];
    const current = this.#current === undefined ? [] : [this.#current];
    return [...this.#late.all, ...turned, ...current].map(({ position }) => position);
  }

  /** Bytes that have not been given out, as far as anybody knows. */
  get behind(): number {
    return this.#files.reduce((sum, file) => sum + (file instanceof LogFile ? file.behind : 0), 0);
  }

  /** There is nothing more by now. */
  get isDone(): boolean {
    if (this.#queue.length > 0 || this.#late.isBusy) return false;
    return this.#current === undefined || (this.#current.isDry && !this.#current.cut);
  }

  /** The next piece of no more than `room` bytes; none where there is nothing new, or where the next one is longer. */
  next(room: number): Piece | undefined {
    try {
      const piece = this.#late.next(room);
      if (piece !== undefined || this.#late.isBusy || !this.#isNext) return piece;
      return this.#current && this.#nextOf(this.#current, room);
    } catch (error) {
      // Its place is looked for anew.
      this.close();
      this.#tell(error, Date.now());
      return undefined;
    }
  }

  /** What a file holds at first is the next thing only if no rotation came between the last look and that. */
  #nextOf(current: LogFile, room: number): Piece | undefined {
    const isFirst = current.lines.readAt === 0;
    const piece = current.next(room);
    if (!isFirst || !this.#between.hasChanged()) return piece;
    [this.#current, this.#isNext] = [current.again(), false];
    return undefined;
  }

  /** Looks at what has become of the path and its files. To be called when `next` has given nothing, and now and then. */
  async look(now: number): Promise<void> {
    if (now < this.#againAt) return;
    await unlessStirred(() => this.#look(now));
  }

  async #look(now: number): Promise<void> {
    try {
      if (!this.#isOpen) await this.#begin();
      const nuls = this.#current?.lines.takeNuls() ?? 0;
      if (nuls > 0) this.report.warn(messages.nuls(this.path, nuls));
      await this.#mendCut();
      const problem = await this.#arrivals(now);
      await this.#lookBetween(now);
      await this.#moveOn(now);
      await this.#lookBetween(now);
      this.#late.look(now, !this.#isNext || this.#current?.lines.at === 0);
      if (problem !== undefined) throw problem;
      this.problem = undefined;
      this.report.passed(this.path);
    } catch (error) {
      if (error instanceof Stirred) throw error;
      this.#tell(error, now);
    }
  }

  /** From now on, pieces are no longer than this. */
  limit(bytesMax: number): void {
    this.search.bytesMax = bytesMax;
    for (const file of this.#files) if (file instanceof LogFile) file.lines.bytesMax = bytesMax;
  }

  close(): void {
    this.#saved = this.positions;
    this.#isOpen = false;
    this.#late.close();
    for (const file of this.#queue) file.close();
    this.#current?.close();
    [this.#queue, this.#current] = [[], undefined];
  }

  /** The newest first. */
  get #files(): (LogFile | Packed)[] {
    return [...this.#late.all, ...(this.#current === undefined ? [] : [this.#current]), ...this.#queue].reverse();
  }

  get #last(): LogFile | Packed | undefined {
    return this.#queue.at(-1) ?? this.#current;
  }

  #tell(error: unknown, now: number): void {
    this.problem = unreadable(this.path, error);
    this.#againAt = this.options.once ? 0 : now + againMs;
    // Between two files of a rotation there is none.
    if (this.problem.missing && this.#current !== undefined && !this.options.once) return;
    this.report.once(this.path, `${this.problem.message}${this.options.once ? "" : "; it is tried again each second"}`);
  }

  /** Finds the places where reading ended before. */
  async #begin(): Promise<void> {
    const last = this.#saved.at(-1);
    if (last === undefined) return this.#beginNew();
    const missing = missingAt(this.path);
    this.search.contents.expect(this.#saved.map(({ offset }) => offset));
    this.#late.close();
    this.#isNext = false;
    const found = await this.search.find(last, this.path, filesOfOthers(last, this.#saved, this.path));
    // What is away may come back as it was.
    if (found === undefined && missing !== undefined) throw awayFrom(this.path, last) ?? missing;
    await this.#late.begin(this.search, this.path, this.#saved, found?.file);
    // Of one that was not begun nothing is missed: it comes after the one before, whatever has become of it.
    const before = found === undefined && last.offset === 0 ? this.#late.all.at(-1) : undefined;
    this.#current = found?.file ?? this.#late.take(before) ?? this.search.open(this.path);
    this.#isOpen = true;
    if (found !== undefined) this.search.tellFound(this.path, found.path, last);
    else if (before === undefined) this.search.tellLoss(this.path, last);
  }

  #beginNew(): void {
    const problem = problemAt(this.path);
    // What comes later under the path is new from its start.
    if (problem?.missing) this.#fromEnd = false;
    if (problem !== undefined) throw problem;
    this.#current = this.search.open(this.path, this.#fromEnd);
    this.#fromEnd = false;
    this.#isOpen = true;
    this.report.note(messages.begun(this.path, this.#current.lines.at));
  }

  /** A file that was cut goes on at its start; what it held before may be read on from a copy. */
  async #mendCut(): Promise<void> {
    const cut = this.#current;
    if (cut === undefined || !cut.cut || (cut.ending && !cut.isDry)) return;
    const place = cut.position;
    const others = idsOf(this.#files);
    const copy = cut.ending ? undefined : await this.search.find(cut.proof, this.path, others, place.offset === 0);
    if (copy !== undefined) {
      this.report.note(messages.copied(this.path, copy.path, place.offset));
      this.#queue.unshift(cut.again());
      [this.#current, this.#isNext] = [copy.file.from(cut), this.#isNext && place.offset > 0];
      this.#current.finished = true;
      return;
    }
    // What was read of a line is all that is left of it.
    cut.ending = true;
    if (!cut.isDry) return;
    this.report.warn(messages.cut(this.path, place.offset));
    [this.#current, this.#isNext] = [cut.again(), false];
  }

  /** Opens what has come under the path since the last look, and between. Returns what hinders it. */
  async #arrivals(now: number): Promise<Unreadable | undefined> {
    const last = this.#last;
    const problem = problemAt(this.path);
    const isHere = problem === undefined && last !== undefined && this.search.isUnder(this.path, last);
    const isAway = problem && this.problem?.missing && !this.search.isStirred(last?.name ?? this.path, now);
    if (problem?.missing === false || isHere || isAway) return problem;
    try {
      const path = problem === undefined ? this.path : undefined;
      const turned = path === undefined ? undefined : this.#late.of(idAt(path));
      const files = await this.search.following(path, turned, this.#files, (id) => this.#isOwn(id));
      this.#late.take(turned);
      this.#queue.push(...files);
      if (this.#last !== last) this.#rotatedAt = now;
      // Its last lines may have been written since it was read.
      if (this.#last !== last && this.#current !== undefined) this.#current.atEnd = false;
      return problem;
    } catch (error) {
      if (error instanceof Stirred) throw error;
      return unreadable(this.path, error);
    }
  }

  #isOwn(id: string): boolean {
    return id === idAt(this.path) || this.isOthers(id) || this.#files.some((file) => file.id === id);
  }

  /** To the next file, when the one before has been read and its writer has had time to leave it. */
  async #moveOn(now: number): Promise<void> {
    const { once } = this.options;
    await this.#advance();
    for (let current = this.#current; current !== undefined; current = this.#current) {
      if (this.#queue.length === 0) {
        if (!once || !current.atEnd || current.isDry || current.ending) return;
        current.ending = true;
        return this.report.warn(messages.partial(this.path));
      }
      if (current.cut || !current.atEnd) return;
      if (this.#queue.length === 1 && !once && !current.isQuiet(now, this.#rotatedAt)) return;
      const original = current.originalIn(this.#queue[0]);
      if (original !== undefined) {
        this.#queue.shift();
        this.#current = original;
        current.close();
        continue;
      }
      // Nobody is going to end its last line.
      current.ending = true;
      if (!current.isDry) return;
      await this.#leave(current);
    }
  }

  async #leave(current: LogFile): Promise<void> {
    this.report.note(messages.rotated(this.path, this.search.whereIs(current.id, current.name), current.lines.at));
    this.#late.add(current);
    this.#current = undefined;
    await this.#advance();
  }

  async #advance(): Promise<void> {
    while (this.#current === undefined && this.#queue.length > 0) {
      this.#current = await this.search.begin(this.#queue[0]);
      [this.#queue, this.#isNext] = [this.#queue.slice(1), false];
    }
  }

  /** A file of which nothing was read may have been copied and truncated meanwhile, unseen: the copy comes before it. */
  async #lookBetween(now: number): Promise<void> {
    const current = this.#current;
    if (current === undefined || (this.#isNext && current.lines.readAt > 0)) return;
    if (current.lines.readAt === 0 && this.#late.all.length > 0) {
      const between = await this.#between.files(current, now);
      if (between.length > 0) {
        this.#queue.unshift(...between, current);
        this.#current = undefined;
        // The copy may not be whole yet.
        this.#rotatedAt = now;
        await this.#advance();
      } else if (this.#queue.length === 0 && current.behind === 0) {
        current.atEnd = true;
        return;
      }
    }
    this.#isNext = true;
  }
}
