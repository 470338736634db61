/** Catch-up reads: one reader, one connection, from offset 0 to the tail. */
import { compare, type Result } from "../compare.ts";
import { check, type Measured, quantile, times } from "../load.ts";
import { framesType, rowPayload } from "../payloads.ts";
import type { Service } from "../service.ts";
import { Connection, header } from "../wire.ts";
import type { Bench, Case } from "./case.ts";

/** A log that both sides hold: `bytes` of frames with `records` in them. */
export interface Filled {
  readonly stream: string;
  readonly records: number;
  readonly bytes: number;
  readonly pageRecords: number;
}

interface Format {
  readonly name: string;
  readonly accept: string;
  readonly maxBytes: string;
}

const page = "8388608";
const formats: readonly Format[] = [
  { name: "read.frames", accept: framesType, maxBytes: page },
  { name: "read.frames.stream", accept: framesType, maxBytes: "all" },
  { name: "read.json", accept: "application/json", maxBytes: page },
  { name: "read.ndjson", accept: "application/x-ndjson", maxBytes: page },
];
const bare = "/bare/read";
/** What the bare object reads at a time where the product answers with one stream. */
const barePageBytesMax = 4_194_304;

const filled = new WeakMap<Service, Promise<Filled>>();

export const readCases: readonly Case[] = formats.map((format) => ({
  names: [format.name],
  run: async (bench) => [await measure(bench, format)],
}));

async function measure(bench: Bench, format: Format): Promise<Result> {
  if (!filled.has(bench.product)) filled.set(bench.product, fillBoth(bench));
  const log = (await filled.get(bench.product)) as Filled;
  const reader = await Connection.open(bench.product.port);
  const other = await Connection.open(bench.baseline.port);
  try {
    let pages = 1;
    const ours = async (latencies: number[]) => {
      pages = await catchUp(bench.product, reader, log, format, latencies);
    };
    const theirs = (latencies: number[]) => readBare(bench.baseline, other, log, pages, latencies);
    const sides = [(ms: number) => passes(ours, ms), (ms: number) => passes(theirs, ms)] as const;
    return await compare(format.name, ["records/s", log.records], [...sides], bench.settings);
  } finally {
    reader.close();
    other.close();
  }
}

/** Reads the whole log again and again for a time. A pass is what `compare` takes for a request; latencies are pages'. */
async function passes(pass: (latencies: number[]) => Promise<void>, ms: number): Promise<Measured> {
  const latencies: number[] = [];
  const start = performance.now();
  let count = 0;
  for (; count === 0 || performance.now() - start < ms; count++) await pass(latencies);
  const seconds = (performance.now() - start) / 1_000;
  latencies.sort((a, b) => a - b);
  return { perSecond: count / seconds, p50Ms: quantile(latencies, 0.5), p99Ms: quantile(latencies, 0.99) };
}

async function fillBoth({ product, baseline, settings }: Bench): Promise<Filled> {
  const payload = rowPayload();
  const count = Math.ceil(settings.readBytes / payload.body.length);
  const stream = await product.stream("read");
  const post = product.post(`${stream}/records`, payload);
  await times({ port: product.port, request: post, status: 201 }, 1, count);
  await times({ port: baseline.port, request: baseline.post(bare, payload), status: 201 }, 1, count);
  const pageRecords = await product.pageRecordsMax();
  return { stream, records: count * payload.records, bytes: count * payload.body.length, pageRecords };
}

/** Reads pages until one ends at the tail, and returns how many there were. */
export async function catchUp(
  product: Service,
  connection: Connection,
  { stream, records, bytes, pageRecords }: Filled,
  { accept, maxBytes }: Omit<Format, "name">,
  latencies: number[] = [],
): Promise<number> {
  let [received, pages] = [0, 0];
  for (let from = 0; from < records; pages++) {
    const path = `${stream}/records?partition=0&from=${from}&limit=${pageRecords}&maxBytes=${maxBytes}`;
    const sent = performance.now();
    const answer = await connection.ask(product.get(path, accept));
    latencies.push(performance.now() - sent);
    check(answer, 200);
    const next = maxBytes === "all" ? records : Number(header(answer.head, "millrace-next"));
    if (!(next > from)) throw new Error(`a read from ${from} goes on at ${next}`);
    from = next;
    received += answer.bytes;
  }
  if (received < bytes) throw new Error(`${received} bytes were read of a log that holds ${bytes}`);
  return pages;
}

/** Reads the same bytes in as many pages. */
async function readBare(
  baseline: Service,
  connection: Connection,
  { bytes }: Filled,
  pages: number,
  latencies: number[],
): Promise<void> {
  const pageBytes = Math.min(barePageBytesMax, Math.floor(bytes / pages));
  for (let from = 0; from < bytes; ) {
    const sent = performance.now();
    const answer = await connection.ask(baseline.get(`${bare}?from=${from}&bytes=${pageBytes}`));
    latencies.push(performance.now() - sent);
    check(answer, 200);
    if (answer.bytes === 0) throw new Error(`the bare object gave ${from} of ${bytes} bytes`);
    from += answer.bytes;
  }
}
