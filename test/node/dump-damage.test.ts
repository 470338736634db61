/** A dump that is found intact can be restored, and one that is found damaged cannot: each field in every way. */
import { describe, expect, test } from "vitest";
import { groupDefaults } from "../../schemas/group.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import { type Block, jsonBlock, letterBlock } from "../../src/archive/dump.ts";
import { chunksPage, keysPage, stateBlocks } from "../../src/archive/dump-log.ts";
import { placePage } from "../../src/delivery/dump.ts";
import { Store } from "../../src/delivery/store.ts";
import { toBase64 } from "../../src/lib/base64.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { Log } from "../../src/log/log.ts";
import { changed, jsonIn, liesOf, withValue } from "../cases/damage.ts";
import { Rig } from "../cases/delivery.ts";
import { batch, spec } from "../cases/log.ts";
import { times } from "../cases/long.ts";
import { blockOf, blocksOf, restored, verified } from "../cases/restoring.ts";
import { nodeSql } from "./sqlite.ts";

const now = Date.now();
const id = (n: number) => String(n).repeat(20);
const range = { partition: 0, from: 0, to: 2 ** 32, epoch: 0, sealed: false };

function stream(name: string, n: number, more: object, opened = [0]): Block {
  const config = { ...streamDefaults, partitions: 1, ...more };
  const times = { created: now, updated: now };
  return blockOf("stream", { stream: name, logId: id(n), version: 1, ...times, config, map: [range], opened });
}

/** A log with keys, producers, ids that were handed on, and records of several commits. */
function logBlocks(): Block[] {
  const log = Log.create(nodeSql(), { ...spec, keyIndex: true, deduplicationWindowMs: 600_000 }, 1_000);
  for (let n = 0; n < 6; n++) {
    const records = [0, 1, 2].map((i) => ({ key: `k${n}-${i}`, kind: 1 as const, data: encodeText(`${n}`) }));
    const producer = { id: `p${n % 3}`, epoch: n, sequence: 0, contiguous: true };
    const [answer] = log.append([batch(records, { producer })], 1_000 + n);
    expect(answer.ok).toBe(true);
  }
  const body = new Uint8Array(48);
  log.segments.meta.addInherited({ origin: 0, last: 900, body });
  log.segments.meta.addInherited({ origin: 0, last: 901, body });
  const page = chunksPage(log, 0, log.span.tail);
  if (!page.ok) throw new Error(page.refusal.detail);
  const [keys] = blocksOf(keysPage(log, "").blocks);
  const all = jsonIn(keys) as unknown[];
  const chunks = blocksOf(page.value.blocks);
  return [
    blockOf("partition", { partition: 0 }),
    blockOf("keys", all.slice(0, 9)),
    blockOf("keys", all.slice(9)),
    // Producers go in blocks of some: here of two, and of one.
    ...blocksOf(...stateBlocks(log)).flatMap((block) => {
      const rows = block.name === "producers" ? (jsonIn(block) as unknown[]) : undefined;
      return rows === undefined
        ? [block]
        : [blockOf("producers", rows.slice(0, 2)), blockOf("producers", rows.slice(2))];
    }),
    blockOf("head", { partition: 0, head: 0 }),
    ...chunks,
    blockOf("close", { partition: 0, chunks: chunks.length, records: log.span.tail }),
  ];
}

/** A place with lanes that wait and failed, dead letters, and records that were acked out of order. */
function placeBlocks(group: string): Block[] {
  const rig = new Rig(nodeSql(), nodeSql(), { maxDeliveries: 2, backoff: [0], onFailure: "park" });
  rig.append(["a", "b", "c", undefined, "a", "d", "e", "f"]);
  for (let round = 0; round < 3; round++) {
    const got = rig.receive();
    rig.nack(got.filter(({ key }) => key === "a" || key === undefined));
    rig.nack(
      got.filter(({ key }) => key === "b" || key === "d"),
      600_000,
    );
    rig.ack(...got.filter(({ key }) => key === "e"));
  }
  rig.delivery.state.save();
  const { place, lanes, letters } = placePage(new Store(rig.sql));
  if (place === undefined || lanes.length < 3 || letters.length < 2) throw new Error("the place has not everything");
  const { floor, era, done, acked, ...rest } = place;
  const ranges = { done: toBase64(done), acked: toBase64(acked) };
  return [
    blockOf("place", { group, partition: 0, floor, era, ...ranges, lost: "[]", unheard: "[1]", ...rest }),
    ...blocksOf(jsonBlock("lanes", lanes.slice(0, 2)), jsonBlock("lanes", lanes.slice(2))),
    ...blocksOf(...letters.map(({ body, ...letter }) => letterBlock(letter, body))),
    blockOf("settled", { group, partition: 0, lanes: lanes.length, letters: letters.length }),
  ];
}

const groupBlock = (group: string, n: number): Block =>
  blockOf("group", {
    group,
    id: id(n),
    version: 1,
    paused: true,
    because: { reason: "lunch", at: now },
    partitions: 1,
    created: now,
    updated: now,
    config: { ...groupDefaults, deadLetterStream: "letters" },
    opened: [0],
  });

