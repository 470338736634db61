/** Verify names what is damaged; repair gives exactly that up. */
import type { Json } from "../frame/http.ts";
import { within } from "./judge.ts";
import type { Told } from "./readers.ts";
import type { Stored, Truth } from "./stored.ts";
import type { Struck } from "./strike.ts";

interface Finding {
  readonly object?: string;
  readonly from: number;
  readonly to: number;
  readonly reason: string;
}

const answersMax = 1000;

async function findings(stream: Stored, { partition }: Truth): Promise<Finding[]> {
  const { checks } = stream.round;
  const found: Finding[] = [];
  let from = 0;
  for (let answers = 0; answers < answersMax; answers++) {
    const path = `${stream.path}/partitions/${partition}/verify?from=${from}`;
    const { damaged, intact, next }: Json = await stream.round.must("POST", path);
    checks.that("named", intact === (damaged.length === 0), () => `intact is ${intact}: ${JSON.stringify(damaged)}`, [
      stream.name,
    ]);
    found.push(...damaged);
    if (next === undefined) return found;
    checks.that("ends", next > from, () => `verify goes on at ${next} after ${from}`, [stream.name]);
    from = next;
  }
  checks.that("ends", false, () => `verify does not end in ${answersMax} answers`, [stream.name]);
  return found;
}

/** Everything that was struck and is covered is named, and so is what readers were told; nothing else is. */
export async function verified(stream: Stored, struck: readonly Struck[], told: readonly Told[]): Promise<void> {
  const { checks } = stream.round;
  for (const truth of stream.truths) {
    const found = await findings(stream, truth);
    const list = () => JSON.stringify(found);
    stream.note(() => `verify of ${truth.partition}: ${list()}`);
    const mine = struck.filter(({ partition }) => partition === truth.partition);
    for (const one of mine) {
      if (!one.covered) continue;
      const named = found.some((finding) => isOf(finding, one));
      checks.that("named", named, () => `${stream.name}: ${one.words} is not named: ${list()}`, [stream.name]);
    }
    for (const finding of found) {
      const real = mine.some((one) => isOf(finding, one));
      checks.that("only-named", real, () => `${stream.name}: nothing is wrong with ${JSON.stringify(finding)}`, [
        stream.name,
      ]);
    }
    for (const range of told.filter(({ partition }) => partition === truth.partition)) {
      const named = found.some(({ from, to }) => from < range.to && to > range.from);
      checks.that(
        "named",
        named,
        () => `${stream.name}: readers miss ${range.from} to ${range.to}; verify says ${list()}`,
        [stream.name],
      );
    }
  }
}

function isOf({ object, from, to }: Finding, { objects, offsets }: Struck): boolean {
  if (object !== undefined && objects.some((one) => one.endsWith(object) || object.endsWith(one))) return true;
  return from < offsets.to && to > offsets.from;
}

/** Nothing is named any more but these. */
export async function verifiedAfter(stream: Stored, left: readonly Struck[]): Promise<void> {
  const { checks } = stream.round;
  for (const truth of stream.truths) {
    const found = await findings(stream, truth);
    stream.note(() => `verify of ${truth.partition}: ${JSON.stringify(found)}`);
    for (const finding of found) {
      const known = left.some((one) => one.partition === truth.partition && isOf(finding, one));
      const words = () => `${stream.name}: after the repair verify names ${JSON.stringify(finding)}`;
      checks.that("mended", known, words, [stream.name]);
    }
    checks.that("mended", true, () => "");
  }
}

/** What is lost now: exactly what readers were told, but for what the bucket has. Offsets are not used again. */
export async function repair(stream: Stored): Promise<Told[]> {
  const { told, copies, round } = stream;
  const { checks } = round;
  const holes: Told[] = [];
  for (const truth of stream.truths) {
    const { partition, records, tail } = truth;
    const path = `${stream.path}/partitions/${partition}/repair`;
    const { lost }: Json = await round.must("POST", path, { body: { mode: "isolate" } });
    stream.note(() => `repair of ${partition}: ${JSON.stringify(lost)}`);
    const among = (ranges: readonly Told[], offset: number) =>
      ranges.some((range) => range.partition === partition && within(range, offset));
    for (const offset of records.keys()) {
      const isLost = lost.some((range: Told) => within(range, offset));
      const was = among(told, offset);
      const copied = among(copies, offset);
      const words = () =>
        `${stream.name}: ${offset} ${isLost ? "was given up" : "was left"}; readers were${was ? "" : " not"} told that it is damaged, and the bucket has ${copied ? "a" : "no"} copy`;
      checks.that("repair-exact", isLost === (was && !copied), words, [stream.name]);
    }
    holes.push(...lost.map((range: Told) => ({ ...range, partition })));
    const said: Json = await round.must("GET", path);
    checks.that("repair-told", covers(said.lost, lost), () => `${stream.name}: lost is ${JSON.stringify(said.lost)}`, [
      stream.name,
    ]);
    await appended(stream, truth, tail);
  }
  return holes;
}

const covers = (all: readonly Told[], some: readonly Told[]) =>
  some.every(({ from, to }) => all.some((range) => range.from <= from && range.to >= to));

/** The log goes on, behind everything that was given out. */
async function appended(stream: Stored, truth: Truth, tail: number): Promise<void> {
  const { round } = stream;
  const record = { data: "after the repair", ...(stream.plan.stamps && { timestamp: Date.UTC(2026, 0, 2) }) };
  const body = { records: [record] };
  const { verdicts }: Json = await round.must("POST", `${stream.path}/records?partition=${truth.partition}`, { body });
  const { offset } = verdicts[0];
  round.checks.that(
    "never-again",
    offset >= tail,
    () => `${stream.name}: ${offset} is given out again; the tail was ${tail}`,
    [stream.name],
  );
  await stream.learn(truth, offset);
}
