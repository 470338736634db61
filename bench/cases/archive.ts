/**
 * What a past costs: archiving it, reading it from the bucket, appending meanwhile, dropping it. The bucket is miniflare's R2,
 * once bound, and else behind its S3 server, a process of its own on the same cores.
 */
import { setTimeout as pause } from "node:timers/promises";
import { s3Server } from "../../test/system/s3-server.ts";
import { figure, type Result } from "../compare.ts";
import { Load, median, times } from "../load.ts";
import { framesPayload, framesType, jsonPayload, rowPayload } from "../payloads.ts";
import { type Service, startArchived, startBound, startProduct } from "../service.ts";
import { Connection } from "../wire.ts";
import type { Bench, Case } from "./case.ts";
import { residentMb } from "./memory.ts";
import { catchUp, type Filled } from "./read.ts";

const sampleMs = 25;
const keptBytes = 33_554_432;
const rowBatches = 1_000;

export const archiveCase: Case = {
  names: [
    ...["archive", "archive.s3"].flatMap((name) => [`${name}.write`, `${name}.read`, `${name}.read.again`]),
    "archive.append",
    "archive.rows",
  ],
  async run(bench) {
    const inR2 = await moved(bench, await startBound(), "archive");
    const store = await s3Server();
    try {
      const product = await startArchived(store.store);
      const inS3 = await moved(bench, product, "archive.s3");
      return [...inR2, ...inS3, await appends(bench, product), await rows(product)];
    } finally {
      await store.end();
    }
  },
};

export const retentionCase: Case = {
  names: ["retention.memory", "retention.memory.growth", "archive.memory", "archive.memory.growth"],
  async run({ settings }) {
    const bytes = settings.retentionBytes;
    const dropped = await passed(await startProduct(), bytes, { retentionBytes: 67_108_864 });
    const store = await s3Server();
    try {
      const product = await startArchived(store.store);
      const config = { retentionBytes: 67_108_864, archive: true };
      const archived = await passed(product, bytes, config);
      return [
        figure("retention.memory", dropped.peak, "MB"),
        figure("retention.memory.growth", dropped.peak - dropped.early, "MB"),
        figure("archive.memory", archived.peak, "MB"),
        figure("archive.memory.growth", archived.peak - archived.early, "MB"),
      ];
    } finally {
      await store.end();
    }
  },
};

/** Fills a log, archives it at once, and reads it from the bucket; the reads before, from the database, are the baseline. */
async function moved({ settings }: Bench, product: Service, name: string): Promise<Result[]> {
  const payload = rowPayload();
  const count = Math.ceil(settings.archiveBytes / payload.body.length);
  const stream = await product.stream("archive");
  await times({ port: product.port, request: product.post(`${stream}/records`, payload), status: 201 }, 1, count);
  const log: Filled = {
    stream,
    records: count * payload.records,
    bytes: count * payload.body.length,
    pageRecords: await product.pageRecordsMax(),
  };
  const connection = await Connection.open(product.port);
  const pass = async () => {
    const start = performance.now();
    await catchUp(product, connection, log, { accept: framesType, maxBytes: "8388608" });
    return log.bytes / 1e6 / ((performance.now() - start) / 1_000);
  };
  const passes = async () => {
    const found: number[] = [];
    for (let round = 0; round < settings.rounds; round++) found.push(await pass());
    return median(found);
  };
  await pass();
  const hot = await passes();
  const start = performance.now();
  await product.configure(stream, { archive: true });
  const archived = await until(product, stream, (facts) => facts.archived.segments === facts.segments);
  const seconds = (performance.now() - start) / 1_000;
  // What is in the archive leaves the database, but for the open segment.
  await product.configure(stream, { retentionBytes: 1, deduplicationWindowMs: 0 });
  await until(product, stream, ({ hotBytes }) => hotBytes < 16_777_216);
  // Nothing of it is in a cache yet.
  const first = await pass();
  const again = await passes();
  connection.close();
  return [
    figure(`${name}.write`, archived.archived.bytes / 1e6 / seconds, "MB/s"),
    { ...figure(`${name}.read`, first, "MB/s"), baseline: hot, ratio: first / hot },
    { ...figure(`${name}.read.again`, again, "MB/s"), baseline: hot, ratio: again / hot },
  ];
}

/** Single appends while a backlog is archived, against those while it is not. */
async function appends({ settings }: Bench, product: Service): Promise<Result> {
  const payload = rowPayload();
  const count = Math.ceil(settings.archiveBytes / payload.body.length);
  const backlog = await product.stream("backlog");
  const single = `${backlog}/records`;
  await times({ port: product.port, request: product.post(single, payload), status: 201 }, 1, count);
  const target = { port: product.port, request: product.post(single, jsonPayload(1)), status: 201 };
  const load = await Load.open(target, 64);
  await load.run(settings.warmMs);
  const alone = await load.run(settings.roundMs);
  await product.configure(backlog, { archive: true });
  const during = await load.run(settings.roundMs);
  load.close();
  // Nothing goes on when the next thing is measured.
  await until(product, backlog, (facts) => facts.archived.segments === facts.segments);
  const ratio = during.perSecond / alone.perSecond;
  return {
    ...figure("archive.append", during.perSecond, "records/s"),
    baseline: alone.perSecond,
    ratio,
    p50Ms: during.p50Ms,
    p99Ms: during.p99Ms,
    baselineP99Ms: alone.p99Ms,
  };
}

/** Rows written for the whole life of 1 000 records that come together: append, seal, archive, drop. */
async function rows(product: Service): Promise<Result> {
  const stream = await product.stream("rows");
  await product.configure(stream, { archive: true, retentionBytes: keptBytes, deduplicationWindowMs: 0 });
  const payload = framesPayload(1_000);
  const target = { port: product.port, request: product.post(`${stream}/records`, payload), status: 201 };
  await times(target, 1, 1);
  const before = await product.facts(stream);
  await times(target, 1, rowBatches);
  const done = (facts: Facts) => facts.hotBytes < keptBytes + 8_388_608 && facts.archived.segments === facts.segments;
  const after = await until(product, stream, done);
  return figure("archive.rows", (after.rowsWritten - before.rowsWritten) / rowBatches, "per 1000");
}

/** Resident memory of a workerd while bytes go through a log that keeps few of them; `early` when a third has. */
async function passed(product: Service, bytes: number, config: object): Promise<{ early: number; peak: number }> {
  const stream = await product.stream("through");
  await product.configure(stream, { deduplicationWindowMs: 0, ...config });
  const payload = rowPayload();
  const count = Math.ceil(bytes / payload.body.length);
  const request = product.post(`${stream}/records`, payload);
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, residentMb(product.pid));
  }, sampleMs);
  try {
    await times({ port: product.port, request, status: 201 }, 4, Math.ceil(count / 3));
    const early = peak;
    await times({ port: product.port, request, status: 201 }, 4, count - Math.ceil(count / 3));
    await until(product, stream, ({ hotBytes }) => hotBytes < 134_217_728);
    return { early, peak };
  } finally {
    clearInterval(timer);
  }
}

type Facts = Awaited<ReturnType<Service["facts"]>>;

async function until(product: Service, stream: string, done: (facts: Facts) => boolean): Promise<Facts> {
  for (;;) {
    const facts = await product.facts(stream);
    if (done(facts)) return facts;
    await pause(20);
  }
}
