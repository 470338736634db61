/** The log and its shell inside workerd: the same properties, and what only a real object can show. */

import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Terms } from "../../src/log/sequence.ts";
import type { PartitionRpc } from "../../src/objects/rpc.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { objectSql } from "../../src/platform/sql.ts";
import { followingAgainstLog } from "../cases/follow.ts";
import { batch, logAgainstModel, pagesAgainstFold, spec } from "../cases/log.ts";
import { emptied } from "./emptied.ts";

const { PARTITION } = env as unknown as Env;
let count = 0;

const named = (name: string) => {
  const stub = PARTITION.getByName(name);
  return { stub, rpc: stub as unknown as PartitionRpc };
};
const fresh = () => named(`${spec.logId}/${count++}`);
const record = (data: string, rest: Partial<Rec> = {}): Rec => ({
  key: "k",
  kind: 1,
  data: new TextEncoder().encode(data),
  ...rest,
});
const append = (rpc: PartitionRpc, records: Rec[], terms: Terms = {}) => {
  const { bytes, hashes } = batch(records, terms);
  return rpc.append(1, bytes, hashes, terms);
};
const page = { from: { at: "earliest" }, limit: 1_000, bytesMax: 1_000_000, waitMs: 0 } as const;

/** Runs a property over the database of a real object. */
const overObject = (property: (open: () => ReturnType<typeof emptied>, runs: number) => void, runs: number) =>
  runInDurableObject(fresh().stub, (_object, { storage }) => property(() => emptied(storage), runs));

test("the log agrees with a list, over the object's own SQLite", () => overObject(logAgainstModel, 60));
test("pages agree with a fold, over the object's own SQLite", () => overObject(pagesAgainstFold, 60));
test("a follower gets the log from where it began, over the object's own SQLite", () =>
  overObject(followingAgainstLog, 40));

describe("group commit", () => {
  test("of two hundred calls at once writes few rows, and answers each with its own offset", async () => {
    const { rpc } = fresh();
    await rpc.configure(spec);
    const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => append(rpc, [record(String(i))])));
    expect([...answers].sort((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 200 }, (_, i) => i));
    const facts = await rpc.order("facts");
    expect(facts).toMatchObject({ ok: true, value: { records: 200, tail: 200 } });
    expect(facts.ok && facts.value.chunks).toBeLessThan(20);
  });

  test("with one refusal answers the others", async () => {
    const { rpc } = fresh();
    await rpc.configure(spec);
    const [a, b, c] = await Promise.all([
      append(rpc, [record("1")]),
      append(rpc, [record("2")], { expectedOffset: 99 }),
      append(rpc, [record("3")]),
    ]);
    expect(b).toMatchObject({ ok: false, refusal: { code: "expected-offset" } });
    expect([a, c].sort()).toEqual([0, 1]);
  });
});

