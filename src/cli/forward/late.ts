/** Files that were renamed and have been read, whose writers may not know it yet: they are looked at for a while. */
import type { Position } from "./identity.ts";
import type { LogFile } from "./log-file.ts";
import { filesOfOthers } from "./owned.ts";
import type { Search } from "./search.ts";
import type { Piece } from "./split.ts";

/** After the last line of one. */
const lateMs = 300_000;
const filesMax = 16;
const lookMs = 1_000;

export class LateFiles {
  #files: LogFile[] = [];
  /** Those that are to be read. */
  #stirred: LogFile[] = [];
  #lookedAt = 0;

  get all(): readonly LogFile[] {
    return this.#files;
  }

  get newestFirst(): LogFile[] {
    return this.#files.toReversed();
  }

  /** Lines of them are to be read before others. */
  get isBusy(): boolean {
    return this.#stirred.length > 0;
  }

  /** Opens those of a path that were late before, but the current one, which is closed where that fails. */
  async begin(search: Search, path: string, saved: readonly Position[], current: LogFile | undefined): Promise<void> {
    try {
      for (const position of saved.slice(0, -1)) {
        const late = await search.find(position, path, filesOfOthers(position, saved, path), true);
        if (late === undefined) continue;
        const isOther = late.path === path && late.file.id !== `${position.dev}:${position.inode}`;
        if (isOther || late.file.id === current?.id) late.file.close();
        else this.add(late.file);
      }
    } catch (error) {
      current?.close();
      throw error;
    }
  }

  /** The one of an id. */
  of(id: string | undefined): LogFile | undefined {
    return this.#files.find((file) => file.id !== "" && file.id === id);
  }

  add(file: LogFile): void {
    file.ending = false;
    this.#files.push(file);
  }

  /** Gives one back: it is not late any more. */
  take(file: LogFile | undefined): LogFile | undefined {
    if (file !== undefined) this.#drop(file);
    return file;
  }

  /** As `LogFile`'s; busy where there is a piece that has to wait for room. */
  next(room: number): Piece | undefined {
    for (; this.#stirred.length > 0; this.#stirred.shift()) {
      const piece = this.#stirred[0].next(room);
      if (piece !== undefined || this.#stirred[0].lines.waits) return piece;
    }
    return undefined;
  }

  /** `keepLast`: what comes after the last one is not known yet, or has no other proof of where it belongs. */
  look(now: number, keepLast: boolean): void {
    if (now - this.#lookedAt < lookMs) return;
    this.#lookedAt = now;
    const tooMany = this.#files.length - filesMax;
    // What is left of a line has to be given out before it is closed.
    for (const [index, file] of this.#files.entries()) {
      file.ending = file.cut || index < tooMany || now - file.grewAt > lateMs;
    }
    // One of which nothing was read proves nothing of what comes after it.
    const proof = this.#files.findLast(({ lines }) => lines.at > 0);
    const kept = keepLast ? [proof, this.#files.at(-1)] : [];
    // The oldest first: what came after one that is known, and is not known itself, would be read again.
    for (const file of [...this.#files]) {
      if (!file.ending || !file.isRead) break;
      if (kept.includes(file)) continue;
      this.#drop(file);
      file.close();
    }
    this.#stirred = [...this.#files];
  }

  close(): void {
    for (const file of this.#files) file.close();
    [this.#files, this.#stirred] = [[], []];
  }

  #drop(file: LogFile): void {
    this.#files = this.#files.filter((one) => one !== file);
    this.#stirred = this.#stirred.filter((one) => one !== file);
  }
}
