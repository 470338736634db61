/** A partition whose database is lost, out of its objects: what it knows, and what it leaves to be sent again. */
import { expect, test, vi } from "vitest";
import type { LostRange } from "../../schemas/erasure.ts";
import { placeOfKey } from "../../src/log/keys.ts";
import type { Rec } from "../../src/log/record.ts";
import type { Spec } from "../../src/log/spec.ts";
import { type Desk, past } from "../../src/objects/past.ts";
import { Machine, textOf } from "../cases/archive.ts";
import { batch } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

/** The same log over an empty database, once its past has gone into the bucket. */
async function afterLoss(one: Machine): Promise<Machine> {
  await one.run();
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  return again;
}

/** In as many calls as it takes; answers how many, too. */
async function inSteps(one: Machine, between = () => {}): Promise<{ calls: number; answer: unknown }> {
  for (let [calls, from] = [1, 0]; ; calls++) {
    const answer = await one.history.workshop?.repair({ mode: "rebuild", from });
    const next = answer?.ok ? answer.value.next : undefined;
    if (next === undefined) return { calls, answer };
    expect(next).toBeGreaterThan(from);
    from = next;
    between();
  }
}

const rebuild = (one: Machine) => one.history.workshop?.repair({ mode: "rebuild", from: 0 });

/** What a batch is answered with, in few words. */
function verdicts(one: Machine, ...records: Rec[]): string[] {
  const [answer] = one.log.append([batch(records)], one.now);
  if (!answer.ok) return [answer.refusal.code];
  return answer.value.map(({ verdict, ...run }) => `${verdict} ${"offset" in run ? run.offset : ""} × ${run.count}`);
}

