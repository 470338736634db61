/** Files that are named, before they are followed. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { Usage } from "../output.ts";

/** First bytes of what has no lines as it lies there, in hexadecimal: gzip and Zstandard. */
const packings = /^(1f8b08|28b52ffd)/;

/**
 * Throws `Usage` for a file that is compressed: its bytes would become records. Generations are unpacked where a log is
 * followed; one that is named itself does not grow. What cannot be read is told by whoever follows it.
 */
export function refusePacked(path: string): void {
  const head = Buffer.alloc(4);
  try {
    if (!statSync(path).isFile()) return;
    const fd = openSync(path, "r");
    try {
      readSync(fd, head, 0, head.length, 0);
    } finally {
      closeSync(fd);
    }
  } catch {
    return;
  }
  if (!packings.test(head.toString("hex"))) return;
  throw new Usage(
    `${path} is compressed, and has no lines as it lies there: name its log, whose generations are unpacked; ` +
      "or unpack it before; or load it with millrace import, which takes gzip",
  );
}
