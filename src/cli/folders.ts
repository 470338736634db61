/** Folders that are made when they are needed. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Makes a folder and those above it. Node's own way turns round for ever where one cannot be made, as in /proc. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST" && statSync(path).isDirectory()) return;
    const above = dirname(path);
    if (code !== "ENOENT" || existsSync(above))
      throw new Error(`cannot make the folder ${path}: ${(error as Error).message}`);
    makeFolder(above);
    makeFolder(path);
  }
}
