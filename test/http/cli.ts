/** The command line as the package has it (`built.ts` builds it before the first test): as a process, or without one. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { long } from "../cases/long.ts";
import { runVirtual } from "./virtual.ts";

const root = resolve(import.meta.dirname, "../..");
const cli = join(root, "dist/cli.js");
const home = "/nonexistent";

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

/** What starts others, which write where it does; and what a lock is held by. */
const needsProcess = (args: readonly string[]) =>
  args[0] === "dev" || (args.includes("consume") && args.includes("--"));

/**
 * Runs a command to its end, for what it prints, asks, and ends with; `input` is its standard input. Without a process of its
 * own: `npm run soak:tests` starts a process for each, and so does every test that starts, stops or watches one.
 */
export async function runCli(
  args: readonly string[],
  env: Record<string, string> = {},
  input: string | Buffer = "",
): Promise<Ran> {
  if (long || needsProcess(args)) return start(args, env, input).ended;
  const { PATH = "" } = process.env;
  const said = await runVirtual(args, { PATH, HOME: home, ...env }, input);
  return { ...said, lines: linesOf(said.out) };
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
    env: { PATH, HOME: home, ...(NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE }), ...env },
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
    lines: linesOf(said.out),
  }));
  return { child, said, ended };
}

const linesOf = (out: string) => out.split("\n").filter((line) => line !== "");
