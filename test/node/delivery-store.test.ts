/** How a delivery keeps its lanes, letters and leases: what is read is what was written, in few rows, and bounded ones. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LaneLog } from "../../src/delivery/lane-log.ts";
import { Leases } from "../../src/delivery/leases.ts";
import { LetterPages } from "../../src/delivery/letter-pages.ts";
import { isWaiting, type LaneRow, type LetterRow, Store } from "../../src/delivery/store.ts";
import { Rig, value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

/** The platform's rows end at 2 MB. */
const rowBytesMax = 2_000_000;

const sizes = (store: Store, table: string, column: string) =>
  store.sql.all<{ size: number }>(`SELECT length(${column}) AS size FROM ${table}`).map(({ size }) => size);

const place = { floor: 0, era: 0, done: new Uint8Array(), acked: new Uint8Array(), generation: 0, redeliveries: 0 };

const laneRow = (id: number, start: number, reasonChars: number): LaneRow => ({
  id,
  kind: "key",
  key: `key "${id}"`,
  start,
  state: "retry",
  attempts: start + 1,
  due: start * 7,
  tries: JSON.stringify([{ attempt: 1, at: 1, member: "m", reason: "x".repeat(reasonChars) }]),
  redriven: 0,
  voided: 1,
  waiting: 2,
  counted: 3,
  time: null,
  exact: 1,
  ahead: 0,
});

test("lanes come back as they were saved last, whatever changed together, and are as many rows as they are worth", () => {
  const change = fc.record({
    set: fc.array(fc.tuple(fc.integer({ min: 1, max: 400 }), fc.nat(1_000), fc.constantFrom(0, 10, 900))),
    drop: fc.array(fc.integer({ min: 1, max: 400 })),
    crash: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), (changes) => {
      const store = new Store(nodeSql());
      store.setPlace({ ...place, recent: "[]" });
      let log = new LaneLog(store);
      log.load();
      const lanes = new Map<number, LaneRow>();
      for (const { set, drop, crash } of changes) {
        for (const id of drop) lanes.delete(id);
        for (const [id, start, chars] of set) lanes.set(id, laneRow(id, start, chars));
        const changed = new Set(set.map(([id]) => lanes.get(id)!));
        const gone = drop.filter((id) => !lanes.has(id));
        log.save(changed, gone, lanes.size, () => lanes.values());
        store.setPlace({ ...place, recent: log.recent });
        if (!crash) continue;
        log = new LaneLog(store);
        expect(log.load()).toEqual([...lanes.values()].sort((a, b) => a.id - b.id));
      }
      const entries = store.parts("lanes").flatMap(({ body }) => JSON.parse(body));
      expect(entries.length).toBeLessThanOrEqual(2 * lanes.size + 256 + 400);
      for (const size of sizes(store, "lanes", "body")) expect(size).toBeLessThan(300_000);
    }),
    { numRuns: 40 },
  );
});

const letterRow = (offset: number, bytes: number, redriven: boolean, forward: number | null): LetterRow => ({
  offset,
  timestamp: offset,
  key: offset % 3 === 0 ? null : `k${offset % 3}`,
  died: 1,
  attempts: 2,
  reason: "because",
  tries: "[]",
  state: redriven ? "redriven" : "dead",
  checked: 1,
  forward,
  body: new Uint8Array(bytes).fill(offset),
});

test("letters are found, listed and counted as in a map, over any number of pages, and are written together", () => {
  const put = fc.tuple(fc.nat(3_000), fc.constantFrom(2, 40, 3_000, 200_000), fc.boolean(), fc.option(fc.nat(9)));
  const change = fc.oneof(
    { arbitrary: fc.record({ put: fc.array(put, { maxLength: 80 }) }), weight: 3 },
    fc.record({ run: fc.tuple(fc.nat(3_000), fc.nat(600)) }),
    fc.record({ drop: fc.array(fc.nat(3_000), { maxLength: 200 }) }),
    fc.record({ crash: fc.constant(true) }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(3_000), (changes, from) => {
      const store = new Store(nodeSql());
      let pages = new LetterPages(store);
      const letters = new Map<number, LetterRow>();
      const set = (letter: LetterRow) => {
        letters.set(letter.offset, letter);
        pages.put(letter);
      };
      for (const one of changes) {
        if ("put" in one) for (const [offset, ...rest] of one.put) set(letterRow(offset, ...rest));
        else if ("run" in one) for (let n = 0; n < one.run[1]; n++) set(letterRow(one.run[0] + n, 9, false, null));
        else if ("drop" in one) for (const offset of one.drop) expect(pages.drop(offset)).toBe(letters.delete(offset));
        else {
          pages.flush();
          pages = new LetterPages(store);
        }
        pages.check();
      }
      const all = [...letters.values()].sort((a, b) => a.offset - b.offset);
      expect(pages.count).toBe(all.length);
      expect([...pages.after(-1)]).toEqual(all);
      expect([...pages.after(from)]).toEqual(all.filter(({ offset }) => offset > from));
      expect([...pages.after(-1, ({ forward }) => forward > 0)].filter(({ forward }) => isWaiting(forward))).toEqual(
        all.filter(({ forward }) => isWaiting(forward)),
      );
      for (const letter of all) expect(pages.get(letter.offset)).toEqual(letter);
      expect(pages.get(5_000)).toBeUndefined();
      pages.flush();
      for (const size of sizes(store, "letters", "body")) expect(size).toBeLessThan(rowBytesMax);
      // Pages that were cut are half full at least, but for the last one.
      const small = all.every(({ body }) => body.length < 100);
      if (small) expect(sizes(store, "letters", "n").length).toBeLessThanOrEqual(2 + all.length / 32);
    }),
    { numRuns: 20 },
  );
});

