/** Files that outlive a power failure. */
import { closeSync, fdatasync, fsync, openSync, read, write } from "node:fs";
import { promisify } from "node:util";

const [writeTo, readFrom, syncFolderFile] = [promisify(write), promisify(read), promisify(fsync)];

/** What was written to a file is on the disk, with the length of the file. */
export const sync = promisify(fdatasync);

/** Writes all of it at a place. */
export async function writeAt(file: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await writeTo(file, bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** Bytes from a place on: as many as there are, up to `length`. */
export async function readAt(file: number, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await readFrom(file, bytes, done, length - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** What was made, or renamed, in a folder stays so. */
export async function syncFolder(path: string): Promise<void> {
  let folder: number | undefined;
  try {
    folder = openSync(path, "r");
    await syncFolderFile(folder);
  } catch {
    // Some systems open no folders; they write names down by themselves.
  } finally {
    if (folder !== undefined) closeSync(folder);
  }
}
