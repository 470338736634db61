/**
 * A dump from elsewhere: each field of each of its blocks, and of the texts of JSON in them, is once each odd value. What is
 * not refused, with the place named, is restored, and then every route of it answers.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import {
  closeDump,
  countedMax,
  groupDump,
  headDump,
  keysDump,
  lanesDump,
  letterDump,
  marksDump,
  placeDump,
  producersDump,
  settledDump,
  streamDump,
} from "../../schemas/dump.ts";
import {
  type Block,
  chunkBlock,
  jsonBlock,
  letterBlock,
  readBlocks,
  readJson,
  readLetter,
  writeBlock,
} from "../../src/archive/dump.ts";
import { Packing } from "../../src/archive/packing.ts";
import { check } from "../../src/lib/check.ts";
import { kinds } from "../../src/log/record.ts";
import { changed, type Path, placesOf } from "../cases/damage.ts";
import { times } from "../cases/long.ts";
import { blockOf, blocksOf as blocksIn, verified } from "../cases/restoring.ts";
import { newGroup, newStream, streams } from "./group.ts";
import { type Answer, type Service, service } from "./service.ts";

const type = { "content-type": "application/vnd.millrace.dump" };
let millrace: Service;
let routes: [string, string][];
beforeAll(async () => {
  millrace = await service();
  const { json } = await millrace.call("GET", "/openapi.json");
  const all = Object.entries(json.paths as Record<string, object>);
  const read = all.filter(([path, methods]) => "get" in methods && /^\/v1\/\{ns\}/.test(path) && !/\/live$/.test(path));
  routes = read.map(([path]) => ["GET", path]);
  for (const name of ["split", "keyed"])
    sources.set(name, await dumpOf(await (name === "split" ? splitStream() : keyedStream())));
});
afterAll(() => millrace.end());

/** One step of a restore: where a block goes, below the stream. */
interface Step {
  readonly path: string;
  readonly block: Block;
}
const sources = new Map<string, Step[]>();

/** Two halves of one partition, with ids and producers that were handed on, and a group that waits, failed and died. */
async function splitStream(): Promise<string> {
  const group = await newGroup(millrace, { maxDeliveries: 2, backoff: [0], onFailure: "park" });
  const append = (texts: string[], sequence: number) =>
    millrace.call(
      "POST",
      `${group.stream}/records`,
      { records: texts.map((data) => ({ key: data[0], id: data, source: "/s", data })) },
      { "producer-id": "p", "producer-epoch": "0", "producer-seq": String(sequence) },
    );
  await append(["a1", "b1", "c1"], 0);
  await millrace.call("PUT", group.stream, { partitions: 2 });
  await append(["a2", "d1", "e1", "f1"], 1);
  for (let round = 0; round < 6; round++) {
    for (const got of await group.receive()) {
      if (got.key === "a") await group.nack(got);
      else if (got.key === "d") await group.nack(got, { delayMs: 600_000 });
      else if (got.key !== "e") await group.ack(got);
    }
  }
  await group.post("pause", { reason: "lunch" });
  await millrace.call("POST", `${group.stream}/erasures`, { key: "zz" });
  return group.stream;
}

/** One partition with an index of keys, times of the client's, a fence, and a group that pushes. */
async function keyedStream(): Promise<string> {
  const stream = await newStream(millrace, { keyIndex: true, timestamps: "client", ttlMs: 86_400_000_000 });
  const at = (day: number) => ({ timestamp: `2026-11-0${day}T00:00:00Z` });
  await millrace.call("POST", `${stream}/records`, {
    records: [1, 2, 3].map((n) => ({ key: `k${n}`, data: n, ...at(n) })),
  });
  await millrace.call("PUT", `${stream}/partitions/0/fence`, { token: "t" });
  const push = {
    url: "https://example.com/",
    headers: { authorization: "x" },
    secrets: [`whsec_${btoa("s".repeat(24))}`],
  };
  await newGroup(millrace, { push, filter: { types: ["t"] }, only: ["k9"], rate: { perSecond: 1 } }, stream);
  return stream;
}

