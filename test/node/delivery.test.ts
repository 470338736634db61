/** A delivery, without its shells: order, failures, place, and what others got wrong. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../schemas/group.ts";
import { readReceipt, Signer, writeReceipt } from "../../src/delivery/receipt.ts";
import { DeliveryWriter } from "../../src/delivery/show.ts";
import { Mac, type Words } from "../../src/lib/mac.ts";
import { JsonWriter } from "../../src/log/json.ts";
import { Rig } from "../cases/delivery.ts";
import { check } from "../cases/delivery-check.ts";
import { deliveryAgainstModel, holesAgainstModel } from "../cases/delivery-model.ts";
import { splitAgainstModel } from "../cases/delivery-split.ts";
import { nodeSql } from "./sqlite.ts";

const rig = (config: Partial<GroupConfig> = {}, start = 0) => new Rig(nodeSql(), nodeSql(), config, start);
const offsets = (got: readonly { offset: number }[]) => got.map(({ offset }) => offset);

describe("order by key", () => {
  test("goes on with other keys while one is in flight, and with the key when it is acked", () => {
    const r = rig();
    r.append(["a", "b", "a", undefined, "c", "b"]);
    const first = r.receive();
    expect(offsets(first)).toEqual([0, 1, 3, 4]);
    expect(r.receive()).toEqual([]);
    r.ack(first[0]);
    expect(offsets(r.receive())).toEqual([2]);
    r.ack(first[1]);
    expect(offsets(r.receive())).toEqual([5]);
  });

  test("a failed record is tried again after its pause, before the later ones of its key", () => {
    const r = rig({ backoff: [1_000, 5_000] });
    r.append(["a", "a", "b"]);
    const [a] = r.receive();
    r.nack([a]);
    r.append(["a"]);
    r.now += 999;
    expect(r.receive()).toEqual([]);
    r.now += 1;
    const [again] = r.receive();
    expect(again).toMatchObject({ offset: 0, attempt: 2 });
    r.nack([again]);
    r.now += 4_999;
    expect(r.receive()).toEqual([]);
    r.now += 1;
    r.ack(...r.receive());
    expect(offsets(r.receive())).toEqual([1]);
  });
  test("a parked lane waits for its redrive, and then goes on where it stood", () => {
    const r = rig({ backoff: [1_000], onFailure: "park", maxDeliveries: 2 });
    r.append(Array.from({ length: 5_000 }, (_, i) => `k${i % 50}`));
    const acked = r.drain(({ key }) => key === "k7");
    expect(acked.length).toBe(4_900);
    expect(r.status()).toMatchObject({ deadLetters: 1, lanes: { parked: 1 } });
    check(r.delivery.state);
    r.crash();
    expect(r.drain()).toEqual([]);
    r.admin.redrive("all", undefined, r.now);
    expect(r.drain().length).toBe(100);
    expect(r.status()).toMatchObject({ deadLetters: 0, lag: 0, head: 5_000, lanes: { parked: 0 } });
  });
});

/** Times as many histories as `npm test` draws; `npm run soak:models` draws more. */
const times = Number(process.env.MILLRACE_MODEL_TIMES ?? 1);

test("letters that are redriven count as lag, and by their age, those too that wait for others to be", () => {
  const r = rig({ onFailure: "skip", maxDeliveries: 1, maxInFlight: 1_000 });
  r.append(Array.from({ length: 1_000 }, () => undefined));
  const { now } = r;
  r.now += 5_000;
  r.nack(r.receive(1_000));
  expect(r.status()).toMatchObject({ lag: 0, deadLetters: 1_000 });
  r.configure({ only: ["nobody"] });
  r.admin.redrive("all", undefined, r.now);
  for (const restarted of [false, true]) {
    if (restarted) r.crash();
    r.delivery.state.known = 1_000;
    expect(r.status()).toMatchObject({ lag: 1_000, oldestUnacked: now });
  }
  r.configure({ only: null });
  expect(r.drain()).toHaveLength(1_000);
  expect(r.status()).toMatchObject({ lag: 0, deadLetters: 0, oldestUnacked: undefined });
});

test(
  "a delivery keeps its promises, whatever happens in which order",
  () => deliveryAgainstModel(() => nodeSql(), 450 * times),
  60_000 * times,
);

test(
  "and whatever goes out of the log meanwhile, or out of the filter",
  () => holesAgainstModel(() => nodeSql(), 200 * times),
  60_000 * times,
);

test(
  "order per key outlives splits, seeks over them, crashes and receipts of whenever",
  () => splitAgainstModel(() => nodeSql(), 200 * times),
  60_000 * times,
);

