/**
 * What a dump that is not whole yet is of, beside its file, which does not say where it was taken: whoever goes on must find
 * the same service, the same namespace, and the same stream. It goes when the dump is whole.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import type { StreamDump } from "../../../schemas/dump.ts";
import type { OutlineState } from "../../archive/dump-told.ts";
import { MillraceError } from "../../client/index.ts";
import { replace } from "../files.ts";
import { counted, Usage } from "../output.ts";
import { jsonIn } from "./pages.ts";
import { type Remote, sinceOf } from "./remote.ts";

export interface Begun {
  /** What was asked for: a namespace, or namespace/stream. */
  readonly what: string;
  /** Where, for people. */
  readonly url: string;
  /** Which stream of its name the last one is: its namespace's time, its log, its restore. */
  readonly origin: string | undefined;
}

const besideOf = (path: string): string => `${path}.millrace-dump`;

/** Where there is no room beside it, as of a device, it can be gone on with as a file of an older release can. */
export function note(path: string, begun: Begun): void {
  try {
    replace(besideOf(path), new TextEncoder().encode(`${JSON.stringify(begun)}\n`));
  } catch {
    forget(path);
  }
}

export const forget = (path: string): void => rmSync(besideOf(path), { force: true });

/** What is noted; undefined where nothing is, as an older release noted nothing. */
export function noted(path: string): Begun | undefined {
  const beside = besideOf(path);
  if (!existsSync(beside)) return undefined;
  try {
    const { what, url, origin } = JSON.parse(readFileSync(beside, "utf8")) as Record<keyof Begun, unknown>;
    const isWhole = typeof what === "string" && typeof url === "string" && typeof (origin ?? "") === "string";
    if (isWhole) return { what, url, origin: origin as string | undefined };
  } catch {
    // No JSON at all.
  }
  throw new Usage(
    `${beside} is not what a dump has written: put it back as it was; or remove it, and ${path}, and begin anew`,
  );
}

/** Refuses to go on with a dump of something else. */
export async function refuseOther(
  path: string,
  { namespace, stream, totals, ended }: OutlineState,
  remote: Remote,
  ns: string,
  only: string | undefined,
  known: Begun | undefined,
): Promise<void> {
  const refuse = (has: string) => {
    const what = only === undefined ? `the namespace '${ns}'` : `the stream '${only}' of '${ns}'`;
    throw new Usage(`${path} is not a dump of ${what}: it has ${has}; give another file`);
  };
  if (namespace !== undefined && namespace !== ns) refuse(`the namespace '${namespace}'`);
  const last = stream?.stream;
  const asked = only === undefined ? ns : `${ns}/${only}`;
  if (known !== undefined && known.what !== asked)
    throw new Usage(
      `${path} was begun as a dump of ${known.what}, not of ${asked}: say the same, or give another file`,
    );
  if (known !== undefined) return;
  if (only !== undefined) {
    // Before its first stream every dump is the same.
    const open = last === undefined && !ended;
    if (!open && (last !== only || totals.streams !== 1))
      refuse(totals.streams === 1 ? `the stream '${last}'` : counted(totals.streams, "stream"));
  } else if (last !== undefined && totals.streams === 1) {
    // A namespace that has one stream is dumped as that stream is: only where there are more can it be told.
    for await (const name of remote.streams())
      if (ended ? name !== last : name < last) refuse(`the stream '${last}' only, and not '${name}'`);
  }
}

/** A stream that the file has, all of it or a part. */
interface Had {
  readonly path: string;
  readonly stream: Pick<StreamDump, "stream" | "logId">;
  /** All of it: it may be gone by now. */
  readonly isWhole: boolean;
}

/**
 * Refuses to go on where what the file has is not of what would follow. Answers which stream of its name the last one is,
 * as far as that is known.
 */
export async function refuseAnother(
  remote: Remote,
  { path, stream: { stream, logId }, isWhole }: Had,
  begun: Begun | undefined,
): Promise<string | undefined> {
  const { url } = remote;
  const from = begun === undefined || begun.url === url ? "" : `, and the dump was begun from ${begun.url}`;
  const anew = `go on where it was begun; or remove ${path}, and begin anew`;
  const refuse = (why: string) => {
    throw new Usage(`${path} cannot be gone on with from ${url}: ${why}${from}; ${anew}`);
  };
  const now = await remote.stream(stream).catch((error) => {
    const isGone = error instanceof MillraceError && /^(stream|namespace)-not-found$/.test(error.code);
    if (!isGone) throw error;
    return undefined;
  });
  const since = sinceOf(begun?.origin);
  // A namespace of that time is the one; that of `default` is the same everywhere.
  const isSame = since !== undefined && since !== "0";
  if (now === undefined) {
    // What is there of the namespace is seen with the next stream.
    if (isWhole && isSame) return undefined;
    return refuse(`its last stream '${stream}' is not there: it was deleted, or this is another service or namespace`);
  }
  const other = sinceOf(now.origin);
  if (since !== undefined && other !== undefined && since !== other)
    return refuse("the namespace was deleted and made anew, or is another service's");
  const isLog = jsonIn<StreamDump>(now.pieces[0].block).logId === logId;
  if (!isLog && !(isWhole && isSame))
    return refuse(
      `its last stream '${stream}' is another there: it was deleted and made anew, or is another service's`,
    );
  const { origin } = begun ?? {};
  const known = isLog && origin?.includes(`-${logId}-`) ? origin : undefined;
  const isOther = known !== undefined && now.origin !== undefined && known !== now.origin;
  if (isOther && !(isWhole && isSame))
    return refuse(`its last stream '${stream}' came out of a restore there: since, or in another service`);
  return known;
}