test("the rows of ten thousand leases of members with long names are rows that the platform takes", () => {
  const store = new Store(nodeSql());
  const rig = new Rig(nodeSql(), nodeSql(), { maxInFlight: 10_000, order: "none" });
  rig.append(Array.from({ length: 10_000 }, () => undefined));
  const leases = new Leases();
  rig.fill();
  for (let n = 0; n < 10_000; n++) {
    const member = "\u0001".repeat(124) + String(n).padStart(4, "0");
    const item = { ...[...rig.delivery.state.window.items.values()][0], offset: n };
    leases.grant(item, member, n, 0, 60_000);
  }
  leases.save(store, 10_000);
  const rows = sizes(store, "leases", "body");
  expect(rows).toHaveLength(10);
  for (const size of rows) expect(size).toBeLessThan(rowBytesMax);
  const read = new Leases();
  read.load(store);
  expect(read.restored.size).toBe(10_000);
});

/** As version 1 had them. */
const oldTables = [
  "progress (id INTEGER PRIMARY KEY, floor INTEGER NOT NULL, era INTEGER NOT NULL, done BLOB NOT NULL)",
  `lane (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT, start INTEGER NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, due INTEGER NOT NULL, tries TEXT NOT NULL, redriven INTEGER NOT NULL)`,
  `letter (offset INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, key TEXT, died INTEGER NOT NULL, attempts INTEGER NOT NULL,
    reason TEXT NOT NULL, tries TEXT NOT NULL, state TEXT NOT NULL, checked INTEGER NOT NULL, forward INTEGER,
    body BLOB NOT NULL)`,
];

test("what version 1 wrote is the same place, with its lanes and letters", () => {
  const sql = nodeSql();
  const rig = new Rig(nodeSql(), sql, { onFailure: "park", maxDeliveries: 3 });
  rig.append(["a", "x", "b", "c", "y", "a"]);
  rig.fill();
  const { bytes, from, to } = rig.delivery.state.window.items.get(0)!;
  for (const table of ["place", "lanes", "leases", "letters"]) sql.run(`DROP TABLE ${table}`);
  for (const table of oldTables) sql.run(`CREATE TABLE ${table} STRICT`);
  sql.run("UPDATE meta SET value = '1' WHERE name = 'format'");
  sql.run("DELETE FROM meta WHERE name = 'secret'");
  sql.run("INSERT INTO meta VALUES ('leases', '[[3,1,\"m\",99999999,1]]')");
  // Offset 0 is a's dead letter, 1 and 4 are done, 2 failed once, 3 was under lease, 5 waits behind 0.
  sql.run("INSERT INTO progress VALUES (0, 1, 0, ?)", Uint8Array.of(0, 2, 1, 1));
  const tries = '[{"attempt":1,"at":5,"member":"m","reason":"no"}]';
  sql.run("INSERT INTO lane VALUES (1, 'key', 'a', 0, 'parked', 3, 0, ?, 0)", tries);
  sql.run("INSERT INTO lane VALUES (2, 'key', 'b', 2, 'retry', 1, 0, ?, 0)", tries);
  sql.run("INSERT INTO letter VALUES (0, 1, 'a', 5, 3, 'no', ?, 'dead', 1, NULL, ?)", tries, bytes.slice(from, to));
  rig.crash();
  rig.delivery.state.known = 6;
  expect(rig.letters()).toMatchObject([{ offset: 0, key: "a", reason: "no", tries: [{ attempt: 1, member: "m" }] }]);
  expect(rig.status()).toMatchObject({ deadLetters: 1, lanes: { parked: 1 } });
  const got = rig.receive();
  expect(got.map(({ offset, attempt }) => [offset, attempt]).sort()).toEqual([
    [2, 2],
    [3, 1],
  ]);
  const kept = sql.all("SELECT name FROM sqlite_master WHERE name IN ('progress', 'lane', 'letter')");
  expect(kept).toEqual([]);
  expect(sql.all("SELECT value FROM meta WHERE name = 'format'")).toEqual([{ value: "2" }]);
  rig.ack(...got);
  rig.crash();
  rig.delivery.state.known = 6;
  value(rig.admin.redrive("all", undefined, rig.now));
  expect(rig.drain()).toEqual([0, 5]);
  expect(rig.status()).toMatchObject({ lag: 0, deadLetters: 0 });
});

test.each([
  ["short", 30, 20],
  ["x".repeat(1_000), 10, 4],
  ["x".repeat(5_000), 3, 1],
])("a letter tells how many tries there were, and the newest of them", (reason, attempts, told) => {
  const rig = new Rig(nodeSql(), nodeSql(), { onFailure: "skip", maxDeliveries: attempts, backoff: [0] });
  rig.append(["a"]);
  for (let n = 0; n < attempts; n++) {
    rig.now++;
    rig.nack(rig.receive(), 0, reason);
    if (n === attempts - 2) expect(rig.lanes()[0].tries.length).toBeLessThanOrEqual(told);
  }
  rig.crash();
  const [letter] = rig.letters();
  expect(letter.attempts).toBe(attempts);
  const newest = Array.from({ length: told }, (_, n) => attempts - told + 1 + n);
  expect(letter.tries.map(({ attempt }) => attempt)).toEqual(newest);
});
