/** Resident memory of a workerd of its own, while much goes in and comes out: it must not grow with the log. */
import { readFileSync } from "node:fs";
import { figure } from "../compare.ts";
import { times } from "../load.ts";
import { framesType, rowPayload } from "../payloads.ts";
import { type Service, startProduct } from "../service.ts";
import { Connection } from "../wire.ts";
import type { Case } from "./case.ts";
import { catchUp } from "./read.ts";

const sampleMs = 25;
const [into, out] = ["memory.in", "memory.out"];

export const memoryCase: Case = {
  names: [into, `${into}.growth`, out, `${out}.growth`],
  async run({ settings }) {
    const product = await startProduct();
    const payload = rowPayload();
    const count = Math.ceil(settings.memoryBytes / payload.body.length);
    const stream = await product.stream("memory");
    const request = product.post(`${stream}/records`, payload);
    const written = await watch(product, () => times({ port: product.port, request, status: 201 }, 4, count));
    const log = {
      stream,
      records: count * payload.records,
      bytes: count * payload.body.length,
      pageRecords: await product.pageRecordsMax(),
    };
    const read = await watch(product, async () => {
      const connection = await Connection.open(product.port);
      await catchUp(product, connection, log, { accept: framesType, maxBytes: "8388608" });
      connection.close();
    });
    return [
      figure(into, written.peak, "MB"),
      figure(`${into}.growth`, written.peak - written.start, "MB"),
      figure(out, read.peak, "MB"),
      figure(`${out}.growth`, read.peak - read.start, "MB"),
    ];
  },
};

async function watch({ pid }: Service, work: () => Promise<void>): Promise<{ start: number; peak: number }> {
  const start = residentMb(pid);
  let peak = start;
  const sample = () => {
    peak = Math.max(peak, residentMb(pid));
  };
  const timer = setInterval(sample, sampleMs);
  try {
    await work();
    sample();
  } finally {
    clearInterval(timer);
  }
  return { start, peak };
}

export function residentMb(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1_000;
}
