/** Where a dump's bytes go. */
import { once } from "node:events";
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { createGzip } from "node:zlib";

/** Where the bytes go: a file, which is there from the first of them on, or the standard output. */
export class Sink {
  bytes = 0;
  #parts: Uint8Array[] = [];
  #file: number | undefined;
  /** Not a pipe or a device. */
  #isFile = false;
  readonly #path: string | undefined;
  readonly #gzip: ReturnType<typeof createGzip> | undefined;
  /** Where the next bytes go; undefined: the file begins with them. */
  #at: number | undefined;
  #drained: Promise<void> = Promise.resolve();
  /** Why what was packed could not be written. */
  #failed: Error | undefined;

  constructor(path: string | undefined, zipped: boolean, at: number | undefined) {
    this.#path = path;
    this.#at = at;
    if (!zipped) return;
    this.#gzip = createGzip({ level: 6 });
    this.#gzip.on("data", (part: Buffer) => {
      this.#gzip?.pause();
      this.#drained = this.#put(part).then(
        () => void this.#gzip?.resume(),
        (error) => void this.#gzip?.destroy(error),
      );
    });
    this.#gzip.on("error", (error) => {
      this.#failed ??= error;
    });
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.bytes += bytes.length;
  }

  async flush(): Promise<void> {
    const parts = Buffer.concat(this.#parts);
    this.#parts = [];
    this.bytes = 0;
    if (this.#gzip === undefined) return this.#put(parts);
    if (this.#failed !== undefined) throw this.#failed;
    if (!this.#gzip.write(parts)) await once(this.#gzip, "drain");
  }

  async end(): Promise<void> {
    await this.flush();
    if (this.#gzip !== undefined) {
      const ended = once(this.#gzip, "end");
      this.#gzip.end();
      await ended;
      await this.#drained;
      if (this.#failed !== undefined) throw this.#failed;
    }
    if (this.#isFile) fsyncSync(this.#file as number);
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
  }

  async #put(bytes: Buffer): Promise<void> {
    if (this.#path === undefined) {
      if (!process.stdout.write(bytes)) await once(process.stdout, "drain");
      return;
    }
    if (this.#file === undefined) {
      this.#file = opened(this.#path, this.#at);
      this.#isFile = fstatSync(this.#file).isFile();
    }
    const at = this.#at ?? 0;
    for (let done = 0; done < bytes.length; )
      done += writeSync(this.#file, bytes, done, bytes.length - done, this.#isFile ? at + done : null);
    this.#at = at + bytes.length;
  }
}

/** It holds what is in the log, and secrets of webhooks: for the eyes of its owner. What is behind `at` is cut off. */
function opened(path: string, at: number | undefined): number {
  const file = openSync(path, at === undefined ? "w" : "r+", 0o600);
  if (at !== undefined) ftruncateSync(file, at);
  return file;
}