async function dumpOf(stream: string): Promise<Step[]> {
  const blocks = async (path: string): Promise<Block[]> => {
    const answer = await fetch(millrace.url + stream + path, { headers: { authorization: "Bearer test-token" } });
    const read = readBlocks(new Uint8Array(await answer.arrayBuffer()));
    return read.ok ? read.value.map(({ name, payload }) => ({ name, payload: payload.slice() })) : [];
  };
  const json = (name: Block["name"], value: unknown): Block => {
    const read = readBlocks(jsonBlock(name, value));
    return read.ok ? read.value[0] : expect.unreachable();
  };
  const [first, ...groups] = await blocks("/dump");
  const { opened, config } = jsonIn(first) as { opened: number[]; config: { keyIndex: boolean } };
  const steps: Step[] = [{ path: "/restore", block: first }];
  for (const group of groups) {
    const { group: name, opened: places } = jsonIn(group) as { group: string; opened: number[] };
    steps.push({ path: `/groups/${name}/restore`, block: group });
    for (const partition of places) {
      const place = await blocks(`/groups/${name}/dump?partition=${partition}`);
      const lanes = place.flatMap((block) => (block.name === "lanes" ? (jsonIn(block) as object[]) : [])).length;
      const letters = place.filter((block) => block.name === "letter").length;
      const settled = json("settled", { group: name, partition, lanes, letters });
      for (const block of [...place, settled])
        steps.push({ path: `/groups/${name}/restore?partition=${partition}`, block });
    }
  }
  for (const partition of opened) {
    const path = `/partitions/${partition}`;
    const keys = config.keyIndex ? await blocks(`${path}/dump?part=keys`) : [];
    const state = await blocks(`${path}/dump?part=state`);
    const chunks = await blocks(`${path}/dump`);
    const records = chunks.reduce(
      (sum, { payload }) => sum + new DataView(payload.buffer, payload.byteOffset).getUint32(32, true),
      0,
    );
    const head = json("head", { partition, head: 0 });
    const close = json("close", { partition, chunks: chunks.length, records });
    for (const block of [...keys, ...state, head, ...chunks, close]) steps.push({ path: `${path}/restore`, block });
  }
  return steps;
}

/** What a block's JSON is; of a letter, what stands before its record. */
function jsonIn({ name, payload }: Block): unknown {
  if (["chunk", "ids"].includes(name)) return undefined;
  const read = name === "letter" ? readLetter(payload) : readJson(payload);
  if (!read.ok) return expect.unreachable("a dump is readable");
  return name === "letter" ? (read.value as { letter: unknown }).letter : read.value;
}

function withValue(block: Block, value: unknown): Uint8Array {
  if (block.name !== "letter") return jsonBlock(block.name, value);
  const read = readLetter(block.payload);
  return read.ok ? letterBlock(value, read.value.body) : expect.unreachable();
}

const odd: unknown[] = [
  ...[-1, 0, 1, 2, 0.5, 2 ** 32, 2 ** 32 + 1, 8.64e15, 8.64e15 + 1, 2 ** 53 - 1, 2 ** 53, 1e300],
  ...[null, true, false, "", "x", "7", "\ud800", "\0", "…", "9".repeat(400)],
  ...["[]", "{}", "[1,null]", "null", '{"reason":1}', `{"reason":"x","at":${2 ** 53 - 1}}`],
  ...[`[{"attempt":1,"at":${2 ** 53 - 1},"member":"m","reason":"r"}]`, '[{"attempt":1,"at":1,"member":"m"}]'],
  ...["key", "parked", "held", "done", "earliest", "0000000000", "AA==", "////////////", "https://[::1", "whsec_!"],
  ...[[], {}, [null], [[]], { a: 1 }, [1, 2], [{ key: "a" }]],
];

/** As many as there is time for, others each time: more in `npm run soak:tests`, and all of them with RUNS=all. */
function chosen<T>(all: readonly T[]): T[] {
  const most = Math.min(all.length, process.env.RUNS === "all" ? all.length : Number(process.env.RUNS ?? times(2, 10)));
  return fc.sample(fc.shuffledSubarray([...all], { minLength: most, maxLength: most }), 1)[0];
}

