import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** When a process began, as the system counts it: with it a number is one process's for good. Undefined where nothing tells. */
export function begunAt(pid: number): string | undefined {
  if (existsSync("/proc/self/stat")) return statOf(pid)?.[19];
  const { stdout } = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
  return stdout?.trim() || undefined;
}

/**
 * Whether there is a process of a number. One that has ended, and that nobody has asked how, is none: but not before the last of its
 * threads has. Until then it holds what it had open.
 */
export function lives(pid: number): boolean {
  try {
    if (!(pid > 0 && process.kill(pid, 0))) return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return !["Z", "X"].includes(statOf(pid)?.[0] ?? "") || threadsOf(pid).length > 1;
}

/** What the system has of each thread of a process; nothing where that is not told. */
export function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
  } catch {
    return [];
  }
}

/** Undefined where the system does not tell. */
export const parentOf = (pid: number): number | undefined => Number(statOf(pid)?.[1]) || undefined;

/** Whether there is another process of a number, that began then: the number may have come to be one's that began later. */
export const isAnother = (pid: number, begun: string | undefined): boolean =>
  pid !== process.pid && lives(pid) && (!begun || (begunAt(pid) ?? begun) === begun);

/** The fields behind the name, which may have blanks and brackets in it. */
function statOf(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ");
  } catch {
    return undefined;
  }
}

/** Where the numbers of processes mean what they mean here: this container, since this machine started. */
export function numbering(): string {
  const told = (tell: () => string) => {
    try {
      return tell().trim();
    } catch {
      return "";
    }
  };
  const boot = told(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"));
  return `${boot} ${told(() => readlinkSync("/proc/self/ns/pid"))}`;
}
