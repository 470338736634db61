/** `bench`: how fast a service is from here. It makes a stream of its own, and deletes it. */
import type { Millrace } from "../client/index.ts";
import { print, table } from "./output.ts";

export interface BenchArgs {
  records: number;
  bytes: number;
  partitions: number;
  json?: boolean;
}

export async function bench(millrace: Millrace, { records, bytes, partitions, json }: BenchArgs): Promise<void> {
  const stream = millrace.stream(`bench-${Date.now().toString(36)}`);
  await stream.put({ partitions });
  try {
    const results = [
      { what: "append, one at a time", ...(await latency(stream)) },
      { what: "producer", ...(await produced(stream, records, bytes)) },
      { what: "read", ...(await followed(stream, records)) },
      { what: "append to follower", ...(await live(stream)) },
    ];
    if (json) return print(JSON.stringify(results));
    const shown = (value: number | undefined, digits: number) => ({ right: value?.toFixed(digits) ?? "" });
    const rows = results.map(({ what, perSecond, p50, p99 }) => [
      what,
      shown(perSecond, 0),
      shown(p50, 2),
      shown(p99, 2),
    ]);
    print(table(["", "RECORDS/S", "P50 MS", "P99 MS"], rows));
  } finally {
    await stream.delete();
  }
}

interface Measured {
  perSecond?: number;
  p50?: number;
  p99?: number;
}
type Stream = ReturnType<Millrace["stream"]>;

const samples = 200;

async function latency(stream: Stream): Promise<Measured> {
  const times: number[] = [];
  const start = performance.now();
  for (let index = 0; index < samples; index++) {
    const before = performance.now();
    await stream.append({ key: `k${index}`, data: index });
    times.push(performance.now() - before);
  }
  return { perSecond: (samples / (performance.now() - start)) * 1_000, ...quantiles(times) };
}

async function produced(stream: Stream, records: number, bytes: number): Promise<Measured> {
  const producer = stream.producer();
  const data = "x".repeat(Math.max(1, bytes - 20));
  const start = performance.now();
  for (let index = 0; index < records; index++) {
    const room = producer.push({ key: `k${index % 1_000}`, data });
    if (room !== undefined) await room;
  }
  await producer.close();
  return { perSecond: (records / (performance.now() - start)) * 1_000 };
}

async function followed(stream: Stream, records: number): Promise<Measured> {
  const start = performance.now();
  let count = 0;
  for await (const batch of stream.follow({ from: "earliest", window: 10_000 }).batches()) {
    count += batch.length;
    if (count >= records) break;
  }
  return { perSecond: (count / (performance.now() - start)) * 1_000 };
}

async function live(stream: Stream): Promise<Measured> {
  const times: number[] = [];
  const sent: number[] = [];
  const end = new AbortController();
  const follower = stream.follow({ filter: { types: ["live"] }, signal: end.signal });
  const iterator = follower[Symbol.asyncIterator]();
  let next = iterator.next();
  // It is there when it has said where it is.
  while (follower.cursor === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  for (let index = 0; index < samples; index++) {
    sent.push(performance.now());
    void stream.append({ type: "live", data: index });
    await next;
    times.push(performance.now() - sent[index]);
    next = iterator.next();
  }
  next.catch(() => {});
  end.abort();
  return quantiles(times);
}

function quantiles(times: number[]): Measured {
  const sorted = times.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p99: at(0.99) };
}
