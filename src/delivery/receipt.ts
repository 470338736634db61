/**
 * A receipt names one lease: `<partition>.<offset>.<era>.<generation>`, numbers in base 36. The era belongs to the group,
 * and changes with every seek; no two leases of one delivery have the same generation, over restarts too. Opaque to members.
 */
export interface Receipt {
  readonly partition: number;
  readonly offset: number;
  readonly era: number;
  readonly generation: number;
}

const base = 36;
const parts = 4;
const charsMax = 48;

export const writeReceipt = (partition: number, offset: number, era: number, generation: number): string =>
  `${partition.toString(base)}.${offset.toString(base)}.${era.toString(base)}.${generation.toString(base)}`;

/** Undefined where the text is no receipt. Read by hand: every ack of a large batch passes here. */
export function readReceipt(text: string): Receipt | undefined {
  if (text.length > charsMax) return undefined;
  const numbers: number[] = [];
  let value = 0;
  let digits = 0;
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? dot : text.charCodeAt(at);
    if (code === dot) {
      if (digits === 0 || value > Number.MAX_SAFE_INTEGER) return undefined;
      numbers.push(value);
      value = digits = 0;
      continue;
    }
    const digit = code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 122 ? code - 87 : -1;
    if (digit < 0) return undefined;
    value = value * base + digit;
    digits++;
  }
  if (numbers.length !== parts) return undefined;
  const [partition, offset, era, generation] = numbers;
  return { partition, offset, era, generation };
}

const dot = 46;