const schemas: Partial<Record<Block["name"], z.ZodType>> = {
  stream: streamDump,
  group: groupDump,
  place: placeDump,
  lanes: lanesDump,
  letter: letterDump,
  settled: settledDump,
  keys: keysDump,
  marks: marksDump,
  producers: producersDump,
  head: headDump,
  close: closeDump,
};

/** Numbers that may be larger than whatever is counted on from: places, what clients chose, bounds, and fields that nobody reads. */
const high = [
  ...["offset", "floor", "start", "head", "tail", "from", "to", "done", "acked", "runs", undefined],
  ...["epoch", "sequence", "sum", "retentionBytes", "retentionRecords", "newer"],
  ...["generation", "voided", "counted"],
];

let count = 0;

/** A restore that has come so far. */
class Run {
  readonly path = `${streams}/restored-${count++}`;

  async send({ path, block }: Step, bytes = writeBlock(block.name, block.payload)): Promise<Answer> {
    const query = `${path.includes("?") ? "&" : "?"}newId=true${path === "/restore" ? `&dump=${"a".repeat(64)}` : ""}`;
    const to = path.startsWith("/partitions") || path.includes("partition=") ? path : path + query;
    const answer = await millrace.call("POST", this.path + to, bytes as Uint8Array<ArrayBuffer>, type);
    expect(answer.status, `${to}: ${answer.text}`).toBeLessThan(500);
    return answer;
  }

  end = () => millrace.call("DELETE", this.path);
}

/** Every route of what was restored. A partition that says that it is split is looked for elsewhere, and not found. */
async function exercise(path: string, what: string): Promise<void> {
  const known = (await millrace.call("GET", `${path}/groups`)).json?.groups ?? [];
  const group = known[0]?.group ?? "none";
  const fill = (route: string, partition: number) =>
    route
      .replace("{ns}/streams/{stream}", path.split("/").slice(2).join("/"))
      .replace("{ns}", "default")
      .replace("{group}", group)
      .replace("{partition}", String(partition))
      .replace(/\{\w+\}/, "1");
  const asked: [string, string, object?][] = [];
  for (const [method, route] of routes) {
    asked.push([method, fill(route, 0)]);
    if (route.includes("{partition}")) asked.push([method, fill(route, 1)]);
    if (route.endsWith("{group}/dump")) asked.push([method, `${fill(route, 0)}?partition=0`]);
  }
  const of = `${path}/groups/${group}`;
  for (const query of [
    "from=0&partition=0",
    "maxBytes=all",
    "direction=backward&from=latest",
    "from=-3",
    "key=a",
    "from=2026-11-02T00:00:00Z",
  ])
    asked.push(["GET", `${path}/records?${query}`]);
  asked.push(
    ["POST", `${of}/resume`, {}],
    ["POST", `${of}/receive`, { max: 10 }],
    ["POST", `${of}/dead-letters/redrive`, { all: true }],
  );
  asked.push(
    ["POST", `${of}/receive`, { max: 10 }],
    ["GET", `${of}/status`],
    ["POST", `${of}/seek`, { to: "earliest" }],
  );
  asked.push(
    ["POST", `${of}/pause`, {}],
    ["POST", `${of}/dead-letters/discard`, { all: true }],
    ["PUT", of, { maxInFlight: 9 }],
  );
  // What is counted on from has room for more than one.
  for (let times = 0; times < 3; times++)
    asked.push(["POST", `${path}/records`, { records: ["a", "b", "zz"].map((key) => ({ key, data: 1 })) }]);
  asked.push(
    ["POST", `${path}/partitions/0/verify`],
    ["POST", `${path}/erasures`, { key: "a" }],
    ["PUT", path, { retentionRecords: 5 }],
  );
  asked.push(
    ["GET", `${path}/records`],
    ["POST", `${path}/partitions/0/trim`, { beforeOffset: 1 }],
    ["GET", "/v1/default/streams"],
  );
  for (const [method, to, body] of asked) {
    const answer = await millrace.call(method, to, body);
    expect(answer.status < 500, `${what}: ${method} ${to} answers ${answer.text}`).toBe(true);
  }
}

/** Sends everything behind a step, and finishes; true where it is there. */
async function finished(run: Run, rest: readonly Step[]): Promise<boolean> {
  for (const step of rest) if ((await run.send(step)).status >= 400) return false;
  const done = await millrace.call("POST", `${run.path}/restore/finish`);
  expect(done.status, done.text).toBeLessThan(500);
  return done.status === 200;
}