/** Two streams, one of which tells the other of its segments, and chooses its offsets. */
function dump(): Block[] {
  const sparse = Log.create(nodeSql(), { ...spec, offsets: "producer" }, 1_000);
  for (const offset of [3, 7, 2_000])
    sparse.append([batch([{ offset, kind: 1, data: encodeText("1") }])], 1_000 + offset);
  const page = chunksPage(sparse, 0, sparse.span.tail);
  const chunks = page.ok ? blocksOf(page.value.blocks) : [];
  return [
    stream("orders", 1, { keyIndex: true }),
    groupBlock("billing", 2),
    ...placeBlocks("billing"),
    groupBlock("mail", 3),
    ...placeBlocks("mail"),
    ...logBlocks(),
    stream("outbox", 4, { offsets: "producer", segmentEvents: "orders" }),
    blockOf("partition", { partition: 0 }),
    ...blocksOf(...stateBlocks(sparse)),
    ...chunks,
    blockOf("close", { partition: 0, chunks: chunks.length, records: 3 }),
  ];
}

const odd: unknown[] = [
  ...[-1, 0, 1, 2, 7, 0.5, 2 ** 32, 8.64e15, 2 ** 48, 2 ** 48 + 1, 2 ** 53 - 1, 2 ** 53, 1e300],
  ...[null, true, "", "x", "7", "\ud800", "9".repeat(400), "[]", "{}", "[1,null]", "[0]", '{"reason":"x","at":1}'],
  ...["key", "single", "whole", "parked", "held", "done", "a", "b", "k0-0", "p0", "p1"],
  ...["orders", "outbox", "billing", "mail", id(1), id(2), "AA==", "AQE=", "AAA=", "gA==", "////////////"],
  ...[[], {}, [null], [[]], { a: 1 }, [1, 2]],
];

const blocks = dump();
const sql = () => nodeSql();

/** What only the file says: to a service each stream comes by itself, and a partition by its path. */
const ofFile = /^(streams|groups) are out of order$|^the partition block/;

/** As many as there is time for, spread over all of them; others in another run. */
function* some<T>(all: Iterable<T>, each: number): Generator<T> {
  let left = Math.floor(Math.random() * each);
  for (const one of all)
    if (left-- === 0) {
      left = each - 1;
      yield one;
    }
}

test("a dump that is as it was is found intact, and is restored", async () => {
  expect(verified(blocks)).toBeUndefined();
  expect(await restored(sql, blocks)).toBeUndefined();
});

describe.each(blocks.map((block, at) => [`${block.name} ${at}`, at] as const))("%s, damaged,", (_, at) => {
  test("is found damaged just where it cannot be restored", { timeout: 300_000 }, async () => {
    for (const [what, block] of some(liesOf(blocks[at], odd), times(40, 1))) {
      const all = blocks.with(at, block);
      const [found, refused] = [verified(all), await restored(sql, all)];
      if (found !== undefined && ofFile.test(found)) continue;
      // Under another id it was restored before, by this test.
      if (refused?.includes("lives on as another stream")) continue;
      expect(found !== undefined, `${what}: verify says ${found}, restore ${refused}`).toBe(refused !== undefined);
    }
  });
});

/** What verify took for good, and a restore refused. */
const missed: Record<string, (all: Block[]) => Block[]> = {
  "a place behind the tail": (all) => of(all, "place", ["floor"], 19),
  "ranges that are none": (all) => of(all, "place", ["done"], "gA=="),
  "ranges of acks that are none": (all) => of(all, "place", ["acked"], "AA=="),
  "a dead letter whose record is missing": (all) =>
    replace(all, "letter", ({ payload }) => {
      const length = 4 + new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
      return { name: "letter", payload: payload.slice(0, length) };
    }),
  "lanes of the same key, in one block and in two": (all) => of(all, "lanes", [0, "key"], "b"),
  "a dead letter twice": (all) => {
    const at = all.findIndex(({ name }) => name === "letter");
    return of([...all.slice(0, at), all[at], ...all.slice(at)], "settled", ["letters"], 3);
  },
  "a tail that no log has come to": (all) => of(all, "marks", ["tail"], 2 ** 48 + 1),
  "a producer twice": (all) => replace(all, "producers", (block) => twice(block)),
  "a group's id twice": (all) => of(all, "group", ["id"], id(3)),
  "a group whose dead letters go into its stream": (all) => of(all, "group", ["config", "deadLetterStream"], "orders"),
  "a stream that is told of itself": (all) => of(all, "stream", ["config", "segmentEvents"], "outbox"),
};

const replace = (all: readonly Block[], name: Block["name"], by: (block: Block) => Block): Block[] => {
  const at = all.findIndex((block) => block.name === name);
  return all.with(at, by(all[at]));
};
const of = (all: readonly Block[], name: Block["name"], path: readonly (string | number)[], to: unknown) =>
  replace(all, name, (block) => withValue(block, changed(jsonIn(block), path, to)));
const twice = (block: Block): Block => {
  const rows = jsonIn(block) as unknown[];
  return withValue(block, [rows[0], ...rows]);
};

test.each(Object.entries(missed))("%s is found, and refused", async (_, damage) => {
  const all = damage(blocks);
  expect(verified(all)).toBeDefined();
  expect(await restored(sql, all)).toBeDefined();
});
