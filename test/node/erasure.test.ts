/** Forgetting where the archive has changed, lost answers, or is damaged; and truncation, which comes to an end. */
import { expect, test, vi } from "vitest";
import { Rewriter } from "../../src/archive/rewrite.ts";
import { type Desk, past } from "../../src/objects/past.ts";
import type { Machine } from "../cases/archive.ts";
import { machine, ofKey } from "./machine.ts";

// The faults say so.
vi.spyOn(console, "error").mockReturnValue();

const hour = 3_600_000;

const keysIn = async ({ blobs }: Machine) => (await blobs.list("")).blobs.map(({ key }) => key);

/** Forgets a key, and waits long enough for whatever is to be tried again. */
async function forget(one: Machine, key: string) {
  const id = `request-${key}`;
  one.history.workshop?.erasures.request(id, { key }, one.now);
  for (let wait = 0; wait < 4; wait++) {
    one.now += hour;
    await one.run();
  }
  return one.history.workshop?.erasures.get(id);
}

/** A bit of a chunk's body is another. */
const damage = ({ sql }: Machine, base: number) =>
  sql.run(
    "UPDATE chunk SET body = CAST(substr(body, 1, 60) || x'ff' || substr(body, 62) AS BLOB) WHERE base = ?",
    base,
  );

test("deletes the Parquet file of a stream that does not make them any more", async () => {
  const one = machine({ archive: true, parquet: [] }, { names: { namespace: "shop", stream: "orders" } });
  one.append(ofKey("jane"));
  one.seal();
  await one.run();
  expect((await keysIn(one)).map((key) => key.split("/")[0]).sort()).toEqual(["logs", "parquet"]);
  one.retain({ archive: true });
  expect(await forget(one, "jane")).toMatchObject({ state: "done" });
  expect((await keysIn(one)).map((key) => key.split("/")[0])).toEqual(["logs"]);
});

test("deletes an object of which nothing is noted, because the answer was lost before the archive was given up", async () => {
  const one = machine({ archive: true });
  one.append(ofKey("jane"));
  one.seal();
  await one.run({ at: 1, kind: "crash after" });
  expect((await keysIn(one)).length).toBe(1);
  one.retain({});
  expect(await forget(one, "jane")).toMatchObject({ state: "done" });
  expect(await keysIn(one)).toEqual([]);
});

test("says which chunk is damaged, and was not searched, also in a segment that is archived", async () => {
  const one = machine({ archive: true });
  one.append(ofKey("jane", 100));
  one.append(ofKey("joe"));
  damage(one, 0);
  one.seal();
  await one.run();
  expect(await forget(one, "jane")).toMatchObject({ state: "done", unread: [0] });
});

test("searches the open segment too: a log that was restored has in it what was sealed where it was dumped", async () => {
  const one = machine({});
  one.append(ofKey("jane"), ofKey("joe"));
  const { log } = one;
  const to = log.span.tail;
  const asked = { id: "r", state: "rewriting", target: { key: "jane" }, to, at: 0, records: 0, segments: 0 };
  log.segments.meta.setMeta("erasure:r", JSON.stringify({ ...asked, objects: [], unread: [], requested: 0 }));
  one.now += hour;
  await one.run();
  expect(one.history.workshop?.erasures.get("r")).toMatchObject({ state: "done", records: 1 });
});

test("a repair does not miss what was trimmed, and leaves objects that are what they should be", async () => {
  const one = machine({ archive: true });
  for (let chunk = 0; chunk < 3; chunk++) one.append(ofKey("jane"), ofKey("joe"));
  one.log.trim(3, one.now);
  one.seal();
  await one.run();
  const before = await keysIn(one);
  expect(before.length).toBe(1);
  expect(await one.history.workshop?.repair({ mode: "isolate", from: 0 })).toMatchObject({
    ok: true,
    value: { lost: [] },
  });
  await one.run();
  expect(await keysIn(one)).toEqual(before);
});

const gone = ({ sql }: Machine, base: number) => sql.run("DELETE FROM chunk WHERE base = ?", base);

