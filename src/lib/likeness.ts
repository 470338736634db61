/** How like two words are: what was meant by one that is not known. */

/** Letters that are to be put in, left out, changed, or taken from each other's place; `max + 1` for any more than `max`. */
export function distance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2] + 1);
      next.push(least);
    }
    [before, row] = [row, next];
  }
  return Math.min(row[b.length], max + 1);
}

/** A slip of the pen: a letter in three at most. */
export const isLike = (word: string, known: string): boolean => {
  const max = Math.max(1, Math.floor(known.length / 3));
  return word.length <= 2 * known.length && distance(word.toLowerCase(), known, max) <= max;
};
