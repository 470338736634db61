/**
 * How far an import has got: which batches are known to be in the stream, and where in the input they end. It is written
 * before and after each batch, so that it lags behind the stream by one batch at most: that one, made again from the place
 * and as long as it says, has the number under which the service knows it. If it is lost altogether, the import of a file that has not been
 * touched begins with the same name and the same batches, and the service knows those too.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { lock, replace } from "../files.ts";
import { foreign, lacksLog, logless } from "../foreign.ts";
import { Usage } from "../output.ts";
import { type Counts, none, type Tails } from "./counts.ts";
import type { Mark, Marked } from "./input.ts";
import type { Place } from "./row.ts";

/** What makes an import itself. */
export interface Terms {
  /** An older release wrote none. */
  readonly namespace?: string;
  readonly stream: string;
  readonly logId: string;
  /** How rows become records, and batches. */
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Saved extends Terms {
  readonly producer: string;
  /** Of the next batch. */
  readonly sequence: number;
  /** When the import began, in ms: the time of records that have none, where the stream wants one. */
  readonly startedAt: number;
  /** Bytes of a batch. */
  readonly bytesMax: number;
  readonly place: Place;
  readonly head: Mark;
  readonly before: Mark;
  readonly counts: Counts;
  /** Absent in what was begun before they were kept, and before they are known. */
  readonly tails?: Tails;
  /** Names of CSV's columns, which stand only at the start. */
  readonly columns?: readonly string[];
  /** Records of the batch that is being sent. Where it ends, the input may go on when it is sent again. */
  readonly sending?: number;
  /** Everything that was there has been imported. */
  readonly done: boolean;
}

type Fresh = Saved & { readonly namespace: string };

/** A producer's name that is this import's, and nobody else's. */
export function producerOf(...parts: readonly unknown[]): string {
  const hash = createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
  return `import-${hash.slice(0, 32)}`;
}

/** Where the progress of a file's import lies, if nobody says: by the stream and its log, as a file may go into several. */
export function pathFor(path: string, stream: string, logId: string): string {
  const own = `${path}.${stream}-${logId}.millrace-import`;
  const nameless = `${path}.${stream}-undefined.millrace-import`;
  if (!existsSync(own) && existsSync(nameless)) {
    throw new Usage(
      `${nameless} is of an import that an older release began without knowing the log: what it says is in '${stream}' would be ` +
        "imported again; remove it to import all anew, or give another --state",
    );
  }
  // What was begun when all streams had one name for it, goes on with that.
  const old = `${path}.millrace-import`;
  return !existsSync(own) && existsSync(old) && load(old, { stream, logId })?.logId === logId ? old : own;
}

export class State {
  private constructor(
    readonly path: string | undefined,
    public saved: Saved,
    /** It goes on with what another process began. */
    readonly resumed: boolean,
  ) {}

  /** Makes progress one process's, until what it returns is called. Before anything of the input is read: it may grow. */
  static lock(path: string | undefined): () => void {
    if (path === undefined) return () => {};
    try {
      return lock(`${path}.lock`, (pid) => `process ${pid} imports with ${path}; give another --state`);
    } catch (error) {
      if (error instanceof Usage) throw error;
      throw new Usage(`${(error as Error).message}; say with --state where the import's progress may be written`);
    }
  }

  /** Without a path nothing is kept. Throws where the file at the path is another import's. */
  static open(path: string | undefined, fresh: Fresh): State {
    if (path === undefined) return new State(undefined, fresh, false);
    const saved = load(path, fresh);
    if (saved === undefined) return new State(path, fresh, false);
    check(path, saved, fresh);
    return new State(path, { ...saved, namespace: fresh.namespace }, true);
  }

  /** Where to go on, if it was begun. */
  get marked(): Marked | undefined {
    const { place, head, before } = this.saved;
    return this.resumed ? { place, head, before } : undefined;
  }

  save(change: Partial<Saved>): void {
    this.saved = { ...this.saved, ...change };
    if (this.path !== undefined) replace(this.path, new TextEncoder().encode(`${JSON.stringify(this.saved)}\n`));
  }
}

function check(path: string, saved: Saved, { namespace, stream, logId, options }: Fresh): void {
  const others = foreign(saved, { namespace, stream });
  if (others !== undefined) throw new Usage(`${path} ${others}`);
  if (saved.logId !== logId) {
    throw new Usage(
      `the stream '${stream}' is another log than the one that ${path} is of: it was deleted and made anew, or it is another ` +
        `service's${saved.namespace === undefined ? ", or namespace's" : ""}: ${saved.counts.imported} records went to the one ` +
        `before; to import all of them here, remove ${path}, or give another --state`,
    );
  }
  const names = new Set([...Object.keys(options), ...Object.keys(saved.options)]);
  const other = [...names].find((name) => JSON.stringify(options[name]) !== JSON.stringify(saved.options[name]));
  if (other === "changes") {
    throw new Usage(
      "the import was begun by another version, which gave changes other ids: let that one finish it; or import all of it " +
        `into a stream that has none of it yet, with another --state than ${path}`,
    );
  }
  if (other !== undefined) {
    const before = JSON.stringify(saved.options[other]) ?? "none";
    const option = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new Usage(`the import was begun with another --${option}: ${before}; give the same, or another --state`);
  }
}

/** Throws `Usage` where it is no file, or may not be read. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "EISDIR" ? "is a folder" : `cannot be read: ${error}`;
    throw new Usage(`--state: ${path} ${why}; name a file that is the import's own`);
  }
}

function load(path: string, asked: Pick<Terms, "stream" | "logId">): Saved | undefined {
  if (!existsSync(path)) return undefined;
  const text = textOf(path);
  let nameless: string | undefined;
  try {
    const saved: unknown = JSON.parse(text);
    if (isSaved(saved)) return saved;
    if (lacksLog(saved) && isSaved({ ...saved, logId: "none" }))
      nameless = logless(path, (saved as Terms & object).stream === asked.stream ? asked : undefined);
  } catch {
    // No JSON at all, as an empty file.
  }
  if (nameless !== undefined)
    throw new Usage(`${nameless}; or remove it, to import all of the file anew, what was imported before too`);
  throw new Usage(
    `${path} is not what an import has written: give it back as it was; or remove it, to begin anew. ` +
      "What was imported of a file that has not been touched since, is not imported again",
  );
}

const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isMark = (value: unknown) => isObject(value) && isWhole(value.bytes) && typeof value.hash === "string";
const areWhole = (value: unknown, names?: readonly string[]) =>
  isObject(value) && (names ?? Object.keys(value)).every((name) => isWhole(value[name]));

/** Whether it has every field that is worked with. */
function isSaved(value: unknown): value is Saved {
  if (!isObject(value)) return false;
  const { namespace = "", stream, logId, producer, sequence, startedAt, bytesMax, columns, tails, sending } = value;
  return (
    [namespace, stream, logId, producer].every((one) => typeof one === "string") &&
    !lacksLog(value) &&
    [sequence, startedAt, bytesMax].every(isWhole) &&
    isObject(value.options) &&
    areWhole(value.place, ["bytes", "lines"]) &&
    [value.head, value.before].every(isMark) &&
    areWhole(value.counts, Object.keys(none)) &&
    (columns === undefined || (Array.isArray(columns) && columns.every((one) => typeof one === "string"))) &&
    (tails === undefined || areWhole(tails)) &&
    (sending === undefined || isWhole(sending)) &&
    typeof value.done === "boolean"
  );
}