test.each([
  ["the first is damaged", damage, 0],
  ["the last is damaged", damage, 4],
  ["the first is missing", gone, 0],
  ["one is missing", gone, 2],
  ["the last is missing", gone, 4],
] as const)("of chunks that the bucket has whole a repair gives up nothing: %s", async (_, harm, base) => {
  const made = async () => {
    const one = machine({ archive: true });
    for (let chunk = 0; chunk < 3; chunk++) one.append(ofKey("jane", 100), ofKey("joe"));
    one.seal();
    await one.run();
    expect([...one.log.segments.store.from(0)]).toMatchObject([{ hot: 1 }]);
    harm(one, base);
    return one;
  };
  const repair = (one: Machine) => one.history.workshop?.repair({ mode: "isolate", from: 0 });
  const one = await made();
  const [{ n }] = one.log.segments.store.from(0);
  expect(await repair(one)).toMatchObject({ ok: true, value: { lost: [] } });
  expect([...one.log.segments.store.from(0)]).toMatchObject([{ n, hot: 0 }]);
  // Without the object, what is whole in the database stays.
  const other = await made();
  await other.blobs.delete(await keysIn(other));
  expect(await repair(other)).toMatchObject({ value: { lost: [{ from: base, to: base + 2 }] } });
});

const both = [
  ["damaged", damage],
  ["missing", gone],
] as const;

test.each(both)(
  "searches the object where a chunk in the database is %s, and loses nobody else's records",
  async (_, harm) => {
    for (const base of [0, 2, 4]) {
      for (const key of ["jane", "alone"]) {
        const one = machine({ archive: true });
        for (let chunk = 0; chunk < 6; chunk += 2)
          one.append(ofKey(chunk === base ? "alone" : "jane", 100), ofKey("joe"));
        one.seal();
        await one.run();
        harm(one, base);
        expect(await forget(one, key)).toMatchObject({ state: "done", records: key === "jane" ? 2 : 1, unread: [] });
        expect(await one.history.workshop?.repair({ mode: "isolate", from: 0 })).toMatchObject({
          ok: true,
          value: { lost: [] },
        });
        const records = (await one.read({ at: "earliest" })).map(({ record }) => record.key ?? "");
        expect(records.filter((found) => found === "joe")).toHaveLength(3);
        expect(records).toHaveLength(6);
        expect(records).not.toContain(key);
      }
    }
  },
);

test("what a repair brings back is searched by a request that is not done yet", async () => {
  const one = machine({ archive: true });
  one.append(ofKey("jane", 100), ofKey("joe"));
  one.seal();
  await one.run();
  const [object] = await keysIn(one);
  damage(one, 0);
  // The object is out of sight while the database is searched, and a bucket that deletes nothing holds up the receipt.
  one.hidden.add(object);
  one.log.segments.store.addGarbage(`logs/${one.spec.logId}/0/${"0".repeat(16)}-99.seg`, one.now + 10 * hour);
  const { workshop } = one.history;
  workshop?.erasures.request("r", { key: "jane" }, one.now);
  await one.run();
  expect(workshop?.erasures.get("r")).toMatchObject({ state: "deleting", unread: [0] });
  one.hidden.clear();
  await workshop?.repair({ mode: "isolate", from: 0 });
  for (let wait = 0; wait < 12; wait++) {
    one.now += hour;
    await one.run();
  }
  expect(workshop?.erasures.get("r")).toMatchObject({ state: "done", unread: [], records: 1 });
  expect((await one.read({ at: "earliest" })).map(({ record }) => record.key)).toEqual([undefined, "joe"]);
});

