/**
 * The command line within this process, which costs nothing but what it does. Each run reads the module of its commands anew; what it
 * asks goes out by HTTP alone, and it rests a thousandth of the time.
 */
import { setTimeout as pause } from "node:timers/promises";

export interface RanHere {
  /** Undefined: it went on for longer than it was given time, and ended then. */
  readonly code: number | undefined;
  readonly out: string;
  readonly err: string;
}

const restShare = 1_000;
let runs = 0;

/** One at a time. After `patienceMs` it is told to end, as by a signal, and by what `end` does. */
export async function runHere(
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  patienceMs = 120_000,
  end = () => {},
): Promise<RanHere> {
  const said = { out: "", err: "" };
  const before = {
    argv: process.argv,
    env: process.env,
    exit: process.exit,
    log: console.log,
    error: console.error,
    setTimeout: globalThis.setTimeout,
    WebSocket: globalThis.WebSocket,
  };
  const listeners = signals.map((signal) => process.listeners(signal));
  const ofOutput = process.stdout.listeners("error");
  const exited = Promise.withResolvers<number>();
  const taking = (name: keyof typeof said) => (chunk: string | Uint8Array, encoding?: unknown, done?: unknown) => {
    said[name] += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    const told = typeof encoding === "function" ? encoding : done;
    if (typeof told === "function") told();
    return true;
  };
  process.argv = ["node", "millrace", ...args];
  process.env = { PATH: before.env.PATH, HOME: "/nonexistent", ...environment };
  process.exit = ((code?: number) => exited.resolve(Number(code ?? process.exitCode ?? 0))) as never;
  // The program may have a way of its own to write into files, which is none of a test's.
  for (const [stream, name] of streams)
    Object.defineProperty(stream, "write", { get: () => taking(name), set: () => {}, configurable: true });
  console.log = (line) => void taking("out")(`${line}\n`);
  console.error = (line) => void taking("err")(`${line}\n`);
  const { setTimeout: rest } = before;
  globalThis.setTimeout = Object.assign(
    (callback: () => void, ms = 0, ...given: []) => rest(callback, ms / restShare, ...given),
    rest,
  ) as never;
  globalThis.WebSocket = undefined as never;
  const patience = new AbortController();
  try {
    const ended = import(/* @vite-ignore */ `../../src/cli/main.ts?run=${++runs}`).then(() => exited.promise);
    const rest = pause(patienceMs, undefined, { signal: patience.signal }).catch(() => undefined);
    const code = await Promise.race([ended, rest]);
    const ran = { code, ...said };
    if (code === undefined) {
      end();
      for (const [at, signal] of signals.entries())
        for (const one of process.listeners(signal)) if (!listeners[at].includes(one)) one(signal);
      await ended;
    }
    return ran;
  } finally {
    patience.abort();
    for (const [stream] of streams) Reflect.deleteProperty(stream, "write");
    signals.forEach((signal, at) => {
      for (const one of process.listeners(signal)) if (!listeners[at].includes(one)) process.off(signal, one);
    });
    for (const one of process.stdout.listeners("error"))
      if (!ofOutput.includes(one)) process.stdout.off("error", one as never);
    Object.assign(console, { log: before.log, error: before.error });
    Object.assign(process, { argv: before.argv, env: before.env, exit: before.exit, exitCode: undefined });
    Object.assign(globalThis, { setTimeout: before.setTimeout, WebSocket: before.WebSocket });
  }
}

const streams = [
  [process.stdout, "out"],
  [process.stderr, "err"],
] as const;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
