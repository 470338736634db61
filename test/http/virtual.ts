/**
 * The command line as the package has it, without a process of its own: what is built is a function of its `process` and of the
 * little else that is a process's own, and is evaluated anew for each command. To begin a process, and what `fetch` loads in it,
 * costs twenty times what most commands do.
 *
 * What there is not: signals from outside, a terminal, what Node itself does at the end of a process, and its own variables in
 * what a command starts. Tests of those start processes.
 */
import assert from "node:assert/strict";
import { Console } from "node:console";
import { EventEmitter } from "node:events";
import { openSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";
import { constants, Script } from "node:vm";
import { transformSync } from "esbuild";

const built = resolve(import.meta.dirname, "../../dist/command.js");

export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** What is a process's own, by the names that the program has for it. */
const own = ["process", "console", "globalThis", "fetch", "WebSocket", "setTimeout", "setInterval", "require"] as const;
type Own = Record<(typeof own)[number], unknown>;

let program: ((...given: unknown[]) => void) | undefined;

/** Compiled once: of what it evaluates anew, V8 keeps the code. */
function compiled(): (...given: unknown[]) => void {
  const { code } = transformSync(readFileSync(built, "utf8"), {
    format: "cjs",
    platform: "node",
    define: { "import.meta": "importMeta" },
  });
  return new Script(`(function (${[...own, "importMeta", "module", "exports"].join()}) {${code}\n})`, {
    filename: built,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }).runInThisContext();
}

/** One that is neither a file nor a device, as a pipe is. */
let pipe: number | undefined;

/** Collects what is written until the process has ended. */
function output(ended: () => boolean): { stream: Writable; text: () => string } {
  const written: Buffer[] = [];
  const stream = new Writable({
    write(chunk, _, done) {
      if (!ended()) written.push(chunk);
      done();
    },
  });
  pipe ??= openSync(import.meta.dirname, "r");
  return { stream: Object.assign(stream, { fd: pipe }), text: () => Buffer.concat(written).toString() };
}

/** A pipe gives no more than this at once. */
const pipeBytes = 65_536;

function* pieces(input: string | Buffer): Generator<Buffer> {
  const bytes = Buffer.from(input);
  for (let at = 0; at < bytes.length; at += pipeBytes) yield bytes.subarray(at, at + pipeBytes);
}

/** How a command is run that is not let go on as long as it likes. It has no sockets. */
export interface Haste {
  /** It rests this part of the time. */
  readonly restShare: number;
  /** In ms. Then it is told to end, as by a signal, and by what `end` does. */
  readonly patienceMs: number;
  readonly end: () => void;
}

/** What a process has open goes with it: its connections, and its timers. */
function resources(restShare: number) {
  const { fetch, WebSocket, setTimeout, setInterval } = globalThis;
  // Only it knows the way to its class; there is one as soon as anything of it was used.
  void new Headers();
  const { constructor: Agent } = (globalThis as unknown as Record<symbol, object>)[
    Symbol.for("undici.globalDispatcher.1")
  ];
  const agent = new (Agent as new () => { destroy(): Promise<void> })();
  const timers = new Set<NodeJS.Timeout>();
  const kept =
    (set: typeof setTimeout) =>
    (callback: (...given: unknown[]) => void, ms?: number, ...given: unknown[]): NodeJS.Timeout => {
      const timer = set(callback, ms === undefined ? ms : ms * restShare, ...given);
      timers.add(timer);
      return timer;
    };
  const globals = {
    fetch: (url: string, init?: object) => fetch(url, { ...init, dispatcher: agent } as RequestInit),
    WebSocket: class extends WebSocket {
      constructor(url: string, options: string | string[] | object = {}) {
        const given = typeof options === "string" || Array.isArray(options) ? { protocols: options } : options;
        super(url, { ...given, dispatcher: agent } as never);
      }
    },
    setTimeout: Object.assign(kept(setTimeout), setTimeout),
    setInterval: Object.assign(kept(setInterval as typeof setTimeout), setInterval),
  };
  return {
    globals,
    end() {
      for (const timer of timers) clearTimeout(timer);
      return agent.destroy();
    },
  };
}

/** Runs a command to its end; its code is null where it had to be told to. `env` is all of its environment. */
export function runVirtual(
  args: readonly string[],
  env: Record<string, string>,
  input: string | Buffer,
  haste?: Haste,
): Promise<Said> {
  program ??= compiled();
  const { globals, end } = resources(haste?.restShare ?? 1);
  return new Promise((resolve) => {
    let ended = false;
    let exitCode: number | undefined;
    const [stdout, stderr] = [output(() => ended), output(() => ended)];
    const said = () => ({ out: stdout.text(), err: stderr.text() });
    let impatient: Said | undefined;
    const exit = (code: number | undefined = exitCode) => {
      if (ended) return;
      ended = true;
      // As a process ends: what it has asked for is answered to nobody.
      void end();
      clearTimeout(patience);
      resolve(impatient ?? { code: code ?? 0, ...said() });
    };
    const value = (given: unknown) => ({ value: given, writable: true, enumerable: true });
    const virtual: NodeJS.Process = Object.create(process, {
      argv: value([process.execPath, join(built, "../cli.js"), ...args]),
      env: value({ ...env }),
      stdin: value(Readable.from(pieces(input), { objectMode: false })),
      stdout: value(stdout.stream),
      stderr: value(stderr.stream),
      exitCode: { get: () => exitCode, set: (code) => (exitCode = code) },
      exit: value(exit),
      emitWarning: value((warning: string | Error) => stderr.stream.write(`Warning: ${warning}\n`)),
    });
    // Whoever listens to it is gone with it.
    EventEmitter.call(virtual);
    const patience =
      haste &&
      setTimeout(() => {
        impatient = { code: null, ...said() };
        haste.end();
        if (!virtual.emit("SIGTERM", "SIGTERM")) exit();
      }, haste.patienceMs);
    const require = createRequire(built);
    const instead: Record<string, object> = {
      "node:os": { homedir: () => env.HOME },
      "node:child_process": { spawn: () => assert.fail("what a command starts has the standard output of a process") },
    };
    const given: Own = {
      process: virtual,
      console: new Console(stdout.stream, stderr.stream),
      globalThis: Object.assign(Object.create(globalThis), globals, haste && { WebSocket: undefined }),
      ...globals,
      ...(haste && { WebSocket: undefined }),
      require: (name: string) => (name in instead ? { ...require(name), ...instead[name] } : require(name)),
    };
    const here = { url: pathToFileURL(built).href, filename: built, dirname: join(built, "..") };
    program?.(...own.map((name) => given[name]), here, { exports: {} }, {});
  });
}
