/**
 * Dead letters in pages, by their offsets: letters that die together are written together, and a page that grows too large
 * is cut in two. Pages do not overlap, so that a letter is found by a search over the pages' first offsets.
 *
 *     letters  n=3 first=10: 10 11 17 …    n=1 first=40: 40 41 …    n=7 first=90: 93 …
 */

import { assert } from "../lib/assert.ts";
import { concat, decodeText, encodeText } from "../lib/bytes.ts";
import { countBefore } from "../lib/search.ts";
import { isWaiting, type LetterPageHead, type LetterRow, type Store } from "./store.ts";

const pageLetters = 256;
const pageBytes = 131_072;
/** Pages in memory; those that changed are written when there are more. */
const pagesMax = 16;

/** A letter's text without its body, and how long that is. */
type Kept = Omit<LetterRow, "body"> & { readonly length: number };

interface Page {
  readonly n: number;
  /** In the order of their offsets. */
  readonly letters: LetterRow[];
  changed: boolean;
}

export class LetterPages {
  /** Of all pages, by their first offset. */
  readonly #heads: LetterPageHead[];
  /** Pages at hand, the one that was used last at the end. */
  readonly #pages = new Map<number, Page>();
  #nextN: number;

  constructor(readonly store: Store) {
    this.#heads = store.letterPages();
    this.#nextN = this.#heads.reduce((next, { n }) => Math.max(next, n + 1), 1);
  }

  get count(): number {
    return this.#heads.reduce((sum, { count }) => sum + count, 0);
  }

