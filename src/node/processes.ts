import { readFileSync } from "node:fs";

/** When a process began, as the system counts it: with it a number is one process's for good. Undefined where nothing tells. */
export function begunAt(pid: number): string | undefined {
  try {
    // Behind the name, which may have blanks and brackets in it: the 20th field from there.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19];
  } catch {
    return undefined;
  }
}

/** Whether there is a process of a number. */
export function lives(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
