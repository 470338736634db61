/** `npm run soak:tests` gives some tests more to do, or all that they have: what of them is long by nature. */
export const long = process.env.MILLRACE_LONG !== undefined;

/** How often something is done. */
export const times = (usually: number, whole: number): number => (long ? whole : usually);
