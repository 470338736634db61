/** Closed-loop load: each connection sends its next request when the last one is answered. */
import { type Answer, Connection } from "./wire.ts";

export interface Target {
  readonly port: number;
  readonly request: Uint8Array;
  readonly status: number;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export class Load {
  readonly #target: Target;
  readonly #connections: readonly Connection[];

  private constructor(target: Target, connections: readonly Connection[]) {
    this.#target = target;
    this.#connections = connections;
  }

  static async open(target: Target, connections: number): Promise<Load> {
    const opened = Array.from({ length: connections }, () => Connection.open(target.port));
    return new Load(target, await Promise.all(opened));
  }

  /** Runs for a time. Throws if a single answer was not the expected one: a rate of refusals is worth nothing. */
  async run(ms: number): Promise<Measured> {
    const latencies: number[] = [];
    const start = performance.now();
    await Promise.all(this.#connections.map((connection) => this.#loop(connection, start + ms, latencies)));
    const seconds = (performance.now() - start) / 1_000;
    latencies.sort((a, b) => a - b);
    return {
      perSecond: latencies.length / seconds,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
    };
  }

  async #loop(connection: Connection, until: number, latencies: number[]): Promise<void> {
    const { request, status } = this.#target;
    for (let sent = performance.now(); sent < until; ) {
      check(await connection.ask(request), status);
      const now = performance.now();
      latencies.push(now - sent);
      sent = now;
    }
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

/** Sends a request a number of times over some connections. */
export async function times(target: Target, connections: number, count: number): Promise<void> {
  let left = count;
  const loop = async () => {
    const connection = await Connection.open(target.port);
    try {
      while (left-- > 0) check(await connection.ask(target.request), target.status);
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: connections }, loop));
}

export function check(answer: Answer, status: number): void {
  if (answer.status === status) return;
  throw new Error(`expected ${status}, got ${answer.status}: ${answer.text.slice(0, 300)}`);
}

/** Of sorted numbers. */
export const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};
