/** The command as a process that can be killed, and what it says of itself. */
import { type ChildProcess, spawn } from "node:child_process";
import { built, type Ran } from "../frame/cli.ts";
import type { Round } from "../frame/round.ts";

export interface Ended extends Ran {
  readonly signal: NodeJS.Signals | null;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class Importer {
  readonly #child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Signals that were sent to it. */
  readonly asked: NodeJS.Signals[] = [];

  constructor(round: Round, origin: string, args: readonly string[], input?: Buffer, token?: string) {
    const { service } = round;
    const child = spawn(process.execPath, [built(service.folder), ...args], {
      env: {
        PATH: process.env.PATH ?? "",
        HOME: "/nonexistent",
        MILLRACE_URL: origin,
        MILLRACE_TOKEN: token ?? service.token,
        MILLRACE_NAMESPACE: round.name,
      },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    running.add(child);
    const said = { out: "", err: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (data) => {
        said[name === "stdout" ? "out" : "err"] += data;
      });
    }
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    this.ended = new Promise((done, fail) => {
      child.on("error", fail);
      child.on("close", (code, signal) => {
        running.delete(child);
        done({ code, signal, ...said });
      });
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.asked.push(signal);
    this.#child.kill(signal);
  }
}

export interface Counts {
  readonly imported: number;
  readonly duplicates: number;
  readonly rejected: number;
  readonly skipped: number;
  readonly ignored: number;
}

const names = ["imported", "duplicates", "rejected", "skipped", "ignored"] as const;

/** What was printed: of this run, and in all, where it has gone on with an earlier one. Undefined where nothing was. */
export function countsIn(out: string): { own: Counts; total: Counts } | undefined {
  const text = out.trim();
  // A dry run prints records.
  if (text.startsWith('{"imported":')) {
    const { total, ...own } = JSON.parse(text);
    return { own, total: total ?? own };
  }
  const parts = text.split("; in all: ").map(inWords);
  const [own, total = own] = parts;
  return own === undefined ? undefined : { own, total: total as Counts };
}

function inWords(text: string): Counts | undefined {
  if (!/^\d+ imported\b/.test(text)) return undefined;
  const found = [...text.matchAll(/(\d+) (imported|duplicate|rejected|skipped|ignored)/g)];
  const of = (name: string) => Number(found.find(([, , one]) => name.startsWith(one as string))?.[1] ?? 0);
  return Object.fromEntries(names.map((name) => [name, of(name)])) as unknown as Counts;
}

export const shown = (counts: Counts | undefined) =>
  counts === undefined ? "nothing" : names.map((name) => `${counts[name]} ${name}`).join(", ");

export const same = (one: Counts, other: Counts) => names.every((name) => one[name] === other[name]);
