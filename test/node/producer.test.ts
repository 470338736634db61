/** How a producer gathers, divides and gives up, and what it says: against a service that answers as it is told. */
import { describe, expect, test, vi } from "vitest";
import type { MillraceError, Placed } from "../../src/client/index.ts";
import { sleep } from "../../src/client/retry.ts";
import { clientOf, problem, taken, unpacked } from "../cases/answering.ts";

describe("a producer", () => {
  test.each([1, 3, 100])(
    "goes in two where a batch is too large, in order, under numbers without a gap: room for %i",
    async (room) => {
      let next = 0;
      const { stream, asked } = clientOf((one) => {
        const { data } = unpacked(one);
        if (data.length > room) return problem(413, "body-too-large");
        next += data.length;
        return taken(one, next - data.length);
      });
      const producer = stream.producer();
      const placed = await Promise.all(Array.from({ length: 57 }, (_, data) => producer.append({ data })));
      expect(placed.map(({ offset }) => offset)).toEqual(Array.from({ length: 57 }, (_, index) => index));
      const done = asked.filter((one) => unpacked(one).data.length <= room);
      expect(done.flatMap((one) => unpacked(one).data)).toEqual(Array.from({ length: 57 }, (_, index) => index));
      expect(done.map(({ headers }) => headers["producer-seq"])).toEqual(done.map((_, index) => String(index)));
      const before = asked.length;
      await producer.append({ data: 57 });
      expect(asked.length - before).toBe(1);
    },
  );

  test("refuses only the record that has no room alone, whoever finds it too large", async () => {
    const { stream } = clientOf((one) =>
      unpacked(one).bytes > 2_000 ? new Response("too large", { status: 413 }) : taken(one, 0),
    );
    const producer = stream.producer();
    const settled: unknown[] = [];
    const onSettled = (error?: MillraceError) => settled.push(error?.status);
    for (const length of [1, 3_000, 1]) producer.push({ data: "x".repeat(length) }, onSettled);
    await producer.close();
    expect(settled).toEqual([undefined, 413, undefined]);
  });

  test("goes on over several frames", async () => {
    let seen: unknown[] = [];
    const { stream } = clientOf((one) => {
      const { data, bytes } = unpacked(one);
      if (bytes > 1_500_000) return problem(413, "body-too-large");
      seen = [...seen, ...data];
      return taken(one, 0);
    });
    const producer = stream.producer({ batchBytes: 5_000_000 });
    for (let n = 0; n < 50; n++) producer.push({ data: `${n}${"x".repeat(90_000)}` });
    await producer.close();
    expect(seen.map((text) => Number.parseInt(text as string, 10))).toEqual(Array.from({ length: 50 }, (_, n) => n));
  });

  test("makes a caller wait for records, too, and says what waits", async () => {
    const { stream } = clientOf((one) => taken(one, 0));
    const producer = stream.producer({ bufferRecords: 3 });
    const rooms = [1, 2, 3].map((data) => producer.push({ data }));
    expect(rooms.map((room) => room === undefined)).toEqual([true, true, false]);
    expect(producer.pending).toEqual({ records: 3, bytes: expect.any(Number) });
    await rooms[2];
    expect(producer.pending).toEqual({ records: 0, bytes: 0 });
  });

  test("tells of each record what became of it, once, and goes on where a callback throws", async () => {
    const thrown: unknown[] = [];
    const hear = (error: unknown) => thrown.push(error);
    process.on("unhandledRejection", hear);
    const others = process.listeners("unhandledRejection").filter((one) => one !== hear);
    for (const one of others) process.off("unhandledRejection", one);
    try {
      const { stream } = clientOf((one) =>
        Response.json({
          runs: [
            { verdict: "appended", partition: 0, offset: 5, count: unpacked(one).data.length - 1 },
            { verdict: "rejected", reason: "record-too-large", detail: "no", count: 1 },
          ],
        }),
      );
      const told: [unknown, Placed | undefined, string | undefined][] = [];
      const onSettled = (record: object, placed?: Placed, error?: MillraceError) => {
        told.push([record, placed, error?.code]);
        if (told.length === 1) throw new Error("mine");
      };
      const producer = stream.producer({ onSettled });
      const records = [1, 2, 3].map((data) => ({ data }));
      for (const record of records) producer.push(record);
      expect(await producer.close()).toEqual({ sent: 2, unsent: 1 });
      expect(told).toEqual([
        [records[0], { verdict: "appended", partition: 0, offset: 5 }, undefined],
        [records[1], { verdict: "appended", partition: 0, offset: 6 }, undefined],
        [records[2], undefined, "record-too-large"],
      ]);
      await sleep(5);
      expect(thrown).toEqual([new Error("mine")]);
    } finally {
      process.off("unhandledRejection", hear);
      for (const one of others) process.on("unhandledRejection", one);
    }
  });

  test("settles what waits for a record whose callback throws", async () => {
    const thrown: unknown[] = [];
    const hear = (error: unknown) => thrown.push(error);
    const others = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection").on("unhandledRejection", hear);
    try {
      const { stream } = clientOf((one) => taken(one, 5));
      const producer = stream.producer({
        onSettled: () => {
          throw new Error("mine");
        },
      });
      expect(await producer.append({ data: 1 })).toMatchObject({ offset: 5 });
      expect(await producer.close()).toEqual({ sent: 1, unsent: 0 });
      await sleep(5);
      expect(thrown).toEqual([new Error("mine")]);
    } finally {
      process.off("unhandledRejection", hear);
      for (const one of others) process.on("unhandledRejection", one);
    }
  });

  test("has an epoch of its own, higher than those before it, however many begin together", () => {
    const { stream } = clientOf((one) => taken(one, 0));
    const start = Date.now();
    const epochs = Array.from({ length: 10_000 }, () => stream.producer({ id: "p" }).epoch);
    expect(epochs).toEqual([...new Set(epochs)].sort((a, b) => a - b));
    expect(epochs[0]).toBeGreaterThanOrEqual(start * 2_000);
    // For as long as anybody may ask.
    expect(Number.isSafeInteger(Date.parse("2100-01-01T00:00:00Z") * 2_000)).toBe(true);
  });

  test("does not begin with the epoch that a producer elsewhere has which began in the same millisecond", async () => {
    vi.useFakeTimers({ now: Date.now() + 3_600_000 });
    const elsewhere = async () => {
      vi.resetModules();
      const { Producer } = await import("../../src/client/producer.ts");
      return new Producer(null as never, "", {}).epoch;
    };
    const epochs = [];
    for (let n = 0; n < 5; n++) epochs.push(await elsewhere());
    vi.useRealTimers();
    // Two of 2 000 are the same now and then; five are not.
    expect(new Set(epochs).size).toBeGreaterThan(3);
  });

  test("ends in its time, and says what was not sent", async () => {
    let calls = 0;
    const { stream } = clientOf((one) => (calls++ === 0 ? taken(one, 0) : new Promise<Response>(() => {})));
    const producer = stream.producer({ batchRecords: 2 });
    const clean: (boolean | undefined)[] = [];
    for (let n = 0; n < 6; n++) producer.push({ data: n }, (error) => clean.push(error?.clean));
    producer.push({ data: 6 });
    const start = Date.now();
    expect(await producer.close({ timeoutMs: 30 })).toEqual({ sent: 2, unsent: 5 });
    expect(Date.now() - start).toBeLessThan(1_000);
    // Of the batch that was on its way nobody knows; what was behind it was not sent for certain.
    expect(clean).toEqual([undefined, undefined, false, false, true, true]);
    expect(producer.pending).toEqual({ records: 0, bytes: 0 });
  });
});
