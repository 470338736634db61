/** What is kept between two runs of a command belongs to one stream of one namespace. */

interface Whose {
  readonly namespace?: string | undefined;
  readonly stream: string;
}

/** Whose it is, and what to do, if it is another stream's. What older releases wrote does not say of which namespace it is. */
export function foreign(kept: Whose, asked: Required<Whose>): string | undefined {
  const namespace = kept.namespace ?? asked.namespace;
  if (kept.stream === asked.stream && namespace === asked.namespace) return undefined;
  const [theirs, ours] = [kept, asked].map(({ stream }) => `'${stream}'`);
  if (namespace === asked.namespace) return `belongs to the stream ${theirs}; give another --state for ${ours}`;
  return (
    `belongs to the stream ${theirs} of the namespace '${namespace}'; ` +
    `give another --state for ${ours} of '${asked.namespace}'`
  );
}

/** What is kept does not say which log it is of. */
export const lacksLog = (kept: unknown): kept is { readonly logId?: null | "" } =>
  typeof kept === "object" && kept !== null && ((kept as { logId?: unknown }).logId ?? "") === "";

/** That it does not, and what to do. `asked`: the stream that it names, as it is now. */
export function logless(path: string, asked: { readonly stream: string; readonly logId: string } | undefined): string {
  const says = `${path} does not say which log it is of (logId): an older release wrote it, or it was edited; put it back as it was`;
  if (asked === undefined) return says;
  return `${says}; or, where the stream '${asked.stream}' was not made anew since, write "logId":"${asked.logId}" into it`;
}
