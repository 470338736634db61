/** Who reads what a program says, and may go away before it ends. */
import type { Readable } from "node:stream";

let outlasts = false;

/** Whoever reads what we say may go away (`| head`): a service goes on, and says it to nobody. */
export function outlastReaders(): void {
  if (outlasts) return;
  outlasts = true;
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
}

/** Whoever else reads to the end, and is gone, ends us quietly. */
export function endWithReader(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (outlasts) return;
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
}

/** Says what another process says, where it is not on the terminal itself. */
export function passOn(from: Readable | null, to: NodeJS.WriteStream): void {
  from?.on("data", (data) => to.write(data));
}
