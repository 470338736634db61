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
