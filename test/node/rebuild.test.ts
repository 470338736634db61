/** A partition whose database is lost, out of its objects: what it knows, and what it leaves to be sent again. */
import { expect, test } from "vitest";
import type { Rec } from "../../src/log/record.ts";
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

test.each([0, 1, 2])(
  "an object that cannot be read is told to whoever forgets, and goes with a repair: %i",
  async (which) => {
    const one = machine({ archive: true });
    for (const key of ["jane", "joe", "jill"]) {
      one.append(ofKey(key));
      one.seal();
      await one.run();
    }
    const objects = await keysIn(one, "logs/");
    const [key, word] = [objects[which], ["jane", "joe", "jill"][which]];
    const body = (await one.blobs.get(key, 0, 1e6)) as Uint8Array;
    body[body.length - 150] ^= 1;
    await one.blobs.delete([key]);
    await one.blobs.create(key, body);
    const again = new Machine(nodeSql(), one.blobs, one.spec);
    again.now = one.now;
    expect(await rebuild(again)).toMatchObject({ ok: true });
    const forget = async (id: string) => {
      again.history.workshop?.erasures.request(id, { key: word }, again.now);
      await again.run();
      again.now += 3_600_000;
      await again.run();
      return again.history.workshop?.erasures.get(id);
    };
    expect(await forget("first")).toMatchObject({ state: "done", unread: [which] });
    expect(await textOf(again.blobs, "logs/")).toContain(word);
    for (let rest: number | undefined = 0; rest !== undefined; ) {
      const from: number = rest;
      const repaired = await again.history.workshop?.repair({ mode: "isolate", from });
      if (repaired?.ok !== true) throw new Error("it is not repaired");
      rest = repaired.value.next;
    }
    expect(await forget("second")).toMatchObject({ state: "done", unread: [] });
    expect(await textOf(again.blobs, "logs/")).not.toContain(word);
  },
);
