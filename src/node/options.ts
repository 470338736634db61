/** Values of options, each checked by its name before anything is written. Undefined is not given. */

/** Throws where one is no whole number from `least` on; `endless` ones may be infinite. */
export function demandWhole(values: Readonly<Record<string, unknown>>, least: number, endless = false): void {
  for (const [name, value] of Object.entries(values)) {
    const isWhole = Number.isSafeInteger(value) || (endless && value === Number.POSITIVE_INFINITY);
    if (value !== undefined && !(isWhole && (value as number) >= least))
      throw new TypeError(`${name}: must be a whole number from ${least} on`);
  }
}

export function demandFunctions(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values))
    if (value !== undefined && typeof value !== "function") throw new TypeError(`${name}: must be a function`);
}