test("what a producer with offsets of its own sends again is stored where no object has it", async () => {
  const one = machine({ archive: true }, { offsets: "producer" });
  const numbered = (...offsets: number[]) => offsets.map((offset) => ({ ...ofKey("a"), offset }));
  one.append(...numbered(3, 5));
  one.seal();
  const again = await afterLoss(one);
  one.append(...numbered(6, 8));
  expect(await rebuild(again)).toEqual({ ok: true, value: { lost: [] } });
  expect(again.log.span.tail).toBe(6);
  expect(verdicts(again, ...numbered(3, 5, 6, 8))).toEqual([
    "duplicate 3 × 1",
    "duplicate 5 × 1",
    "appended 6 × 1",
    "appended 8 × 1",
  ]);
  expect((await again.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual([3, 5, 6, 8]);
  expect(await rebuild(again)).toEqual({ ok: true, value: { lost: [] } });
});

test("the key index is what the objects say, whatever was rewritten and however much there is", async () => {
  const one = machine({ archive: true }, { keyIndex: true });
  for (let n = 0; n < 40; n++) one.append(ofKey(`k${n % 30}`, 900_000));
  one.history.workshop?.erasures.request("r", { key: "k3" }, one.now);
  await one.run();
  one.now += 3_600_000;
  one.seal();
  const again = await afterLoss(one);
  const { calls, answer } = await inSteps(again);
  expect(calls).toBeGreaterThan(1);
  expect(answer).toMatchObject({ ok: true, value: { lost: [{ from: 40 }] } });
  const keys = (of: Machine) => of.log.segments.meta.lastOfKeysAfter("", 100);
  expect(keys(again)).toEqual(keys(one));
  expect(keys(again)).toHaveLength(29);
  const onto = (key: string, expectedKeyOffset: number | "none") =>
    again.log.append([batch([ofKey(key)], { expectedKeyOffset })], again.now)[0];
  expect(onto("k5", "none")).toMatchObject({ refusal: { code: "expected-key-offset", facts: { actual: 35 } } });
  expect(onto("k5", 5)).toMatchObject({ refusal: { code: "expected-key-offset" } });
  expect(onto("k5", 35)).toMatchObject({ ok: true });
  expect(onto("k3", "none")).toMatchObject({ ok: true });
});

test("a rebuild during which something is appended leaves nothing of what it learnt", async () => {
  const one = machine({ archive: true }, { keyIndex: true });
  for (let n = 0; n < 40; n++) one.append(ofKey("old", 900_000));
  one.seal();
  const again = await afterLoss(one);
  const { answer } = await inSteps(again, () => again.append(ofKey("new")));
  expect(answer).toMatchObject({ ok: false, refusal: { code: "conflict" } });
  expect(again.log.segments.meta.lastOfKeysAfter("", 100)).toMatchObject([{ key: "new" }]);
  expect(again.sql.all("SELECT name FROM sqlite_master WHERE name LIKE 'draft%'")).toEqual([]);
  again.log.check();
});

test("objects that others had replaced are deleted, and whoever forgets waits for that", async () => {
  const blobs = memoryBlobs();
  // A bucket that confirms what it does not do: the database was lost before anything was deleted.
  const one = machine(
    { archive: true, parquet: [] },
    { names: { namespace: "shop", stream: "orders" } },
    { ...blobs, delete: async () => {} },
  );
  one.append(ofKey("jane"), ofKey("joe"));
  one.seal();
  await one.run();
  one.history.workshop?.erasures.request("first", { key: "jane" }, one.now);
  await one.run();
  const again = new Machine(nodeSql(), blobs, one.spec);
  again.now = one.now + 3_600_000;
  expect(await textOf(blobs, "")).toContain("jane");
  const before = (await blobs.list("")).blobs.map(({ key }) => key);
  expect(before).toHaveLength(4);
  expect(await rebuild(again)).toMatchObject({ ok: true });
  again.history.workshop?.erasures.request("again", { key: "joe" }, again.now);
  for (let round = 0; round < 3; round++) {
    await again.run();
    again.now += 3_600_000;
  }
  expect(again.history.workshop?.erasures.get("again")).toMatchObject({ state: "done", records: 1 });
  expect(await textOf(blobs, "")).not.toMatch(/jane|joe/);
  const after = (await blobs.list("")).blobs.map(({ key }) => key);
  expect(before.filter((key) => after.includes(key))).toEqual([]);
});

const keysIn = async ({ blobs }: Machine, prefix = "") => (await blobs.list(prefix)).blobs.map(({ key }) => key);

test("a Parquet file whose segment never came to be is deleted", async () => {
  const one = machine({ archive: true, parquet: [] }, { names: { namespace: "shop", stream: "orders" } });
  one.append(ofKey("jane"), ofKey("joe"));
  one.seal();
  await one.run();
  // What it is rewritten to is on its way: the file comes first, and then nothing more.
  one.history.workshop?.erasures.request("r", { key: "joe" }, one.now);
  await one.run({ at: 2, kind: "crash" });
  const [segments, files] = [await keysIn(one, "logs/"), await keysIn(one, "parquet/")];
  expect([segments.length, files.length]).toEqual([1, 2]);
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  expect(await rebuild(again)).toMatchObject({ ok: true });
  await again.run();
  // What has taken the place of what is lost is archived, too.
  const left = await keysIn(again);
  expect([files[0], ...segments].every((key) => left.includes(key))).toBe(true);
  expect(left).not.toContain(files[1]);
});

const words = ["jane", "joe", "jill"];

/** A log of three objects, and the same log over an empty database. Of these objects nothing can be read any more. */
async function lostWith(spoilt: readonly number[], more: Partial<Spec> = {}): Promise<Machine> {
  const one = machine({ archive: true }, more);
  for (const [offset, key] of words.entries()) {
    one.append({ ...ofKey(key), ...(more.offsets === "producer" ? { offset } : {}) });
    one.seal();
    await one.run();
  }
  const objects = await keysIn(one, "logs/");
  for (const which of spoilt) {
    const key = objects[which];
    const body = (await one.blobs.get(key, 0, 1e6)) as Uint8Array;
    body[body.length - 150] ^= 1;
    await one.blobs.delete([key]);
    await one.blobs.create(key, body);
  }
  return afterLoss(one);
}

async function forget(one: Machine, id: string, key: string) {
  one.history.workshop?.erasures.request(id, { key }, one.now);
  await one.run();
  one.now += 3_600_000;
  await one.run();
  return one.history.workshop?.erasures.get(id);
}

async function isolated(one: Machine): Promise<void> {
  for (let rest: number | undefined = 0; rest !== undefined; ) {
    const from: number = rest;
    const repaired = await one.history.workshop?.repair({ mode: "isolate", from });
    if (repaired?.ok !== true) throw new Error("it is not repaired");
    rest = repaired.value.next;
  }
}

const erase = ({ log, history }: Machine, id: string, key: string) =>
  past.erase({ log, history } as unknown as Desk, id, { key });

const behind = 2 ** 32;

test.each([
  ["the first", [0], {}],
  ["one between two", [1], {}],
  ["the last", [2], {}],
  ["all", [0, 1, 2], {}],
  ["the last, where producers give the offsets", [2], { offsets: "producer" }],
  ["all, where producers give the offsets", [0, 1, 2], { offsets: "producer" }],
] as const)(
  "objects that cannot be read are told to whoever forgets, and go with a repair: %s",
  async (_, spoilt, more) => {
    const again = await lostWith(spoilt, more);
    const word = words[spoilt[0]];
    expect(await erase(again, "early", word)).toMatchObject({ ok: false, refusal: { code: "conflict" } });
    const { lost } = ((await rebuild(again)) as { value: { lost: LostRange[] } }).value;
    again.reopen();
    again.log.check();
    if (!("offsets" in more))
      expect([lost.at(-1)?.to, again.log.span.tail].every((to) => to && to > behind)).toBe(true);
    expect(await forget(again, "first", word)).toMatchObject({ state: "done", unread: spoilt });
    expect(await textOf(again.blobs, "logs/")).toContain(word);
    await isolated(again);
    expect(await forget(again, "second", word)).toMatchObject({ state: "done", unread: [] });
    expect(await textOf(again.blobs, "logs/")).not.toContain(word);
  },
);

test("so are they where all that was rebuilt has gone since", async () => {
  const again = await lostWith([1]);
  await rebuild(again);
  again.log.trim(again.log.span.tail, again.now);
  expect(await forget(again, "first", "joe")).toMatchObject({ state: "done", unread: [1] });
  await isolated(again);
  expect(await forget(again, "second", "joe")).toMatchObject({ state: "done", unread: [] });
  expect(await textOf(again.blobs, "logs/")).not.toContain("joe");
});

test("offsets are not given out again, though what stands for a rebuild before cannot be read", async () => {
  const first = await lostWith([]);
  await rebuild(first);
  first.append(ofKey("late"));
  first.seal();
  const again = await afterLoss(first);
  // What fills the gap of the first rebuild, and what came behind it.
  for (const key of (await keysIn(again, "logs/")).slice(-2)) {
    await again.blobs.delete([key]);
    await again.blobs.create(key, new Uint8Array(300));
  }
  const { tail } = first.log.span;
  expect(await rebuild(again)).toMatchObject({ ok: true });
  expect(again.log.span.tail).toBeGreaterThan(tail);
});

test("a bucket that has nothing but Parquet files is rebuilt from before anything is forgotten, and they go", async () => {
  const one = machine({ archive: true, parquet: [] }, { names: { namespace: "shop", stream: "orders" } });
  one.append(ofKey("jane"));
  one.seal();
  // The file comes first, and then nothing more.
  await one.run({ at: 2, kind: "crash" });
  expect(await keysIn(one)).toHaveLength(1);
  const again = new Machine(nodeSql(), one.blobs, one.spec);
  again.now = one.now;
  const [file] = await keysIn(one);
  expect(await erase(again, "r", "jane")).toMatchObject({ ok: false, refusal: { code: "conflict" } });
  expect(await rebuild(again)).toMatchObject({ ok: true, value: { lost: [{ from: 0, to: behind }] } });
  expect(await forget(again, "r", "jane")).toMatchObject({ state: "done", unread: [] });
  expect(await keysIn(again)).not.toContain(file);
});

test("what a bucket names and does not give is not lost: readers, a rebuild, a repair and a search wait for it", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  for (const base of [0, 1, 2]) {
    const again = await lostWith([]);
    const inner = again.blobs.get;
    const blind = { on: true };
    Object.assign(again.blobs, {
      get: async (key: string, from: number, length: number) =>
        blind.on && placeOfKey(key).base === base ? undefined : inner(key, from, length),
    });
    const unavailable = { ok: false, refusal: { code: "unavailable" } };
    const isolate = () => past.repair({ history: again.history } as unknown as Desk, { mode: "isolate", from: base });
    const asked = () => past.repair({ history: again.history } as unknown as Desk, { mode: "rebuild", from: 0 });
    expect(await asked()).toMatchObject(unavailable);
    blind.on = false;
    expect(await asked()).toMatchObject({ ok: true });
    blind.on = true;
    await expect(again.read({ at: "earliest" })).rejects.toThrow('"code":"unavailable"');
    expect(await isolate()).toMatchObject(unavailable);
    expect(await forget(again, "r", words[base])).toMatchObject({ state: "rewriting", unread: [] });
    blind.on = false;
    again.now += 3_600_000;
    await again.run();
    expect(again.history.workshop?.erasures.get("r")).toMatchObject({ state: "done", records: 1, unread: [] });
    expect(await isolate()).toMatchObject({ ok: true, value: { lost: [] } });
    expect((await again.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual([0, 1, 2]);
  }
  vi.restoreAllMocks();
});

test("names that are no segment's count as the beginning", () => {
  expect(placeOfKey("logs/a/0/0000000000000012-7.seg")).toEqual({ base: 12, n: 7 });
  expect(placeOfKey("parquet/n/s/a/0/0000000000000012-7.parquet")).toEqual({ base: 12, n: 7 });
  for (const name of ["note", "12-7", "0000000000000012.seg", "000000000000x012-7.seg"])
    expect(placeOfKey(`logs/a/0/${name}`)).toEqual({ base: 0, n: 0 });
});
