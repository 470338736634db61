/** The command line as a process, as the package has it (`built.ts` builds it before the first test). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const cli = join(root, "dist/cli.js");

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly lines: string[];
}

export interface Process {
  readonly child: ChildProcess;
  readonly said: { out: string; err: string };
  readonly ended: Promise<Ran>;
}

/** Starts it; `input` is its standard input, which stays open where it is null. With `detached` it leads a group of its own. */
export function start(
  args: readonly string[],
  env: Record<string, string> = {},
  input: string | Buffer | null = "",
  detached = false,
): Process {
  const { PATH = "", NODE_COMPILE_CACHE } = process.env;
  const child = spawn(process.execPath, [cli, ...args], {
    env: { PATH, HOME: "/nonexistent", ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }), ...env },
    stdio: ["pipe", "pipe", "pipe"],
    detached,
  });
  const said = { out: "", err: "" };
  child.stdout.on("data", (data) => {
    said.out += data;
  });
  child.stderr.on("data", (data) => {
    said.err += data;
  });
  child.stdin.on("error", () => {});
  if (input !== null) child.stdin.end(input);
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    ...said,
    lines: said.out.split("\n").filter((line) => line !== ""),
  }));
  return { child, said, ended };
}
