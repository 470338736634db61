/** Every call of the library, answered by something in between: no answer, which is never believed and never a TypeError. */
import { expect, test } from "vitest";
import { Group, type Millrace, MillraceError, Partition, Snapshots, Stream } from "../../src/client/index.ts";
import { clientOf } from "../cases/answering.ts";

type Made = { client: Millrace; stream: Stream };
const first = async (list: AsyncIterable<unknown>) => {
  for await (const _ of list) break;
};
const placed = { partition: 0, offset: 0 };

/** By method: how it is called, and the least that it believes; undefined: 204 alone. */
const calls: Readonly<Record<string, readonly [call: (of: Made) => Promise<unknown>, least: object | undefined]>> = {
  "Millrace.streams": [({ client }) => first(client.streams()), { streams: [{}] }],
  "Stream.append": [({ stream }) => stream.append({ id: "a" }), { verdicts: [{ verdict: "appended", ...placed }] }],
  "Stream.read": [({ stream }) => first(stream.read()), { cursor: "", upToDate: true, records: [placed] }],
  "Stream.restore": [({ stream }) => stream.restore(), undefined],
  "Stream.groups": [({ stream }) => first(stream.groups()), { groups: [{}] }],
  "Stream.erase": [({ stream }) => stream.erase({ key: "a", id: "e" }), { id: "e", done: true }],
  "Stream.erasure": [({ stream }) => stream.erasure("e"), { id: "e", done: true }],
  "Stream.put": [({ stream }) => stream.put(), { logId: "l", config: {} }],
  "Stream.info": [({ stream }) => stream.info(), { logId: "l", config: {} }],
  "Stream.delete": [({ stream }) => stream.delete(), undefined],
  "Stream.ticket": [({ stream }) => stream.ticket(), { ticket: "t" }],
  "Group.put": [({ stream }) => stream.group("g").put(), { config: {} }],
  "Group.info": [({ stream }) => stream.group("g").info(), { config: {} }],
  "Group.status": [({ stream }) => stream.group("g").status(), { lag: 0 }],
  "Group.delete": [({ stream }) => stream.group("g").delete(), undefined],
  "Group.receive": [({ stream }) => stream.group("g").receive(), { deliveries: [{ receipt: "r" }] }],
  "Group.ack": [({ stream }) => stream.group("g").ack(["r"]), { settled: 1 }],
  "Group.nack": [({ stream }) => stream.group("g").nack(["r"]), { settled: 1 }],
  "Group.seek": [({ stream }) => stream.group("g").seek("latest"), { partitions: [placed] }],
  "Group.pause": [({ stream }) => stream.group("g").pause(), { config: {} }],
  "Group.resume": [({ stream }) => stream.group("g").resume(), { config: {} }],
  "Group.deadLetters": [({ stream }) => stream.group("g").deadLetters(), { letters: [{ letter: "0.1" }] }],
  "Group.redrive": [({ stream }) => stream.group("g").redrive("all"), { redriven: 0 }],
  "Group.discard": [({ stream }) => stream.group("g").discard("all"), { discarded: 0 }],
  "Partition.facts": [({ stream }) => stream.partition(0).facts(), { tail: 0 }],
  "Partition.trim": [({ stream }) => stream.partition(0).trim({ beforeOffset: 0 }), { tail: 0 }],
  "Partition.verify": [
    ({ stream }) => stream.partition(0).verify(),
    { chunks: 0, records: 0, bytes: 0, objects: 0, damaged: [{}] },
  ],
  "Partition.repair": [({ stream }) => stream.partition(0).repair({ mode: "isolate" }), { lost: [{}] }],
  "Snapshots.put": [({ stream }) => stream.snapshots.put(0, "a"), placed],
  "Snapshots.get": [({ stream }) => stream.snapshots.get(0), undefined],
  "Snapshots.list": [({ stream }) => stream.snapshots.list(), { snapshots: [placed] }],
  "Snapshots.delete": [({ stream }) => stream.snapshots.delete(0), undefined],
  "Snapshots.lease": [({ stream }) => stream.snapshots.lease({ holder: "h", seconds: 1 }), { lease: "l", ...placed }],
};
/** They ask nothing, or for ever. */
const others = ["Stream.follow", "Stream.producer", "Stream.group", "Stream.partition", "Group.consume"];

test("every method is called here", () => {
  const all = Object.entries({ Stream, Group, Partition, Snapshots }).flatMap(([name, of]) =>
    Object.getOwnPropertyNames(of.prototype).flatMap((method) => (method === "constructor" ? [] : `${name}.${method}`)),
  );
  expect(all.toSorted()).toEqual([...Object.keys(calls), ...others].filter((one) => !/^Millrace/.test(one)).toSorted());
});

/** The same with each of its members, at any depth, left out, or of another kind. */
function* spoilt(value: unknown): Generator<unknown> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const others: unknown[] = [null, typeof member === "string" ? 5 : "x", ...(typeof member === "number" ? [-1] : [])];
    if (!Array.isArray(value)) others.push(undefined);
    for (const other of [...others, ...spoilt(member)])
      yield Array.isArray(value) ? [other] : { ...value, [name]: other };
  }
}

test.each(Object.entries(calls))("%s", async (_, [call, least]) => {
  const answered = async (answer: string) => {
    const made = clientOf(() => new Response(answer), { retry: { attempts: 2, initialMs: 0 } });
    return call(made).catch((error: unknown) => error);
  };
  const bad = [
    "{}",
    "null",
    "[]",
    '"x"',
    "<html>",
    '{"records":null}',
    ...[...spoilt(least)].map((one) => JSON.stringify(one)),
  ];
  for (const text of bad) {
    const error = await answered(text);
    expect(error, text).toBeInstanceOf(MillraceError);
    expect(error, text).toMatchObject({ code: "network", clean: false, retryable: true });
  }
  if (least !== undefined) expect(await answered(JSON.stringify(least))).not.toBeInstanceOf(Error);
});

test.each([{ verdict: "rejected" }, { verdict: "maybe" }, { verdict: "appended", partition: 0, offset: "5" }])(
  "a verdict that is none: %j",
  async (verdict) => {
    const { stream } = clientOf(() => Response.json({ verdicts: [verdict] }), { retry: { attempts: 2, initialMs: 0 } });
    await expect(stream.append({ data: 1 })).rejects.toMatchObject({ code: "network", clean: false });
  },
);

test("whoever tries again, though it be for ever, tells of it before each pause", async () => {
  const told: string[] = [];
  const end = new AbortController();
  const onRetry = (error: MillraceError) => {
    told.push(error.message);
    if (told.length === 4) end.abort();
  };
  const { stream } = clientOf(() => new Response("{}"), { retry: { attempts: 4, initialMs: 0, onRetry } });
  const why = "the service did not answer: something else did";
  await expect(stream.info()).rejects.toMatchObject({ message: why });
  expect(told.splice(0)).toEqual([why, why, why]);
  await first(stream.follow({ transport: "http", signal: end.signal })).catch(() => {});
  expect(told.splice(0)).toEqual([why, why, why, why]);
  const consumer = stream.group("g").consume(() => {}, { transport: "http" });
  await expect.poll(() => told.length).toBeGreaterThan(2);
  await consumer.stop();
});
