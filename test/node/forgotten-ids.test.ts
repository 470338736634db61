/** A retry brings nothing back that was forgotten: its id stays known within the window, whatever happens around it. */
import { describe, expect, test } from "vitest";
import type { Target } from "../../schemas/erasure.ts";
import type { Result } from "../../schemas/errors.ts";
import { jsonBlock, readBlocks, readChunk } from "../../src/archive/dump.ts";
import { chunksPage, stateBlocks } from "../../src/archive/dump-log.ts";
import { partOf } from "../../src/archive/dump-part.ts";
import { finish, take } from "../../src/archive/restore-log.ts";
import { concat } from "../../src/lib/bytes.ts";
import type { ChunkRow } from "../../src/log/chunk-head.ts";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import type { Spec } from "../../src/log/spec.ts";
import { Machine } from "../cases/archive.ts";
import { textIn } from "../cases/forgetting.ts";
import { batch } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { machine, ofKey } from "./machine.ts";
import { nodeSql } from "./sqlite.ts";

const windowMs = 600_000;
const said = new TextEncoder().encode("what is to be forgotten");
const mine: Rec = { key: "jane", id: "1", source: "shop", subject: "about/jane", kind: 1, data: said };

const other = (one: Machine) => one.append(ofKey("joe"));

/** What may happen to a partition before and after somebody is forgotten; the last of them goes on. */
const steps: Record<string, (one: Machine) => Machine | Promise<void> | void> = {
  grows: other,
  "starts anew": (one) => one.reopen(),
  archives: (one) => {
    one.seal();
    return one.run();
  },
  "is asked again": (one) => void append(one),
  "is dumped and restored": ({ log, spec, now }) => {
    const sql = nodeSql();
    const copy = Log.create(sql, spec, now, undefined, true);
    const chunks: Uint8Array[] = [];
    const rows: ChunkRow[] = [];
    const { tail } = log.span;
    for (let from = 0; from < tail; ) {
      const page = some(chunksPage(log, from, tail));
      chunks.push(page.blocks);
      rows.push(...some(readBlocks(page.blocks)).map(({ payload }) => some(readChunk(payload))));
      from = rows[rows.length - 1].next;
    }
    const records = rows.reduce((sum, row) => sum + row.records, 0);
    const close = jsonBlock("close", { partition: spec.partition, chunks: rows.length, records });
    const blocks = concat([...stateBlocks(log), ...chunks, close]);
    some(
      take(
        copy,
        some(readBlocks(blocks)).map((block) => some(partOf(block))),
        now,
      ),
    );
    finish(copy, now);
    const next = new Machine(sql, memoryBlobs(), spec);
    next.now = now;
    return next;
  },
  splits: (one) => {
    one.log.seal();
    const inheritance = one.log.handOn(one.now);
    const spec: Spec = { ...one.spec, partition: one.spec.partition + 1, continues: true };
    const sql = nodeSql();
    Log.create(sql, spec, one.now, inheritance);
    const next = new Machine(sql, one.blobs, spec);
    next.now = one.now;
    return next;
  },
};

const some = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.refusal.detail);
  return result.value;
};

const append = (one: Machine) => {
  const [answer] = one.log.append([batch([mine])], one.now);
  return some(answer);
};

async function erase(all: readonly Machine[], target: Target): Promise<void> {
  for (const one of all) {
    one.history.workshop?.erasures.request("request", target, one.now);
    await one.run();
    expect(one.history.workshop?.erasures.get("request")).toMatchObject({ state: "done" });
  }
}

const none = "nothing";
const names = [none, ...Object.keys(steps)];
const ways = names.flatMap((before) => names.map((after) => [before, after] as const));

describe.each<[string, Target]>([
  ["a key", { key: "jane" }],
  ["a subject", { subject: "about/jane" }],
])("of %s", (_, target) => {
  test.each(ways)("before: %s; after: %s", async (before, after) => {
    const all = [machine({ archive: true }, { deduplicationWindowMs: windowMs })];
    const go = async (name: string) => {
      const came = name === none ? undefined : await steps[name](all[all.length - 1]);
      if (came !== undefined) all.push(came);
    };
    const [first] = all;
    other(first);
    expect(append(first)).toEqual([{ verdict: "appended", offset: 1, count: 1 }]);
    await go(before);
    await erase(all, target);
    await go(after);
    const one = all[all.length - 1];
    one.now = 1_000 + windowMs;
    expect(append(one)).toEqual([expect.objectContaining({ verdict: "duplicate", offset: 1, count: 1 })]);
    for (const { sql } of all) expect(textIn(sql)).not.toContain("what is to be forgotten");
    // Behind the window it is another record.
    one.now++;
    one.reopen();
    expect(append(one)).toEqual([expect.objectContaining({ verdict: "appended" })]);
  });
});

test("keeps the ids of the window only, and drops them with it", async () => {
  const one = machine({ archive: true }, { deduplicationWindowMs: windowMs });
  append(one);
  one.now += windowMs + 1;
  await erase([one], { key: "jane" });
  expect(one.log.segments.meta.countInherited()).toBe(0);
});