describe("known failures of others", () => {
  test("one unacked record does not keep a new member from the rest (Pulsar #21579)", () => {
    const r = rig();
    r.append(["a", "a", "b", "c"]);
    const [first] = r.receive(1, "old");
    expect(first.offset).toBe(0);
    expect(offsets(r.receive(10, "new"))).toEqual([2, 3]);
    r.append(["d"]);
    expect(offsets(r.receive(10, "newer"))).toEqual([4]);
  });

  test("a delayed record does not hold up the others (Pulsar #20233)", () => {
    const r = rig();
    r.append(["a", "b"]);
    const [a, b] = r.receive();
    r.nack([a], 3_600_000);
    r.ack(b);
    r.append(Array.from({ length: 50_000 }, (_, index) => (index % 2 === 0 ? "a" : `k${index}`)));
    let acked = 0;
    for (let got = r.receive(1_000); got.length > 0; got = r.receive(1_000)) {
      r.ack(...got);
      acked += got.length;
    }
    expect(acked).toBe(25_000);
    expect(r.status()).toMatchObject({ lag: 25_001, lanes: { retrying: 1 } });
  });

  test("a record that is always given back is not given out in a loop (Pulsar #21656)", () => {
    const r = rig({ backoff: [1_000], onFailure: "skip", maxDeliveries: 3 });
    r.append(["a"]);
    let attempts = 0;
    for (let ms = 0; ms < 20_000; ms += 100, r.now += 100) {
      const got = r.receive();
      attempts += got.length;
      r.nack(got);
    }
    expect(attempts).toBe(3);
    expect(r.letters()).toMatchObject([{ offset: 0, attempts: 3, reason: "failed" }]);
  });

  test("what comes again comes in order (Pulsar #23870)", () => {
    const r = rig({ backoff: [10], ackTimeoutMs: 100 });
    r.append(["a", "a", "a", "b", "b"]);
    const seen: number[] = [];
    for (let round = 0; round < 30; round++) {
      const got = r.receive(2);
      seen.push(...got.filter(({ key }) => key === "a").map(({ offset }) => offset));
      // Every second time nobody answers, and every fourth the object dies.
      if (round % 2 === 0) r.ack(...got);
      else r.now += 150;
      if (round % 4 === 3) r.crash();
    }
    expect(seen).toEqual([...seen].sort((x, y) => x - y));
    expect(new Set(seen)).toEqual(new Set([0, 1, 2]));
  });
});

describe("much, and long", () => {
  test("ten keys of a thousand that always fail cost the others nothing, and a row each", () => {
    const r = rig({ backoff: [1_000] });
    r.append(Array.from({ length: 60_000 }, (_, index) => `k${index % 1_000}`));
    const bad = (key: string | undefined) => /^k\d$/.test(key ?? "");
    let acked = 0;
    let given = 0;
    for (let round = 0; round < 200 && acked < 59_400; round++) {
      const got = r.receive(500);
      given += got.length;
      r.nack(got.filter(({ key }) => bad(key)));
      const good = got.filter(({ key }) => !bad(key));
      r.ack(...good);
      acked += good.length;
    }
    expect(acked).toBe(59_400);
    // The clock stood still: each of the ten was tried once.
    expect(given).toBe(59_410);
    expect(r.sql.rowsWritten()).toBeLessThan(300);
    expect(r.status()).toMatchObject({ lag: 600, lanes: { retrying: 10 } });
  });

  test("a key that is held for long does not fill the window", () => {
    const r = rig();
    r.append(["a"]);
    const [held] = r.receive();
    for (let i = 0; i < 6; i++) r.append(Array.from({ length: 10_000 }, () => "a"));
    r.append(["b"]);
    expect(offsets(r.receive())).toEqual([60_001]);
    expect(r.delivery.state.window.size).toBeLessThan(1_000);
    r.ack(held);
    expect(offsets(r.receive(1))).toEqual([1]);
  });

  test("a hundred slow keys with long lines do not fill it either", () => {
    const r = rig();
    const keys = Array.from({ length: 100 }, (_, index) => `slow${index}`);
    r.append(keys);
    expect(r.receive(1_000)).toHaveLength(100);
    for (let i = 0; i < 250; i++) r.append(keys);
    r.append(["quick"]);
    expect(r.receive().map(({ key }) => key)).toEqual(["quick"]);
  });

  test("as many lanes as there may be stop the reading, and one less lets it go on", () => {
    const r = new Rig(nodeSql(), nodeSql(), { backoff: [1_000] }, 0, 10);
    r.append(Array.from({ length: 10 }, (_, index) => `k${index}`));
    r.nack(r.receive(9));
    r.append(["read"]);
    const [tenth, read] = r.receive();
    expect([tenth.offset, read.offset]).toEqual([9, 10]);
    r.nack([tenth]);
    r.append(["late"]);
    expect(r.receive()).toEqual([]);
    expect(r.status()).toMatchObject({ cursor: 11, tail: 12, lanes: { retrying: 10 } });
    r.now += 1_000;
    const [again] = r.receive(1);
    r.ack(again);
    expect(offsets(r.receive(20))).toContain(11);
  });

  test("records that are worked on for long do not keep their chunks, and the reading goes on", () => {
    const r = rig({ ackTimeoutMs: 3_600_000 });
    for (let i = 0; i < 40; i++)
      r.append([`slow${i}`, ...Array.from({ length: 9 }, (_, j) => `fast${i}.${j}`)], 100_000);
    let slow = 0;
    for (let got = r.receive(20); got.length > 0; got = r.receive(20)) {
      slow += got.filter(({ key }) => key?.startsWith("slow")).length;
      r.ack(...got.filter(({ key }) => !key?.startsWith("slow")));
    }
    expect(slow).toBe(40);
    r.delivery.reader.wishes(r.now);
    expect(r.delivery.state.window.bytes).toBeLessThan(9_000_000);
  });

  test("chunks are let go when their records are finished", () => {
    const r = rig();
    for (let i = 0; i < 20; i++) r.append(Array.from({ length: 500 }, (_, index) => `k${index}`));
    r.drain();
    expect(r.delivery.state.window.bytes).toBe(0);
    expect(r.delivery.state.window.size).toBe(0);
  });
});