test.each(["a later segment is searched", "the groups are asked"])(
  "what a repair sets back stays so, though meanwhile %s",
  async (step) => {
    const one = machine({});
    for (let segment = 0; segment < 2; segment++) {
      one.append(ofKey("jane"));
      one.seal();
    }
    const erasures = one.history.workshop?.erasures;
    if (erasures === undefined) throw new Error("there is a log");
    erasures.request("r", { key: "jane" }, one.now);
    const search = (unread: readonly number[], meanwhile = () => {}) => {
      const due = erasures.due(one.now);
      if (due?.step !== "chunks") throw new Error("there is a segment to be searched");
      meanwhile();
      erasures.searched(due.erasure, due.segment, new Rewriter(true, () => "keep"), unread, one.now);
      return due.segment;
    };
    const first = search([0]);
    const repaired = () => erasures.repaired(first);
    if (step === "the groups are asked") {
      search([]);
      const due = erasures.due(one.now);
      expect(due?.step).toBe("groups");
      repaired();
      if (due !== undefined) erasures.finish(due.erasure, one.now);
    } else search([], repaired);
    expect(erasures.get("r")).toMatchObject({ state: "rewriting", at: 0, unread: [] });
  },
);

test.each(both)("compaction leaves a segment alone of which a chunk is %s in the database", async (_, harm) => {
  const one = machine({ archive: true, compact: true });
  one.append(ofKey("jane", 100));
  one.append(ofKey("joe", 100));
  one.seal();
  await one.run();
  const before = await keysIn(one);
  harm(one, 1);
  for (let n = 0; n < 10; n++) one.append(ofKey("jane", 100));
  one.seal();
  one.now += hour;
  await one.run();
  expect(await keysIn(one)).toEqual(expect.arrayContaining(before));
});

test("a request's id is not taken for another's", async () => {
  const one = machine({});
  one.append(ofKey("jane"), ofKey("joe"));
  const { erasures } = one.history.workshop ?? {};
  const before = erasures?.request("request", { key: "jane" }, one.now);
  expect(before).toMatchObject({ ok: true, value: { state: "rewriting" } });
  for (const _round of ["while it is at work", "when it is done"]) {
    expect(erasures?.request("request", { key: "jane" }, one.now)).toMatchObject({ ok: true });
    expect(erasures?.request("request", { key: "joe" }, one.now)).toMatchObject({ refusal: { code: "conflict" } });
    expect(erasures?.request("request", { subject: "jane" }, one.now)).toMatchObject({ ok: false });
    await one.run();
  }
  expect(JSON.stringify(erasures?.get("request"))).not.toContain("jane");
});

test("is done though the stream keeps more than half a database at hand", async () => {
  const one = machine({ archive: true, retentionBytes: 400_000 });
  one.log.hotBytesMax = 500_000;
  for (let n = 0; n < 30; n++) one.append(ofKey(`k${n}`, 10_000));
  await one.run();
  expect(await forget(one, "k3")).toMatchObject({ state: "done", records: 1 });
});

test("a truncation leaves what is appended after it was asked for, and ends", async () => {
  const one = machine({});
  for (let n = 0; n < 3; n++) {
    one.append(ofKey("before"));
    one.seal();
  }
  const later: number[] = [];
  let rest: { next?: number; to?: number } = { next: 1 };
  while (rest.next !== undefined) {
    const repaired = await one.history.workshop?.repair({ mode: "truncate", from: rest.next, to: rest.to });
    rest = repaired?.ok ? repaired.value : {};
    later.push(one.log.span.tail);
    one.append(ofKey("later"));
    expect(later.length).toBeLessThan(10);
  }
  expect((await one.read({ at: "earliest" })).map(({ offset }) => offset)).toEqual([0, ...later]);
});

test("a request is taken though a group cannot be told now: it hears of it before the receipt is done", async () => {
  const one = machine({});
  one.append(ofKey("k"), ofKey("other"));
  const desk = { log: one.log, history: one.history } as unknown as Desk;
  const forget = vi.spyOn(one.history.outside, "forget");
  forget.mockRejectedValueOnce(new Error("the archive could not be read"));
  expect(await past.erase(desk, "e", { key: "k" })).toMatchObject({
    ok: true,
    value: { view: { state: "rewriting" } },
  });
  await one.run();
  expect(one.history.workshop?.erasures.get("e")?.state).toBe("done");
  expect(forget.mock.calls.map(([, , last]) => last)).toEqual([false, true]);
});
