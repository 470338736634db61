import { compare, figure, type Result } from "../compare.ts";
import { Load } from "../load.ts";
import { framesPayload, jsonPayload, ndjsonPayload, type Payload } from "../payloads.ts";
import type { Bench, Case } from "./case.ts";

interface Append {
  readonly name: string;
  readonly connections: number;
  readonly payload: () => Payload;
}

const batches: readonly Append[] = [
  { name: "append.json.b10", connections: 16, payload: () => jsonPayload(10) },
  { name: "append.json.b100", connections: 16, payload: () => jsonPayload(100) },
  { name: "append.json.b1000", connections: 8, payload: () => jsonPayload(1_000) },
  { name: "append.ndjson.b1000", connections: 8, payload: () => ndjsonPayload(1_000) },
  { name: "append.frames.1k", connections: 8, payload: () => framesPayload(1_000) },
  { name: "append.frames", connections: 4, payload: () => framesPayload(10_000) },
];

const rowsName = "rows.per1000.c64";

/** Batches are compared with the bare object, which writes the same bodies: the ratio is one of bytes. */
export const appendCases: readonly Case[] = [
  ...[1, 16, 64, 256].map(singles),
  ...batches.map((append) => ({
    names: [append.name],
    run: async (bench: Bench) => [await measure(bench, append, `/bare/${append.name}`)],
  })),
];

/** Single records are compared with the empty round trip. */
function singles(connections: number): Case {
  const name = `append.http.c${connections}`;
  const append = { name, connections, payload: () => jsonPayload(1) };
  if (connections !== 64) return { names: [name], run: async (bench) => [await measure(bench, append, "/empty")] };
  return {
    names: [name, rowsName],
    run: async (bench) => {
      const stream = await bench.product.stream(name);
      const before = await bench.product.facts(stream);
      const result = await measure(bench, append, "/empty");
      const after = await bench.product.facts(stream);
      const rows = (after.rowsWritten - before.rowsWritten) / (after.records - before.records);
      return [result, figure(rowsName, rows * 1_000, "rows")];
    },
  };
}

async function measure({ product, baseline, settings }: Bench, append: Append, against: string): Promise<Result> {
  const { name, connections } = append;
  const payload = append.payload();
  const path = `${await product.stream(name)}/records`;
  const ours = await Load.open({ port: product.port, request: product.post(path, payload), status: 201 }, connections);
  const request = baseline.post(against, payload);
  const theirs = await Load.open({ port: baseline.port, request, status: 201 }, connections);
  const longer = name === "append.http.c64" || name === "append.frames" ? 2 : 1;
  try {
    const sides = [(ms: number) => ours.run(ms), (ms: number) => theirs.run(ms)] as const;
    const roundMs = settings.roundMs * longer;
    return await compare(name, ["records/s", payload.records], [...sides], { ...settings, roundMs });
  } finally {
    ours.close();
    theirs.close();
  }
}