describe("a place", () => {
  test("survives a restart to the record, with whatever was acked out of order", () => {
    const r = rig();
    r.append(Array.from({ length: 1_000 }, (_, index) => `k${index}`));
    const got = r.receive(1_000);
    r.ack(...got.filter((_, index) => index % 3 === 0));
    r.crash();
    expect(offsets(r.receive(1_000))).toEqual(offsets(got).filter((_, index) => index % 3 !== 0));
  });

  test("after a restart keeps what a late ack leaves in its lane", () => {
    const r = rig({ backoff: [60_000] });
    r.append(["a", "d", "a"]);
    const [first] = r.receive(1);
    r.now += 30_001;
    r.delivery.expire(r.now, () => 0);
    r.crash();
    r.ack(first);
    expect(r.drain().sort()).toEqual([1, 2]);
  });

  test("is kept over records that nobody wants", () => {
    const r = rig({ filter: { key: "z" } });
    r.append(Array.from({ length: 100 }, () => "a"));
    r.append(["z"]);
    expect(offsets(r.receive())).toEqual([100]);
    r.crash();
    expect(offsets(r.receive())).toEqual([100]);
  });

  test("in order, counts a redriven letter once that the window passed over, after a crash too", () => {
    const r = rig({ order: "partition", onFailure: "park", maxDeliveries: 1 });
    r.append(["a", "b", "a"]);
    r.nack([r.receive()[1]]);
    r.admin.redrive("all", undefined, r.now);
    r.configure({ filter: { key: "a" } });
    r.crash();
    r.fill();
    r.delivery.state.save();
    for (const restarted of [false, true]) {
      if (restarted) r.crash();
      r.delivery.state.known = 3;
      expect(r.status()).toMatchObject({ lag: 3, deadLetters: 1 });
    }
  });

  test("behind what was trimmed says what was lost", () => {
    const r = rig();
    r.append(["a", "b", "c", "d"]);
    r.log.trim(2, 0);
    expect(offsets(r.receive())).toEqual([2, 3]);
    expect(r.status().lost).toEqual([{ from: 0, to: 2, why: "trimmed" }]);
  });

  test("behind what was trimmed goes on, though the log had not come so far when it was last heard of", () => {
    const r = rig();
    r.append(["a", "b"]);
    r.admin.pause("for a while", r.now, undefined, r.now);
    r.append(["c", "d", "e"]);
    // Of a group that stands still the partition says nothing.
    r.delivery.state.known = 2;
    r.log.trim(4, 0);
    r.admin.resume(r.now, r.now);
    expect(offsets(r.receive())).toEqual([4]);
  });

  test("goes on where it was moved to, though the log had not come so far when it was last heard of", () => {
    const r = rig();
    r.append(["a", "b"]);
    r.append(["c", "d", "e"]);
    r.delivery.state.known = 2;
    r.admin.seek(4, [], r.now);
    expect(offsets(r.receive())).toEqual([4]);
  });
});

test("a line that became too long goes on by itself", () => {
  const r = rig();
  r.append(Array.from({ length: 400 }, () => "a"));
  for (let offset = 0; offset < 400; offset++) {
    const got = r.receive();
    expect(offsets(got)).toEqual([offset]);
    r.ack(...got);
  }
  expect(r.status()).toMatchObject({ lag: 0, lanes: { others: 0 } });
});

