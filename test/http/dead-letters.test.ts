/** What becomes of a record that a group gives up on, and what an operator does to dead letters. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { dataOf, fail, newGroup, one, park, skip } from "./group.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

describe("when the last attempt has failed", () => {
  test("park: a dead letter, the key's later records wait, other keys go on", async () => {
    const group = await newGroup(millrace, { ...park, maxDeliveries: 2 });
    await group.append("a1", "a2", "b1");
    const [first, b1] = await group.receive({ member: "m1" });
    await group.nack(first, { reason: "bad" });
    expect(await group.letters()).toEqual([]);
    const second = one(await group.next({ member: "m2" }));
    expect([second.data, second.attempt]).toEqual(["a1", 2]);
    await group.nack(second, { reason: "worse" });
    await group.ack(b1);
    await group.append("a3", "b2");
    expect(await group.drain()).toEqual(["b2"]);
    expect(await group.letters()).toMatchObject([
      {
        letter: "0.0",
        partition: 0,
        offset: 0,
        key: "a",
        data: "a1",
        state: "dead",
        reason: "worse",
        attempts: 2,
        tries: [
          { attempt: 1, member: "m1", reason: "bad" },
          { attempt: 2, member: "m2", reason: "worse" },
        ],
      },
    ]);
    expect(await group.lanes()).toMatchObject([{ key: "a", state: "parked", offset: 0 }]);
    expect(await group.status()).toMatchObject({ deadLetters: 1, lanes: { parked: 1, retrying: 0 }, inFlight: 0 });
  });

  test("park: a record without a key holds nothing back", async () => {
    const group = await newGroup(millrace, park);
    await group.append("-1", "-2");
    await fail(group, "-1");
    expect(dataOf(await group.letters())).toEqual(["-1"]);
    expect(await group.lanes()).toEqual([]);
    expect((await group.status()).lag).toBe(0);
  });

  test("park: in order by partition, all later records wait", async () => {
    const group = await newGroup(millrace, { ...park, order: "partition" });
    await group.append("a1", "b2", "c3");
    await group.nack(one(await group.receive({ max: 1 })));
    expect(await group.receive()).toEqual([]);
    expect(dataOf(await group.letters())).toEqual(["a1"]);
    expect(await group.post("dead-letters/redrive", { letters: ["0.0"] })).toMatchObject({ json: { redriven: 1 } });
    expect(await group.drain()).toEqual(["a1", "b2", "c3"]);
    expect(await group.letters()).toEqual([]);
  });

  test("skip: a dead letter, and the key goes on", async () => {
    const group = await newGroup(millrace, skip);
    await group.append("a1", "a2");
    await group.nack(one(await group.receive()));
    expect(await group.drain()).toEqual(["a2"]);
    expect(dataOf(await group.letters())).toEqual(["a1"]);
    expect(await group.status()).toMatchObject({
      lag: 0,
      deadLetters: 1,
      lanes: { parked: 0, retrying: 0, others: 0 },
    });
  });

  test("skip: in order by partition, the next one goes on", async () => {
    const group = await newGroup(millrace, { ...skip, order: "partition" });
    await group.append("a1", "b2", "c3");
    await group.nack((await group.receive())[0]);
    expect(await group.drain()).toEqual(["b2", "c3"]);
    expect(dataOf(await group.letters())).toEqual(["a1"]);
    expect((await group.status()).lag).toBe(0);
  });

  test("block: it is tried again for ever", async () => {
    const group = await newGroup(millrace, { ...park, onFailure: "block" });
    await group.append("a1", "a2");
    for (const attempt of [1, 2, 3]) {
      const got = one(await group.next());
      expect([got.data, got.attempt]).toEqual(["a1", attempt]);
      await group.nack(got);
    }
    expect(await group.letters()).toEqual([]);
    expect((await group.status()).deadLetters).toBe(0);
  });

  test("a lease that ran out is a failed attempt, even if nobody asks any more", { timeout: 15_000 }, async () => {
    const group = await newGroup(millrace, { ...park, ackTimeoutMs: 100 });
    await group.append("a1");
    await group.receive({ member: "m1" });
    await expect
      .poll(() => group.letters(), { timeout: 10_000 })
      .toMatchObject([{ data: "a1", tries: [{ member: "m1" }] }]);
  });
});

describe("dead letters", () => {
  test("are listed by page, over partitions", async () => {
    const group = await newGroup(millrace, skip, { partitions: 2 });
    const names = Array.from({ length: 7 }, (_, i) => `${String.fromCharCode(97 + i)}1`);
    await group.append(...names);
    await fail(group, ...names);
    const all = await group.letters();
    expect(dataOf(all).sort()).toEqual(names);
    const paged: unknown[] = [];
    let pages = 0;
    for (let query = "?limit=2"; query !== ""; pages++) {
      const { letters, after } = (await group.get(`/dead-letters${query}`)).json;
      paged.push(...letters);
      query = after === undefined ? "" : `?limit=2&after=${after}`;
    }
    expect(paged).toEqual(all);
    expect(pages).toBe(4);
    for (const partition of [0, 1]) {
      const some = all.filter((one: { partition: number }) => one.partition === partition);
      expect(some.length).toBeGreaterThan(0);
      expect(await group.letters(`?partition=${partition}`)).toEqual(some);
      const after = `?partition=${partition}&after=${some[0].letter}`;
      expect(await group.letters(after)).toEqual(some.slice(1));
    }
    expect((await group.get("/dead-letters?partition=2")).json.code).toBe("partition-not-found");
  });

  test("a redriven one is delivered as new, and its key's later ones after it", async () => {
    const group = await newGroup(millrace, { ...park, maxDeliveries: 2 });
    await group.append("a1", "a2");
    for (const _ of [1, 2]) await group.nack(one(await group.next()));
    expect((await group.post("dead-letters/redrive", { letters: ["0.0"] })).json).toEqual({ redriven: 1 });
    const again = one(await group.next());
    expect([again.data, again.attempt]).toEqual(["a1", 1]);
    expect(await group.letters()).toMatchObject([{ letter: "0.0", state: "redriven" }]);
    await group.ack(again);
    expect(await group.letters()).toEqual([]);
    expect(await group.drain()).toEqual(["a2"]);
  });

  test("one that was skipped is delivered again while its key goes on", async () => {
    const group = await newGroup(millrace, skip);
    await group.append("a1", "a2");
    await fail(group, "a1");
    await group.post("dead-letters/redrive", { letters: ["0.0"] });
    await group.append("a3");
    expect((await group.drain()).sort()).toEqual(["a1", "a3"]);
    expect(await group.letters()).toEqual([]);
    expect(await group.status()).toMatchObject({ lag: 0, deadLetters: 0 });
  });

  test("one that fails again is one dead letter, with all its tries", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2");
    await fail(group, "a1");
    await group.post("dead-letters/redrive", { letters: ["0.0"] });
    await fail(group, "a1");
    expect(await group.letters()).toMatchObject([{ letter: "0.0", state: "dead", attempts: 2, tries: [{}, {}] }]);
    expect(await group.lanes()).toMatchObject([{ state: "parked" }]);
    expect((await group.status()).deadLetters).toBe(1);
  });

  test("all are redriven at once", async () => {
    const group = await newGroup(millrace, park, { partitions: 2 });
    await group.append("a1", "b1", "c1", "d1", "a2");
    await fail(group, "a1", "b1", "c1", "d1");
    expect((await group.post("dead-letters/redrive", { all: true })).json).toEqual({ redriven: 4 });
    expect((await group.drain()).sort()).toEqual(["a1", "a2", "b1", "c1", "d1"]);
    expect((await group.post("dead-letters/redrive", { all: true })).json).toEqual({ redriven: 0 });
  });

  test("what is redriven twice comes once", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1");
    await fail(group, "a1");
    for (const _ of [1, 2]) await group.post("dead-letters/redrive", { letters: ["0.0"] });
    expect(await group.drain()).toEqual(["a1"]);
  });

  test.each(["redrive", "discard"])("%s: one that is named twice, or by two at once, counts once", async (order) => {
    const group = await newGroup(millrace, skip);
    await group.append("a1", "b1", "c1");
    await fail(group, "a1", "b1", "c1");
    const said = order === "redrive" ? "redriven" : "discarded";
    const twice = { letters: ["0.0", "0.0"] };
    expect((await group.post(`dead-letters/${order}`, twice)).json).toEqual({ [said]: 1 });
    await Promise.all([1, 2, 3].map(() => group.post(`dead-letters/${order}`, { letters: ["0.1", "0.1"] })));
    // What was done to one leaves the others whole, in the list, in the count, and by name.
    const dead = (await group.letters()).filter(({ state }: { state: string }) => state === "dead");
    expect(dead).toMatchObject([{ letter: "0.2" }]);
    expect((await group.status()).deadLetters).toBe((await group.letters()).length);
    expect((await group.drain()).sort()).toEqual(order === "redrive" ? ["a1", "b1"] : []);
    expect((await group.status()).deadLetters).toBe(1);
    expect((await group.post(`dead-letters/${order}`, { letters: ["0.2"] })).json).toEqual({ [said]: 1 });
  });

  test("one is redriven with other data, and its other fields", async () => {
    const group = await newGroup(millrace, park);
    await group.appendRecords([
      { key: "a", type: "order", source: "/s", id: "7", tags: ["red"], data: { total: "4 2" } },
    ]);
    await group.nack(one(await group.receive()));
    const data = { total: 42, note: "é" };
    expect((await group.post("dead-letters/redrive", { letter: "0.0", data })).json).toEqual({ redriven: 1 });
    const again = one(await group.next());
    expect(again).toMatchObject({ key: "a", type: "order", source: "/s", id: "7", tags: ["red"], data, offset: 0 });
    await group.nack(again);
    expect(await group.letters()).toMatchObject([{ data }]);
    const { records } = (await millrace.call("GET", `${group.stream}/records`)).json;
    expect(records).toMatchObject([{ data: { total: "4 2" } }]);
  });

  test("one is redriven with the very bytes that were sent, as many as a record may have", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1");
    await group.nack(one(await group.receive()));
    const edit = async (data: string) =>
      millrace.call("POST", `${group.path}/dead-letters/redrive`, `{"letter":"0.0","data": ${data} }`, {
        "content-type": "application/json",
      });
    const full = limits.recordBytesMax - 4;
    for (const data of [
      '{"n":9007199254740993,"d":1.10,"e":1e400,"a":1,"a":2,"\\ud800":"\\/"}',
      `${"[".repeat(100_000)}${"]".repeat(100_000)}`,
      `"${"x".repeat(full - 2)}"`,
    ]) {
      expect((await edit(data)).json).toEqual({ redriven: 1 });
      const { text } = await group.post("receive", { waitSeconds: 10 });
      expect(text.includes(`"data":${data}`), data.slice(0, 40)).toBe(true);
      const receipts = [/"receipt":"([^"]*)"/.exec(text)![1]];
      expect((await group.post("nack", { receipts })).json).toEqual({ settled: 1 });
    }
    expect(await edit(`"${"x".repeat(full - 1)}"`)).toMatchObject({ status: 413, json: { code: "record-too-large" } });
  });

  test("one that may be edited to null, false or nothing", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1");
    await group.nack(one(await group.receive()));
    for (const data of [null, false, "", 0]) {
      await group.post("dead-letters/redrive", { letter: "0.0", data });
      const again = one(await group.next());
      expect(again.data).toBe(data);
      await group.nack(again);
    }
  });

  test("a discarded one is gone, and its key goes on", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2", "b1");
    await fail(group, "a1", "b1");
    expect((await group.post("dead-letters/discard", { letters: ["0.0"] })).json).toEqual({ discarded: 1 });
    expect(await group.drain()).toEqual(["a2"]);
    expect(dataOf(await group.letters())).toEqual(["b1"]);
    expect((await group.post("dead-letters/discard", { all: true })).json).toEqual({ discarded: 1 });
    expect(await group.status()).toMatchObject({ lag: 0, deadLetters: 0, lanes: { parked: 0 } });
  });

  test("one that is not there is refused", async () => {
    const group = await newGroup(millrace, park, { partitions: 2 });
    const gone = { status: 404, json: { code: "letter-not-found" } };
    expect(await group.post("dead-letters/redrive", { letters: ["0.0"] })).toMatchObject(gone);
    await group.append("a1", "b1", "c1", "d1");
    expect(await group.post("dead-letters/redrive", { letters: ["0.0"] })).toMatchObject(gone);
    expect(await group.post("dead-letters/redrive", { letter: "0.0", data: 1 })).toMatchObject(gone);
    expect(await group.post("dead-letters/discard", { letters: ["1.0"] })).toMatchObject(gone);
    expect((await group.post("dead-letters/discard", { letters: ["7.0"] })).json.code).toBe("partition-not-found");
    for (const body of [{}, { all: false }, { letters: [] }, { letters: ["x"] }, { letters: ["0.0"], all: true }]) {
      expect((await group.post("dead-letters/discard", body)).status, JSON.stringify(body)).toBe(400);
    }
  });

  test("of several ids one is not there: the others are as they were", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "b1");
    await fail(group, "a1", "b1");
    expect((await group.post("dead-letters/discard", { letters: ["0.0", "0.9"] })).status).toBe(404);
    expect(dataOf(await group.letters())).toEqual(["a1", "b1"]);
  });

  test("outlive the trimming of their records", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "a2");
    await fail(group, "a1");
    await millrace.call("POST", `${group.stream}/partitions/0/trim`, { beforeOffset: 2 });
    await group.post("dead-letters/redrive", { all: true });
    const [first] = await group.next();
    expect(first.data).toBe("a1");
    await group.ack(first);
    expect(await group.letters()).toEqual([]);
  });

  test("from where a group seeks on are delivered from the log instead", async () => {
    const group = await newGroup(millrace, park);
    await group.append("a1", "b2", "c3");
    await fail(group, "a1", "c3");
    await group.post("seek", { to: 1 });
    expect(dataOf(await group.letters())).toEqual(["a1"]);
    expect(await group.drain()).toEqual(["b2", "c3"]);
  });

  test("count what was tried before they were edited on their way", async () => {
    const group = await newGroup(millrace, { ...skip, maxDeliveries: 2 });
    await group.append("a1");
    const failOnce = async () => group.nack(one(await group.next()));
    for (const _ of [1, 2]) await failOnce();
    await group.post("dead-letters/redrive", { letters: ["0.0"] });
    await failOnce();
    expect((await group.post("dead-letters/redrive", { letter: "0.0", data: "b1" })).json).toEqual({ redriven: 1 });
    for (const _ of [1, 2]) await failOnce();
    const [letter] = await group.letters();
    expect([letter.data, letter.attempts, letter.tries.length]).toEqual(["b1", 5, 5]);
  });

  test("wait for the end of an incident as others do, if they are not of its keys", async () => {
    const group = await newGroup(millrace, skip);
    await group.append("a1", "a2", "b1", "-2");
    await fail(group, "a1", "b1", "-2");
    await group.put({ only: ["b"] });
    expect((await group.post("dead-letters/redrive", { all: true })).json).toEqual({ redriven: 3 });
    expect(await group.drain()).toEqual(["b1"]);
    await group.put({ only: null });
    expect((await group.drain()).sort()).toEqual(["-2", "a1"]);
  });
});

test("a page of letters is of some MiB at most, over however many partitions", { timeout: 60_000 }, async () => {
  const group = await newGroup(millrace, { onFailure: "skip", maxDeliveries: 1 }, { partitions: 4 });
  const text = "x".repeat(700_000);
  for (let n = 0; n < 8; n++) {
    const body = { records: [{ data: `${n} ${text}` }] };
    expect((await millrace.call("POST", `${group.stream}/records?partition=${n % 4}`, body)).status).toBe(201);
  }
  for (let left = 8; left > 0; ) {
    const got = await group.receive();
    left -= got.length;
    for (const one of got) await group.nack(one);
  }
  const seen: string[] = [];
  let after = "";
  do {
    const { text, json } = await millrace.call("GET", `${group.path}/dead-letters?limit=1000${after}`);
    expect(text.length).toBeLessThan(3_000_000);
    expect(json.letters.length).toBeGreaterThan(0);
    seen.push(...json.letters.map(({ data }: { data: string }) => data.slice(0, 1)));
    after = json.after === undefined ? "" : `&after=${json.after}`;
  } while (after !== "");
  expect(seen.sort()).toEqual(["0", "1", "2", "3", "4", "5", "6", "7"]);
});
