/** One round: streams come to rest, the service dies, bytes change, and everybody reads. Then what is damaged is given up. */
import { Violation } from "../frame/checks.ts";
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { tryFile } from "./file.ts";
import { type Expected, judge } from "./judge.ts";
import type { DamagePlan, Reader } from "./plan.ts";
import { read, readingOf, type Seen, type Told } from "./readers.ts";
import { repair, verified, verifiedAfter } from "./repair.ts";
import { readSnapshots } from "./snapshots.ts";
import { Stored } from "./stored.ts";
import { type Struck, strikeAll } from "./strike.ts";

export async function runDamage(plan: DamagePlan, round: Round): Promise<void> {
  const streams = plan.streams.map((stream, number) => new Stored(round, stream, number));
  await Promise.all(streams.map((stream) => stream.make()));
  let struck = new Map<Stored, Struck[]>();
  const { bucket, data } = round.service;
  await round.kill(plan.how, () => {
    struck = strikeAll(bucket, data, streams);
  });
  for (const stream of streams) await look(stream, struck.get(stream) as Struck[]);
  const dumped = plan.file && streams[plan.file.stream];
  if (plan.file === undefined || dumped === undefined) return;
  await tryFile(plan.file, dumped, (copy) => readRestored(dumped, copy));
}

async function look(stream: Stored, struck: readonly Struck[]): Promise<void> {
  stream.told = await readAll(stream, { holes: [], struck });
  await verified(stream, struck, stream.told);
  await readSnapshots(stream, struck);
  if (!stream.plan.repair) return;
  // What was still in the database may have left it meanwhile.
  stream.told = await readPages(stream, { holes: [], struck });
  stream.holes = await repair(stream);
  stream.told = await readAll(stream, { holes: stream.holes, struck: [] });
  // A snapshot is whoever made it's to make again.
  await verifiedAfter(
    stream,
    struck.filter(({ snapshot }) => snapshot),
  );
}

/** What a dump has of a stream is what readers have of it. */
async function readRestored(stream: Stored, name: string): Promise<void> {
  const { holes, told } = stream;
  await readAll(stream.as(name), { holes: [...holes, ...told], struck: [] });
}

/** Every partition by pages, and whoever else the plan has; what the pages told. */
async function readAll(stream: Stored, expected: Expected): Promise<readonly Told[]> {
  const told = await readPages(stream, expected);
  for (const reader of stream.plan.readers) await readBy(stream, reader, expected);
  return told;
}

async function readPages(stream: Stored, expected: Expected): Promise<readonly Told[]> {
  const told: Told[] = [];
  for (const { partition } of stream.truths) {
    const reader: Reader = { way: "pages", partition, key: null, from: { at: "earliest" }, window: 1000 };
    told.push(...(await readBy(stream, reader, expected)).told);
  }
  return told;
}

async function readBy(stream: Stored, reader: Reader, expected: Expected): Promise<Seen> {
  const reading = readingOf(stream, reader);
  try {
    const seen = await read(reading);
    judge(reading, seen, expected);
    return seen;
  } catch (error) {
    if (error instanceof Violation || error instanceof Lost) throw error;
    const words = `${stream.name}, ${reader.way} from ${reading.from}: ${(error as Error).stack}`;
    throw new Violation("well-formed", words, [stream.name]);
  }
}
