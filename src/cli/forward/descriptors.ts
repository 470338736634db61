/**
 * Descriptors that files which are followed leave to the rest: to the state, what is sent, and what is looked at for a moment.
 * Without them a forwarder of more files than it may open would end at its first batch.
 */
import { closeSync, openSync } from "node:fs";
import { devNull } from "node:os";

/** State and batch, connections, names that are looked up, and folders that are read. */
const reserved = 16;

/** Opens a file that may be held for long. Throws as where too many are open when no more than those that are reserved are left. */
export function openHeld(path: string, flags = "r", mode?: number): number {
  const held = openSync(path, flags, mode);
  const others: number[] = [];
  try {
    // Nothing else tells how many there are left.
    while (others.length < reserved) others.push(openSync(devNull, "r"));
    return held;
  } catch (error) {
    closeSync(held);
    throw error;
  } finally {
    for (const other of others) closeSync(other);
  }
}
