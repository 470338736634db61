/** Ways to take all that a group has, with every record accounted for. */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { check, type Measured, quantile, times } from "./load.ts";
import { framesPayload } from "./payloads.ts";
import { eachAfter, type Receiver } from "./receiver.ts";
import type { Service } from "./service.ts";
import { Connection } from "./wire.ts";

const bodyRecords = 10_000;
const batch = 500;
const credits = 2_000;
const emptyMs = 1;
/** Nothing may hang. */
const stallMs = 20_000;

/** A stream of one partition that is filled. */
export interface Log {
  readonly stream: string;
  readonly records: number;
}

/** Fills a stream; `keys` is how many different ones there are, over and over. */
export async function fill(product: Service, name: string, records: number, keys = records): Promise<Log> {
  const stream = await product.stream(name);
  for (let base = 0; base < records; base += bodyRecords) {
    const payload = framesPayload(Math.min(bodyRecords, records - base), (index) => `k${(base + index) % keys}`);
    const request = product.post(`${stream}/records`, payload);
    await times({ port: product.port, request, status: 201 }, 1, 1);
  }
  return { stream, records };
}

/** Counts offsets. A record that comes twice is an error: no lease runs out, and nothing is lost on the way. */
export class Tally {
  readonly #seen: Uint8Array;
  count = 0;
  readonly done: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: Error) => void = () => {};
  #moved = true;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(
    readonly records: number,
    /** How many have to come. */
    readonly wanted = records,
  ) {
    this.#seen = new Uint8Array(records);
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever does not wait for it must not fall by it.
    this.done.catch(() => {});
    this.#timer = setInterval(() => {
      if (!this.#moved) this.fail(new Error(`${this.count} of ${this.wanted} records came, and then no more`));
      this.#moved = false;
    }, stallMs);
  }

  take(offset: number): void {
    if (!(offset < this.records) || this.#seen[offset] !== 0) {
      this.fail(new Error(`the record at ${offset} came twice, or is none`));
      return;
    }
    this.#seen[offset] = 1;
    this.#moved = true;
    if (++this.count !== this.wanted) return;
    clearInterval(this.#timer);
    this.#resolve();
  }

  fail(error: Error): void {
    clearInterval(this.#timer);
    this.#reject(error);
  }
}

export interface Pull {
  readonly members: number;
  /** Acks go by a request of their own. */
  readonly apart?: boolean;
  /** Records that are always refused, by their offset. */
  readonly bad?: (offset: number) => boolean;
}

/** Pulls until every good record is acked. */
export async function pull(product: Service, group: string, log: Log, terms: Pull): Promise<Measured> {
  const { members, apart, bad = () => false } = terms;
  const good = goodOf(log, bad);
  const tally = new Tally(log.records, good);
  const connections = await Promise.all(Array.from({ length: members }, () => Connection.open(product.port)));
  const latencies: number[] = [];
  const ask = async (connection: Connection, order: string, body: object) => {
    const answer = await connection.ask(product.postJson(`${group}/${order}`, body), true);
    check(answer, 200);
    if (answer.body?.includes('"refused":[') !== false) throw new Error(`${order}: receipts were refused`);
    return answer.body;
  };
  const member = async (connection: Connection, index: number) => {
    for (let acks: string[] = []; ; ) {
      const sent = performance.now();
      const body = await ask(connection, "receive", { max: batch, member: `m${index}`, ack: acks });
      latencies.push(performance.now() - sent);
      acks = [];
      const nacks: string[] = [];
      eachAfter(body, '"receipt":"', (receipt) => {
        const offset = offsetOf(receipt);
        if (bad(offset)) nacks.push(receipt);
        else {
          tally.take(offset);
          acks.push(receipt);
        }
      });
      const empty = acks.length + nacks.length === 0;
      if (nacks.length > 0) await ask(connection, "nack", { receipts: nacks });
      const over = tally.count >= tally.wanted;
      if (acks.length > 0 && (apart || over)) await ask(connection, "ack", { receipts: acks.splice(0) });
      if (over) return;
      if (empty) await Promise.race([pause(emptyMs), tally.done]);
    }
  };
  const start = performance.now();
  try {
    await Promise.all([...connections.map(member), tally.done]);
  } finally {
    for (const connection of connections) connection.close();
    tally.fail(new Error("it is over"));
  }
  const ms = performance.now() - start;
  if (good === log.records) await finished(product, group);
  return measured(good, ms, latencies);
}

const offsetOf = (receipt: string): number => Number.parseInt(receipt.split(".", 2)[1], 36);

/** Has everything pushed to a receiver; from the group's creation on. */
export async function push(product: Service, receiver: Receiver, log: Log): Promise<Measured> {
  const name = newName();
  const tally = new Tally(log.records);
  const url = receiver.target(name, (offset) => tally.take(offset));
  const start = performance.now();
  const group = await product.group(log.stream, name, pushed(url));
  await tally.done;
  const ms = performance.now() - start;
  await finished(product, group);
  await product.drop(group);
  return measured(log.records, ms, []);
}

/** Pushes records one by one to a receiver that always fails some; counts the others, and ends with the last of them. */
export async function pushAround(
  product: Service,
  receiver: Receiver,
  log: Log,
  bad: (offset: number) => boolean,
): Promise<Measured> {
  const name = newName();
  const tally = new Tally(log.records, goodOf(log, bad));
  const url = receiver.target(name, (offset) => {
    if (bad(offset)) return false;
    tally.take(offset);
    return true;
  });
  const start = performance.now();
  const group = await product.group(log.stream, name, {
    push: { url, concurrency: 6 },
    order: "key",
    onFailure: "block",
    backoff: [100],
  });
  await tally.done;
  const ms = performance.now() - start;
  await product.drop(group);
  return measured(tally.wanted, ms, []);
}

/** Nacks every record of a log, a hundred at a time, each once. */
export async function failEach(product: Service, group: string, log: Log): Promise<void> {
  const connection = await Connection.open(product.port);
  const ask = async (order: string, body: object) => {
    const answer = await connection.ask(product.postJson(`${group}/${order}`, body), true);
    check(answer, 200);
    return answer.body as Buffer;
  };
  for (let failed = 0; failed < log.records; ) {
    const receipts: string[] = [];
    eachAfter(await ask("receive", { max: 100, member: "m" }), '"receipt":"', (receipt) => receipts.push(receipt));
    if (receipts.length === 0) throw new Error(`${failed} of ${log.records} records came, and then no more`);
    await ask("nack", { receipts, delayMs: 600_000 });
    failed += receipts.length;
  }
  connection.close();
}

function goodOf({ records }: Log, bad: (offset: number) => boolean): number {
  let good = 0;
  for (let offset = 0; offset < records; offset++) if (!bad(offset)) good++;
  return good;
}

export const pushed = (url: string) => ({
  maxInFlight: 5_000,
  batch: { records: batch },
  push: { url, format: "batch", concurrency: 4 },
});

/** Takes everything over a socket: acks each message, and gives its credits back. */
export async function listen(product: Service, group: string, log: Log): Promise<Measured> {
  const tally = new Tally(log.records);
  const start = performance.now();
  const socket = await product.live(group);
  socket.onEnd = (error) => tally.fail(error);
  socket.onMessage = (message) => {
    const receipts: string[] = [];
    eachAfter(message, '"receipt":"', (receipt) => {
      tally.take(offsetOf(receipt));
      receipts.push(receipt);
    });
    if (receipts.length === 0) {
      if (!message.includes('"type":"ready"')) tally.fail(new Error(message.toString()));
      return;
    }
    socket.send({ type: "ack", receipts });
    socket.send({ type: "credit", credits: receipts.length });
  };
  socket.send({ type: "credit", credits });
  await tally.done;
  await finished(product, group);
  const ms = performance.now() - start;
  socket.close();
  return measured(log.records, ms, []);
}

/** Waits until the group says so itself: acks of sockets and pushes are not answered. */
async function finished(product: Service, group: string): Promise<void> {
  for (const until = performance.now() + stallMs; ; await pause(emptyMs)) {
    const { lag, redeliveries } = await product.groupFacts(group);
    if (redeliveries > 0) throw new Error(`${redeliveries} records were delivered twice`);
    if (lag === 0) return;
    if (performance.now() > until) throw new Error(`the group still has ${lag} records to finish`);
  }
}

/** Runs with a group of its own that begins at the start of the log. */
export async function withGroup<T>(product: Service, { stream }: Log, work: (group: string) => Promise<T>): Promise<T> {
  const group = await product.group(stream, newName(), { maxInFlight: 5_000, batch: { records: batch } });
  const result = await work(group);
  await product.drop(group);
  return result;
}

const newName = () => `g-${randomUUID()}`;

/** Reads the log without a group. */
export async function read(product: Service, log: Log): Promise<Measured> {
  const connection = await Connection.open(product.port);
  const latencies: number[] = [];
  const start = performance.now();
  for (let from = 0; from < log.records; from += batch) {
    const sent = performance.now();
    const path = `${log.stream}/records?partition=0&from=${from}&limit=${batch}`;
    check(await connection.ask(product.get(path)), 200);
    latencies.push(performance.now() - sent);
  }
  connection.close();
  return measured(log.records, performance.now() - start, latencies);
}

function measured(records: number, ms: number, latencies: number[]): Measured {
  latencies.sort((a, b) => a - b);
  return {
    perSecond: (records / ms) * 1_000,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
  };
}