describe("an object", () => {
  test("that does not exist says so, creates nothing, and another version is told which is there", async () => {
    const { stub, rpc } = fresh();
    expect(await append(rpc, [record("1")])).toEqual({ ok: false, moved: 0 });
    expect(await rpc.read(page)).toEqual({ ok: false, moved: 0 });
    await runInDurableObject(stub, (_object, state) => {
      expect(state.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name = 'chunk'").one().n).toBe(0);
    });
    await rpc.configure({ ...spec, version: 7 });
    expect(await append(rpc, [record("1")])).toEqual({ ok: false, moved: 7 });
    await rpc.configure({ ...spec, version: 3 });
    expect(await append(rpc, [record("1")])).toEqual({ ok: false, moved: 7 });
  });

  test("that is sealed points past its version, is still read, and hands on what makes retries safe", async () => {
    const { rpc } = fresh();
    await rpc.configure(spec);
    const terms: Terms = { producer: { id: "p", epoch: 0, sequence: 0, contiguous: true } };
    await append(rpc, [record("1", { id: "e" })], terms);
    await rpc.order("seal");
    expect(await append(rpc, [record("2")])).toEqual({ ok: false, moved: 2 });
    expect(await rpc.read(page)).toMatchObject({ ok: true, value: { tail: 1, sealed: true } });
    const inheritance = await rpc.order("handOn");
    const child = fresh().rpc;
    const next = { ...spec, partition: 1, version: 2, continues: true };
    expect(await child.configure(next)).toBe(false);
    expect(await child.configure(next, inheritance.ok ? inheritance.value : null)).toBe(true);
    const { bytes, hashes } = batch([record("1", { id: "e" })]);
    // By the number the child knows whom to ask, who is sealed and answers; by the id it knows itself.
    const elsewhere = { code: "sequence-stale", facts: { answeredBy: 0 } };
    expect(await child.append(2, bytes, hashes, terms)).toMatchObject({ ok: false, refusal: elsewhere });
    const first = [{ verdict: "duplicate", offset: 0, count: 1 }];
    expect(await rpc.order("answered", terms.producer!, 1)).toEqual({ ok: true, value: first });
    expect(await rpc.order("answered", terms.producer!, 2)).toMatchObject({ refusal: { code: "sequence-conflict" } });
    const byId = [{ verdict: "duplicate", partition: 0, offset: 0, count: 1 }];
    expect(await child.append(2, bytes, hashes)).toEqual({ ok: true, value: byId });
  });

  test("keeps everything that it acknowledged over eviction and abort", async () => {
    const { stub, rpc } = fresh();
    await rpc.configure(spec);
    const terms = (sequence: number): Terms => ({ producer: { id: "p", epoch: 0, sequence, contiguous: true } });
    // A stub fails for good when its object was aborted.
    const name = stub.name as string;
    for (let sequence = 0; sequence < 6; sequence++) {
      await append(named(name).rpc, [record(String(sequence))], terms(sequence));
      if (sequence % 2 === 0) await evictDurableObject(named(name).stub);
      else await abortAllDurableObjects();
    }
    const { rpc: again } = named(name);
    expect(await append(again, [record("5")], terms(5))).toEqual({
      ok: true,
      value: [{ verdict: "duplicate", offset: 5, count: 1 }],
    });
    expect(await again.order("facts")).toMatchObject({ ok: true, value: { records: 6, tail: 6 } });
  });

  test("wakes its waiting readers, and only for what their filter wants", async () => {
    const { rpc } = fresh();
    await rpc.configure(spec);
    const waiting = rpc.read({ ...page, waitMs: 20_000, filter: { types: ["wanted"] } });
    await append(rpc, [record("1", { type: "other" })]);
    await append(rpc, [record("2", { type: "wanted" })]);
    expect(await waiting).toMatchObject({ ok: true, value: { to: 2, tail: 2, pieces: [{}] } });
    expect(await rpc.read({ ...page, from: { at: "latest" }, waitMs: 50 })).toMatchObject({
      ok: true,
      value: { pieces: [], upToDate: true },
    });
  });

  test("names a damaged chunk by its offsets, and reads on behind it", async () => {
    const { stub, rpc } = fresh();
    await rpc.configure(spec);
    for (let i = 0; i < 3; i++) await append(rpc, [record(String(i))]);
    await runInDurableObject(stub, (_object, state) => {
      state.storage.sql.exec("UPDATE chunk SET body = zeroblob(length(body)) WHERE base = 1");
    });
    const read = await rpc.read(page);
    expect(read.ok && read.value.pieces.map((piece) => ("damaged" in piece ? piece.damaged.from : "whole"))).toEqual([
      "whole",
      1,
      "whole",
    ]);
    expect(await rpc.order("verify", 0, 1e9)).toMatchObject({
      ok: true,
      value: { damaged: [{ chunk: 1, from: 1, to: 2 }] },
    });
  });

  test("is gone when it is destroyed, storage and all; another log's order to destroy it is not meant for it", async () => {
    const { stub, rpc } = fresh();
    await rpc.configure(spec);
    await append(rpc, [record("1")]);
    await rpc.destroy("another", 0, "default");
    expect(await rpc.order("facts")).toMatchObject({ ok: true, value: { tail: 1 } });
    await rpc.destroy(spec.logId, 0, "default");
    expect(await append(rpc, [record("1")])).toEqual({ ok: false, moved: 0 });
    await runInDurableObject(stub, (_object, state) => {
      expect(Log.open(objectSql(state.storage), 0)).toBeUndefined();
    });
  });

  test("whose alarm went with what was deleted sets another for what comes in its place", async () => {
    const { stub, rpc } = fresh();
    const aged = { ...spec, retention: { ...keepAll, retentionAgeMs: 60_000 } };
    const alarm = () => runInDurableObject(stub, (_object, { storage }) => storage.getAlarm());
    for (let life = 0; life < 2; life++) {
      await rpc.configure(aged);
      await append(rpc, [record("1")]);
      expect(await alarm()).not.toBeNull();
      expect(await rpc.destroy(spec.logId, 0, "default")).toBe(true);
      expect(await alarm()).toBeNull();
    }
  });
});
