/** `groups consume`: a member of a group at work. */
import type { ChildProcess } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { Millrace } from "../client/index.ts";
import { settledShape } from "../client/shapes.ts";
import { Absence } from "./absence.ts";
import { type ExactDelivery, NotStarted, startChild, startProblem } from "./child.ts";
import { exactly } from "./exact.ts";
import { Leases, nameOf, placeOf } from "./leases.ts";
import { counted, Usage } from "./output.ts";
import { type Form, showing } from "./showing.ts";
import { Sockets } from "./sockets.ts";
import { Unwritten } from "./whole.ts";

export interface ConsumeArgs extends Form {
  stream: string;
  group: string;
  command: readonly string[];
  concurrency: number;
  member?: string;
  max?: number;
  stdin?: "data" | "record";
}

/** A member that has nothing at work may have a request open that waits: nothing is lost where it goes away before the answer. */
const idleMsMax = 1_500;

/**
 * Writes deliveries to the standard output, or gives each to a child process. A child that exits with 0 has done it; with
 * another, or by a signal, it comes again.
 */
export async function consume(millrace: Millrace, args: ConsumeArgs): Promise<void> {
  for (const name of ["concurrency", "max"] as const) {
    const value = args[name] ?? 1;
    if (!Number.isSafeInteger(value) || value < 1)
      throw new Usage(`--${name} is a whole number, 1 or more; not ${value}`);
  }
  const work = workOf(args);
  const sockets = new Sockets();
  // One that was never there is not waited for: its address may be wrong.
  await millrace.stream(args.stream).group(args.group).info();
  const { options } = millrace.http;
  const absence = new Absence();
  const retry = { ...options.retry, onRetry: absence.retried };
  const member = new Millrace({ ...options, ...sockets.options, fetch: absence.hearing(options.fetch), retry });
  const group = exactly(member).stream<string | undefined>(args.stream).group(args.group);
  let taken = 0;
  let enough = () => {};
  const done = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const leases = new Leases();
  const handle = async (delivery: ExactDelivery): Promise<void> => {
    let isDone = false;
    try {
      leases.begin(delivery);
      await work.begin(delivery);
      isDone = true;
    } catch (error) {
      if (!isOurs(error)) {
        console.error(failureText(delivery, error as Error));
        throw error;
      }
      work.broken ??= error;
      // Untouched: it is not the record's failure. Where that cannot be said, it counts as one.
      const call = { body: { receipts: [delivery.receipt] }, safe: true };
      await group.http.json("POST", `${group.path}/release`, settledShape, call).then(
        () => console.error(`given back: ${placeOf(delivery)}, and no attempt counted: ${error.message}`),
        () => console.error(failureText(delivery, error)),
      );
      enough();
      throw error;
    } finally {
      leases.end(delivery, isDone);
      // Failed or not: whoever tries a command on one record means one.
      if (++taken === args.max) enough();
    }
  };
  const concurrency = Math.min(args.concurrency, args.max ?? args.concurrency);
  const consumer = group.consume(handle, {
    concurrency,
    onLost: (receipt) => leases.lost(receipt),
    ...(args.member === undefined ? {} : { member: args.member }),
  });
  onSignals(work, enough);
  let failed: unknown;
  await Promise.race([consumer.done, done]).catch((error) => {
    failed = error;
  });
  const stopped = consumer.stop();
  await work.idle();
  await Promise.race([stopped.then(() => sockets.closed()), pause(idleMsMax)]);
  if (work.broken instanceof NotStarted) throw new Usage(work.broken.message);
  if (work.broken !== undefined) throw work.broken;
  if (failed !== undefined) throw failed;
}

/** What would end every delivery: the command does not start, or there is no place to print. */
const isOurs = (error: unknown): error is NotStarted | Unwritten =>
  error instanceof NotStarted || error instanceof Unwritten;

/** What is at work, by the delivery. */
class Work {
  broken: NotStarted | Unwritten | undefined;
  readonly running = new Map<ExactDelivery, ChildProcess | undefined>();
  #ended = () => {};

  constructor(readonly start: (delivery: ExactDelivery) => { child?: ChildProcess; ended: Promise<void> }) {}

  async begin(delivery: ExactDelivery): Promise<void> {
    // What comes while it ends because the command is not there would only fail of it too.
    if (this.broken !== undefined) throw this.broken;
    try {
      this.running.set(delivery, undefined);
      const { child, ended } = this.start(delivery);
      this.running.set(delivery, child);
      await ended;
    } finally {
      this.running.delete(delivery);
      this.#ended();
    }
  }

  /** Resolves when nothing is at work. */
  async idle(): Promise<void> {
    while (this.running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#ended = resolve;
      });
    }
  }

  /** Ends what is at work, with all that it has started. */
  end(): void {
    for (const child of this.running.values()) {
      if (child?.pid === undefined) continue;
      try {
        process.kill(process.platform === "win32" ? child.pid : -child.pid, "SIGTERM");
      } catch {
        // It has just ended.
      }
    }
  }
}

function workOf({ command: [command, ...rest], stdin = "data", ...form }: ConsumeArgs): Work {
  if (command === undefined) {
    const show = showing(form);
    return new Work((delivery) => ({ ended: show(delivery) }));
  }
  const problem = startProblem(command);
  if (problem !== undefined) throw new Usage(problem);
  return new Work((delivery) => startChild(command, rest, delivery, stdin));
}

const failureText = (delivery: ExactDelivery, { message }: Error) => `failed: ${nameOf(delivery)}: ${message}`;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** What a shell expects of a process that a signal has ended. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** The first signal stops it in order, the second at once. */
function onSignals(work: Work, stop: () => void): void {
  let asked = false;
  const listen = (signal: (typeof signals)[number]) => {
    if (asked) {
      work.end();
      process.exit(exitCodes[signal]);
    }
    asked = true;
    const places = [...work.running.keys()].map(placeOf);
    if (places.length > 0) {
      const shown = places.slice(0, 10).join(", ") + (places.length > 10 ? ", …" : "");
      console.error(
        `stopping: waits for ${counted(places.length, "record")} at work (${shown}); again ends it at once`,
      );
    }
    stop();
  };
  for (const signal of signals) process.on(signal, listen);
}
