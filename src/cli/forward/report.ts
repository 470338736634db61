/** What a forwarder says on the standard error: what it follows and from where, what it meets, and how it gets on. */

const minuteMs = 60_000;

/** What has happened since the start. */
export interface Sums {
  /** Lines and pieces that were read, and their bytes. */
  lines: number;
  bytes: number;
}

export class Report {
  /** Of each file, what was said of it: not again before it has passed. */
  readonly #said = new Map<string, string>();
  #at = Date.now();
  #before: Sums = { lines: 0, bytes: 0 };
  #waitingSaid = 0;

  constructor(
    /** Only what needs somebody. */
    readonly quiet: boolean,
    readonly write: (line: string) => void = (line) => console.error(line),
  ) {}

  /** Goes as it should. */
  note(text: string): void {
    if (!this.quiet) this.warn(text);
  }

  /** Something is lost, or cannot be done. */
  warn(text: string): void {
    this.write(`millrace: ${text}`);
  }

  /** As `warn`, once a file and cause. */
  once(file: string, text: string): void {
    if (this.#said.get(file) === text) return;
    this.#said.set(file, text);
    this.warn(text);
  }

  /** As `warn`, of its kind the first time only. */
  first(kind: string, text: string): void {
    if (!this.#said.has(kind)) this.once(kind, text);
  }

  /** What was said of a file is past. */
  passed(file: string): void {
    this.#said.delete(file);
  }

  /** The service cannot take what there is: once a minute. */
  waiting(why: string): void {
    if (Date.now() - this.#waitingSaid < minuteMs) return;
    this.#waitingSaid = Date.now();
    this.warn(`${why}; trying again until it is taken`);
  }

  answered(): void {
    this.#waitingSaid = 0;
  }

  /** Once a minute: the rate, and how much has not been read. */
  progress(sums: Sums, behind: () => number): void {
    const now = Date.now();
    if (this.quiet || now - this.#at < minuteMs) return;
    const seconds = (now - this.#at) / 1_000;
    const [lines, left] = [sums.lines - this.#before.lines, behind()];
    const rate = `${Math.round(lines / seconds)} lines/s, ${sized((sums.bytes - this.#before.bytes) / seconds)}/s`;
    if (lines > 0 || left > 0) this.note(`${rate} in the last ${Math.round(seconds)} s; ${sized(left)} to go`);
    this.#at = now;
    this.#before = { ...sums };
  }
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function sized(bytes: number): string {
  let unit = 0;
  for (; bytes >= 1_024 && unit < units.length - 1; unit++) bytes /= 1_024;
  return `${unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}