/** The steps as a dump's file has them. */
const fileOf = (steps: readonly Step[]): Block[] =>
  steps.flatMap(({ path, block }, at) => {
    const [, partition] = /^\/partitions\/(\d+)\//.exec(path) ?? [];
    const isFirst = partition !== undefined && steps[at - 1]?.path !== path;
    return isFirst ? [blockOf("partition", { partition: Number(partition) }), block] : [block];
  });

/** Tries one block in every way; answers how many were refused, and how many live. */
async function tryAll(
  steps: readonly Step[],
  at: number,
  lies: Iterable<readonly [string, Uint8Array]>,
): Promise<[number, number]> {
  let [refused, alive] = [0, 0];
  let run: Run | undefined;
  for (const [what, bytes] of lies) {
    if (run === undefined) {
      run = new Run();
      for (const step of steps.slice(0, at)) expect((await run.send(step)).status, what).toBeLessThan(300);
    }
    const answer = await run.send(steps[at], bytes);
    const found = verified(fileOf(steps.with(at, { path: steps[at].path, block: blocksIn(bytes)[0] })));
    if (answer.status >= 400) {
      refused++;
      expect(found, `${what}: refused with ${answer.text}, and found intact`).toBeDefined();
      expect(answer.json, what).toMatchObject({
        code: expect.stringMatching(/^(bad-dump|conflict|restore-gap|too-many)$/),
      });
      continue;
    }
    const isThere = await finished(run, steps.slice(at + 1));
    expect(found === undefined, `${what}: restored ${isThere}, and verify says ${found}`).toBe(isThere);
    if (isThere) {
      await exercise(run.path, what);
      alive++;
    } else refused++;
    await run.end();
    run = undefined;
  }
  await run?.end();
  return [refused, alive];
}

const blocksOf = (name: string): Block["name"][] =>
  name === "split"
    ? ["stream", "group", "place", "lanes", "letter", "settled", "marks", "producers", "head", "close"]
    : ["stream", "group", "keys", "marks"];

describe.each(["split", "keyed"])("of a dump of a stream that is %s, each field of a", (source) => {
  test("dump that is as it was is taken", async () => {
    const run = new Run();
    const steps = sources.get(source) as Step[];
    const names = new Set(steps.map(({ block }) => block.name));
    for (const name of [...blocksOf(source), "chunk"] as const) expect(names).toContain(name);
    expect(await finished(run, steps)).toBe(true);
    await exercise(run.path, "as it was");
    await run.end();
  });

  test.each(blocksOf(source))("%s block", { timeout: 600_000 }, async (name) => {
    const steps = sources.get(source) as Step[];
    // The last one: of the halves of a partition that was split, and behind others of its kind.
    const at = steps.findLastIndex(({ block }) => block.name === name);
    const { block } = steps[at];
    const value = jsonIn(block);
    const schema = schemas[name] as z.ZodType;
    const taken: (readonly [string, Uint8Array])[] = [];
    const unnamed: string[] = [];
    let refused = 0;
    for (const path of placesOf(value)) {
      const fitting: unknown[] = [];
      for (const one of odd) {
        const checked = check(schema, changed(value, path, one), "the block");
        if (checked.ok) fitting.push(one);
        else {
          refused++;
          // The place is named, or a field that it is in.
          const named = path.filter((one) => typeof one === "string" && one !== "JSON");
          const detail = `${checked.refusal.detail} ${checked.refusal.facts?.path}`;
          const isNamed = named.length === 0 || named.some((name) => detail.includes(String(name)));
          if (!isNamed) unnamed.push(`${path.join(".")} = ${JSON.stringify(one)}: ${detail}`);
        }
      }
      // The largest number, and one value that is none, stand for those that fit.
      const largest = fitting.filter((one) => typeof one === "number").sort((a, b) => b - a)[0];
      const named = path.findLast((one) => typeof one === "string" && one !== "JSON");
      if (largest > countedMax) expect(high, `${path.join(".")} = ${largest}`).toContain(named);
      const other = fitting.findLast((one) => typeof one !== "number");
      for (const one of [largest, other]) {
        if (one === undefined) continue;
        taken.push([`${path.join(".")} = ${JSON.stringify(one)}`, withValue(block, changed(value, path, one))]);
      }
    }
    expect(unnamed).toEqual([]);
    expect(refused).toBeGreaterThan(odd.length);
    await tryAll(steps, at, chosen(taken));
  });

  test("chunk or a row of ids that are numbers", { timeout: 300_000 }, async () => {
    const steps = sources.get(source) as Step[];
    const numbers = [
      0n,
      1n,
      2n ** 32n,
      253_402_300_800_000n,
      8_640_000_000_000_001n,
      2n ** 53n - 1n,
      2n ** 53n,
      2n ** 64n - 1n,
    ];
    for (const [name, places] of [
      ["chunk", [0, 8, 16, 24]],
      ["ids", [8]],
    ] as const) {
      const at = steps.findLastIndex(({ block }) => block.name === name);
      if (at < 0) continue;
      const lies = places.flatMap((place) =>
        numbers.map((number) => {
          const payload = steps[at].block.payload.slice();
          new DataView(payload.buffer).setBigUint64(place, number, true);
          return [`byte ${place} = ${number}`, writeBlock(name, payload)] as const;
        }),
      );
      await tryAll(steps, at, chosen(lies));
    }
  });
});