test("a receipt is read as it was written, and nothing else is one", () => {
  const number = fc.maxSafeNat();
  const receipt = fc.record({ partition: number, offset: number, era: number, generation: number, tag: number });
  fc.assert(
    fc.property(receipt, (receipt) => {
      const text = writeReceipt(receipt);
      expect(readReceipt(text)).toEqual(receipt);
      expect(readReceipt(`${text}.0`)).toBeUndefined();
      expect(readReceipt(`0${text}`)).toBeUndefined();
      expect(readReceipt(text.slice(text.indexOf(".")))).toBeUndefined();
    }),
  );
  const fine = writeReceipt({ partition: 0, offset: 0, era: 0, generation: 0, tag: 0 });
  expect(fine).toBe("0.0.0.00000000000.00000000000");
  for (const text of [
    "",
    "0",
    "0.0.0.0.0",
    "0..0.00000000000.00000000000",
    ".0.0.00000000000.00000000000",
    "0.0.0.00000000000.",
    "A.0.0.00000000000.00000000000",
    "0.-1.0.00000000000.00000000000",
    "0.0.0.00000000000.w0000000000",
    "0.0.0.00000000000.vvvvvvvvvvv",
    "0.0.0.0000000000.000000000000",
    "00.0.0.00000000000.00000000000",
    `${"z".repeat(40)}.0.0.00000000000.00000000000`,
  ]) {
    expect(readReceipt(text), text).toBeUndefined();
  }
});

test("a delivery is written with the receipt that it has, and numbers as they are", () => {
  const number = fc.oneof(
    fc.maxSafeNat(),
    fc.nat(2_000),
    fc.nat({ max: 60 }).map((power) => 36 ** (power % 10)),
  );
  const receipt = fc.record({ partition: number, offset: number, era: number, generation: number, tag: number });
  // A record that has no field at all.
  const bytes = new Uint8Array(2);
  fc.assert(
    fc.property(receipt, number, (receipt, attempt) => {
      const { partition, era, offset, generation, tag } = receipt;
      const writer = new JsonWriter();
      const item = { bytes, from: 0, to: bytes.length, offset, timestamp: 0, checked: true };
      new DeliveryWriter({ groupId: "g", partition, era }).delivery(writer, item, generation, tag, attempt);
      expect(JSON.parse(new TextDecoder().decode(writer.take()))).toMatchObject({
        partition,
        offset,
        attempt,
        receipt: writeReceipt(receipt),
        deliveryId: `g.${partition}.${offset}`,
      });
    }),
  );
});

test("a receipt's tag is the delivery's alone, and another in every era", () => {
  const part = fc.integer({ min: 0, max: 0xffffffff });
  const secret = fc.tuple(part, part, part, part) as fc.Arbitrary<Words>;
  const number = fc.maxSafeNat();
  fc.assert(
    fc.property(secret, secret, number, number, number, (mine, theirs, offset, era, generation) => {
      const tag = new Signer(mine).tag(offset, era, generation);
      fc.pre(mine.some((word, index) => word !== theirs[index]));
      expect(new Signer(theirs).tag(offset, era, generation)).not.toBe(tag);
      expect(new Signer(mine).tag(offset, era + 1, generation)).not.toBe(tag);
      expect(new Signer(mine).tag(offset + 1, era, generation)).not.toBe(tag);
      expect(new Signer(mine).tag(offset, era, generation + 1)).not.toBe(tag);
    }),
  );
});

test("the keyed hash is Chaskey-12, by its authors' vector for a message of one block", () => {
  const mac = new Mac([0x833d3433, 0x009f389f, 0x2398e64f, 0x417acf39]);
  const tag = mac.tag(0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
  expect(tag % 2 ** 32).toBe(0x5dd0e2a9);
  expect(Math.floor(tag / 2 ** 32)).toBe(0xfb5eac8c & 0x1fffff);
});

test("what was tried of a letter before a seek is told, when it dies again behind it", () => {
  const r = rig({ onFailure: "skip", maxDeliveries: 2, backoff: [0] });
  r.append(["a"]);
  for (const reason of ["one", "two"]) r.nack(r.receive(), 0, reason);
  r.admin.redrive("all", undefined, r.now);
  r.nack(r.receive(), 0, "three");
  r.admin.seek(1, [], r.now);
  for (const reason of ["four", "five"]) r.nack(r.receive(), 0, reason);
  expect(r.letters()).toMatchObject([{ state: "dead", attempts: 5 }]);
  expect(r.letters()[0].tries.map(({ reason }) => reason)).toEqual(["one", "two", "three", "four", "five"]);
});