  /** Something is yet to be written. */
  get changed(): boolean {
    for (const page of this.#pages.values()) if (page.changed) return true;
    return false;
  }

  get(offset: number): LetterRow | undefined {
    const head = this.#headAt(offset);
    return head === undefined ? undefined : find(this.#load(head).letters, offset);
  }

  /**
   * Letters behind an offset, in order; all of them, or those of pages that `wanted` picks. They may be changed and dropped
   * meanwhile: what is yielded is as its page was when it was come to.
   */
  *after(offset: number, wanted: (head: LetterPageHead) => boolean = () => true): Generator<LetterRow> {
    for (let last = offset, at = Math.max(0, this.#placeOf(offset)); at < this.#heads.length; ) {
      const head = this.#heads[at];
      const some = wanted(head) ? this.#load(head).letters.filter((letter) => letter.offset > last) : [];
      yield* some;
      if (some.length === 0) at++;
      else {
        last = some[some.length - 1].offset;
        at = Math.max(0, this.#placeOf(last));
      }
    }
  }

  put(letter: LetterRow): void {
    const head = this.#headAt(letter.offset) ?? this.#heads[0] ?? this.#newHead(0, letter.offset);
    const page = this.#load(head);
    const at = placeIn(page.letters, letter.offset);
    if (page.letters[at]?.offset === letter.offset) page.letters[at] = letter;
    else page.letters.splice(at, 0, letter);
    this.#change(head, page);
    if (page.letters.length > pageLetters || (page.letters.length > 1 && bytesOf(page.letters) > pageBytes)) {
      this.#cut(head, page);
    }
  }

  /** False where there is none. */
  drop(offset: number): boolean {
    const head = this.#headAt(offset);
    const page = head === undefined ? undefined : this.#load(head);
    const at = page === undefined ? -1 : page.letters.findIndex((letter) => letter.offset === offset);
    if (head === undefined || page === undefined || at < 0) return false;
    page.letters.splice(at, 1);
    this.#change(head, page);
    return true;
  }

  /** Writes what changed. */
  flush(): void {
    for (const page of this.#pages.values()) this.#write(page);
  }

  /** Writes what changed, and keeps none in memory. */
  release(): void {
    this.flush();
    this.#pages.clear();
  }

  #write(page: Page): void {
    if (!page.changed) return;
    page.changed = false;
    const head = this.#heads.find(({ n }) => n === page.n);
    if (head === undefined || head.count === 0) this.store.dropLetterPage(page.n);
    else this.store.setLetterPage(head, encodePage(page.letters));
  }

  /** Letters that are being redriven. */
  get redriven(): number {
    return this.#heads.reduce((sum, { redriven }) => sum + redriven, 0);
  }

  #load(head: LetterPageHead): Page {
    let page = this.#pages.get(head.n);
    if (page === undefined) {
      const body = this.store.letterPage(head.n);
      page = { n: head.n, letters: body === undefined ? [] : decodePage(body), changed: false };
    } else this.#pages.delete(head.n);
    this.#pages.set(head.n, page);
    for (const old of this.#pages.values()) {
      if (this.#pages.size <= pagesMax) break;
      this.#write(old);
      this.#pages.delete(old.n);
    }
    return page;
  }

  #change(head: LetterPageHead, page: Page): void {
    page.changed = true;
    head.count = page.letters.length;
    head.forward = page.letters.filter(({ forward }) => isWaiting(forward)).length;
    head.redriven = page.letters.filter(({ state }) => state === "redriven").length;
    if (page.letters.length > 0) head.first = page.letters[0].offset;
    else this.#heads.splice(this.#heads.indexOf(head), 1);
  }

  /** The upper half goes into a page of its own; letters mostly die in order, and then the last one fills up. */
  #cut(head: LetterPageHead, page: Page): void {
    const { letters } = page;
    const last = this.#heads[this.#heads.length - 1] === head;
    const at = last ? letters.length - 1 : Math.ceil(letters.length / 2);
    const upper = letters.splice(at);
    this.#change(head, page);
    const next = this.#newHead(this.#heads.indexOf(head) + 1, upper[0].offset);
    const half = this.#load(next);
    half.letters.push(...upper);
    this.#change(next, half);
  }

  #newHead(at: number, first: number): LetterPageHead {
    const head = { n: this.#nextN++, first, count: 0, forward: 0, redriven: 0 };
    this.#heads.splice(at, 0, head);
    return head;
  }

  #headAt(offset: number): LetterPageHead | undefined {
    return this.#heads[this.#placeOf(offset)];
  }

  /** Place of the last page that begins at or before an offset; -1 where none does. */
  #placeOf(offset: number): number {
    return countBefore(this.#heads, ({ first }) => first <= offset) - 1;
  }

  check(): void {
    let before = -1;
    for (const head of this.#heads) {
      const { letters } = this.#load(head);
      assert(letters.length === head.count && letters[0]?.offset === head.first, "a page's head tells what it holds");
      for (const { offset } of letters) {
        assert(offset > before, "letters are in the order of their offsets");
        before = offset;
      }
    }
  }
}

function placeIn(letters: readonly LetterRow[], offset: number): number {
  let at = letters.length;
  while (at > 0 && letters[at - 1].offset >= offset) at--;
  return at;
}

const find = (letters: readonly LetterRow[], offset: number) => letters.find((letter) => letter.offset === offset);

const bytesOf = (letters: readonly LetterRow[]): number =>
  letters.reduce((sum, { body, tries, reason }) => sum + body.length + tries.length + reason.length + 200, 0);

/** The length of the texts (u32), the texts as JSON, the bodies one after another. */
function encodePage(letters: readonly LetterRow[]): Uint8Array {
  const kept = letters.map(({ body, ...letter }): Kept => ({ ...letter, length: body.length }));
  const text = encodeText(JSON.stringify(kept));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length, true);
  return concat([length, text, ...letters.map(({ body }) => body)]);
}

function decodePage(bytes: Uint8Array): LetterRow[] {
  const size = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
  let at = 4 + size;
  return (JSON.parse(decodeText(bytes, 4, at)) as Kept[]).map(({ length, ...letter }) => {
    const body = bytes.subarray(at, at + length);
    at += length;
    return { ...letter, body };
  });
}
