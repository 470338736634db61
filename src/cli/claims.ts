/**
 * Whose a folder is, as files say it that outlive a crash:
 *
 *     holder.7/owner       which process: its number, when it began, and where such numbers are counted
 *     holder.7/released    it has let go
 *
 * The highest number holds. A claim is the next number, once the highest one's owner is gone. It is made aside and renamed,
 * which fails where the number is taken, so that it is whole as soon as it is there; the highest is never removed, so that who
 * looked a while ago finds it when he looks again, and withdraws.
 */
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { begunAt, lives, numbering } from "../node/processes.ts";

interface Owner {
  readonly pid: number;
  readonly begun: string | undefined;
  readonly numbering: string;
}

/** Claims a folder for this process until what is returned is called, or the process is gone. Undefined: another has it. */
export function claim(folder: string): (() => void) | undefined {
  const place = (number: number) => join(folder, `holder.${number}`);
  for (;;) {
    const highest = Math.max(0, ...claims(folder));
    if (highest > 0 && isHeld(place(highest))) return undefined;
    const mine = place(highest + 1);
    if (!put(folder, mine)) continue;
    const all = claims(folder);
    if (all.some((number) => number > highest + 1)) {
      // Whoever is there saw that the one was gone whom we took for the highest.
      rmSync(mine, { recursive: true, force: true });
      continue;
    }
    for (const number of all) if (number <= highest) rmSync(place(number), { recursive: true, force: true });
    return () => {
      // Where the folder is gone there is nothing to be let go of.
      if (existsSync(mine)) writeFileSync(join(mine, "released"), "");
    };
  }
}

const claims = (folder: string): number[] =>
  readdirSync(folder)
    .map((name) => Number(/^holder\.(\d+)$/.exec(name)?.[1]))
    .filter((number) => number > 0);

/** Whether it was put there, and was not there yet. */
function put(folder: string, place: string): boolean {
  const aside = join(folder, `.holder-${randomUUID()}`);
  const owner: Owner = { pid: process.pid, begun: begunAt(process.pid), numbering: numbering() };
  mkdirSync(aside, { mode: 0o700 });
  try {
    writeFileSync(join(aside, "owner"), JSON.stringify(owner), { mode: 0o600 });
    renameSync(aside, place);
    return true;
  } catch (error) {
    if (existsSync(place)) return false;
    throw error;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

function isHeld(place: string): boolean {
  if (existsSync(join(place, "released"))) return false;
  let owner: Owner;
  try {
    owner = JSON.parse(readFileSync(join(place, "owner"), "utf8"));
  } catch {
    // Removed meanwhile, for a higher one; or the power failed before it was on the disk.
    return false;
  }
  const { pid, begun } = owner;
  // Of another container, or of before the machine started again, its number says nothing.
  if (owner.numbering !== numbering()) return false;
  return lives(pid) && (begunAt(pid) ?? begun) === begun;
}
