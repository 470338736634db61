/** The standard output, written whole or not at all told to be. */
import { fstatSync, writeSync } from "node:fs";

/** What was to be said has no room, or no place. */
export class Unwritten extends Error {
  constructor(error: unknown) {
    super(`the output cannot be written: ${(error as Error).message}`);
  }
}

let failed: Unwritten | undefined;

/** Throws where anything was not written, also what is not told so: the parser's help goes by `console.log`. */
export function allWritten(): void {
  if (failed !== undefined) throw failed;
}

/**
 * From here on, what goes to a file or a device is written whole, or throws at once. Node takes a short write for a whole one
 * there, and tells of a failure when the program may have ended. Pipes and terminals it writes whole by itself.
 */
export function writeWhole(): void {
  const { stdout } = process;
  const kind = fstatSync(stdout.fd);
  if (stdout.isTTY || !(kind.isFile() || kind.isCharacterDevice())) return;
  // A bound on the size of files is a failure to be told, and no death.
  if (process.platform !== "win32") process.on("SIGXFSZ", () => {});
  stdout.write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
    const done = typeof encoding === "function" ? encoding : callback;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, encodingOf(encoding)) : chunk;
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(stdout.fd, bytes, at);
    } catch (error) {
      failed ??= new Unwritten(error);
      throw failed;
    }
    if (typeof done === "function") done();
    return true;
  };
}

const encodingOf = (given: unknown) => (typeof given === "string" ? (given as BufferEncoding) : "utf8");
