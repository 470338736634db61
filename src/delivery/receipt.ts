/**
 * A receipt names one lease: `<partition>.<offset>.<era>.<generation>`, numbers in base 36. The era changes with every
 * seek; no two leases of one delivery have the same generation, over restarts too. Opaque to members.
 */
export interface Receipt {
  readonly partition: number;
  readonly offset: number;
  readonly era: number;
  readonly generation: number;
}

export const writeReceipt = (partition: number, offset: number, era: number, generation: number): string =>
  `${partition.toString(36)}.${offset.toString(36)}.${era.toString(36)}.${generation.toString(36)}`;

/** Undefined where the text is no receipt. */
export function readReceipt(text: string): Receipt | undefined {
  if (!/^[0-9a-z]{1,7}(\.[0-9a-z]{1,11}){3}$/.test(text)) return undefined;
  const [partition, offset, era, generation] = text.split(".").map((number) => Number.parseInt(number, 36));
  if (![offset, era, generation].every(Number.isSafeInteger)) return undefined;
  return { partition, offset, era, generation };
}