test.each([253_402_300_799_999, 253_402_300_800_000, 8.64e15, 8.64e15 + 1, 2 ** 53 - 1])(
  "a record at the time %i is refused, or shown",
  async (time) => {
    const steps = (sources.get("keyed") as Step[]).filter(({ block }) => block.name === "stream");
    const packing = new Packing();
    packing.put({ key: "k1", kind: kinds.json, data: new TextEncoder().encode("1") }, 0, time, false);
    const row = { base: 0, next: 1, first: time, last: time, ...packing.finish() };
    const marks = { partition: 0, head: 0, tail: 1, last: time, sealed: false, producers: 0, ids: 0, erasures: [] };
    const close = { partition: 0, chunks: 1, records: 1 };
    for (const bytes of [jsonBlock("marks", marks), chunkBlock(row), jsonBlock("close", close)]) {
      const read = readBlocks(bytes);
      if (read.ok) steps.push({ path: "/partitions/0/restore", block: read.value[0] });
    }
    const run = new Run();
    const isThere = await finished(run, steps);
    if (isThere) await exercise(run.path, `a record at ${time}`);
    await run.end();
    expect(isThere).toBe(time <= 253_402_300_799_999);
  },
);

test("a stream that would be told of itself, or would take its own dead letters, is refused", async () => {
  const steps = sources.get("split") as Step[];
  const run = new Run();
  const name = run.path.split("/").pop();
  const changedBy = (step: Step, path: Path) => withValue(step.block, changed(jsonIn(step.block), path, name));
  const looping = await run.send(steps[0], changedBy(steps[0], ["config", "segmentEvents"]));
  expect(looping.json).toMatchObject({ code: "conflict", detail: expect.stringContaining("segmentEvents") });
  expect((await run.send(steps[0])).status).toBe(201);
  const dying = await run.send(steps[1], changedBy(steps[1], ["config", "deadLetterStream"]));
  expect(dying.json).toMatchObject({ code: "conflict", detail: expect.stringContaining("deadLetterStream") });
  await run.end();
});

describe("what is counted on from has room behind it:", () => {
  const most = Number.MAX_SAFE_INTEGER;
  const changing = (steps: readonly Step[], name: string, change: (value: object) => object) =>
    steps.map((step) => {
      if (step.block.name !== name) return step;
      const read = readBlocks(withValue(step.block, change(jsonIn(step.block) as object)));
      return read.ok ? { ...step, block: read.value[0] } : expect.unreachable();
    });

  /** A dump of a log of which everything has gone, up to an offset. */
  async function emptyUpTo(tail: number, config: object): Promise<Step[]> {
    const stream = await newStream(millrace, config);
    await millrace.call("POST", `${stream}/records`, {
      records: [{ data: 1, ...("offsets" in config ? { offset: 0 } : {}) }],
    });
    const steps = (await dumpOf(stream)).filter(({ block }) => block.name !== "chunk");
    const marked = changing(steps, "marks", (marks) => ({ ...marks, head: tail, tail }));
    return changing(marked, "close", (close) => ({ ...close, chunks: 0, records: 0 }));
  }

  test.each([most, most - 1, countedMax + 1])("offsets that are given out, from %i on: refused", async (tail) => {
    const steps = await emptyUpTo(tail, {});
    const run = new Run();
    const answers: Answer[] = [];
    for (const step of steps) answers.push(await run.send(step));
    const at = steps.findIndex(({ block }) => block.name === "marks");
    expect(answers[at]).toMatchObject({
      status: 400,
      json: { code: "bad-dump", detail: expect.stringMatching(/^tail: /) },
    });
    await run.end();
  });

  test("offsets that are given out, from the highest on: they go on", async () => {
    const run = new Run();
    expect(await finished(run, await emptyUpTo(countedMax, {}))).toBe(true);
    for (let n = 0; n < 5; n++) {
      const { status, json } = await millrace.call("POST", `${run.path}/records`, { records: [{ data: n }] });
      expect([status, json.offset ?? json.records?.[0].offset ?? json.verdicts?.[0].offset]).toEqual([
        201,
        countedMax + n,
      ]);
    }
    const { records } = (await millrace.call("GET", `${run.path}/records`)).json;
    expect(records.map(({ data }: { data: number }) => data)).toEqual([0, 1, 2, 3, 4]);
    await run.end();
  });

  test.each([most, most - 2])("offsets of a producer's, from %i on: the producer is told", async (tail) => {
    const run = new Run();
    expect(await finished(run, await emptyUpTo(tail, { offsets: "producer" }))).toBe(true);
    const statuses: number[] = [];
    for (const offset of [most - 3, most - 2, most - 1, most - 1, most]) {
      const { status } = await millrace.call("POST", `${run.path}/records`, { records: [{ data: 1, offset }] });
      statuses.push(status);
    }
    expect(statuses.every((status) => status < 500)).toBe(true);
    expect(statuses.filter((status) => status === 201)).toHaveLength(most - tail);
    await run.end();
  });

  test("a group's place, lanes and letters", { timeout: 60_000 }, async () => {
    const dead = await newStream(millrace);
    const config = { maxDeliveries: 2, backoff: [0], onFailure: "skip", deadLetterStream: dead.split("/").pop() };
    const group = await newGroup(millrace, config);
    await group.append("a1", "b1", "b2");
    for (const got of await group.receive()) await group.nack(got, { delayMs: got.key === "a" ? 600_000 : 0 });
    for (const got of await group.receive()) await group.nack(got);
    const deaths = async () => (await millrace.call("GET", `${dead}/records`)).json.records.length;
    await expect.poll(deaths, { timeout: 10_000 }).toBe(1);
    const steps = await dumpOf(group.stream);
    const upTo = (value: number) => {
      const placed = changing(steps, "place", (place) => ({ ...place, era: value, forwarded: value }));
      return changing(placed, "lanes", (lanes) =>
        (lanes as { id: number; attempts: number }[]).map((lane, at) => ({ ...lane, id: value - at })),
      );
    };
    for (const value of [most, countedMax + 1]) {
      const run = new Run();
      expect(await finished(run, upTo(value))).toBe(false);
      await run.end();
    }
    const run = new Run();
    expect(await finished(run, upTo(countedMax))).toBe(true);
    const path = `${run.path}/groups/${group.name}`;
    await millrace.call("POST", `${path}/resume`, {});
    for (const key of ["x", "y", "z"])
      await millrace.call("POST", `${run.path}/records`, { records: [{ key, data: 1 }] });
    for (let left = 20; left > 0 && (await deaths()) < 4; left--) {
      const { status, json, text } = await millrace.call("POST", `${path}/receive`, { waitSeconds: 1 });
      expect(status, text).toBe(200);
      const receipts = json.deliveries.map(({ receipt }: { receipt: string }) => receipt);
      if (receipts.length === 0) continue;
      expect((await millrace.call("POST", `${path}/nack`, { receipts })).status).toBe(200);
    }
    expect(await deaths()).toBeGreaterThanOrEqual(4);
    await run.end();
  });
});
