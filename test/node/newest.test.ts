/** Finding the newest records: its bounds, and what it does where a partition fails. */
import { expect, test } from "vitest";
import { type Refusal, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { concat } from "../../src/lib/bytes.ts";
import { flags, stampFrame } from "../../src/log/frame.ts";
import { FrameWriter } from "../../src/log/record.ts";
import type { Answer, PageAnswer, ReadCall } from "../../src/objects/answer.ts";
import { findNewest } from "../../src/objects/newest.ts";

/** The record at an offset. */
function body(offset: number): Uint8Array {
  const writer = new FrameWriter();
  writer.add({ kind: 0, data: new Uint8Array(0) });
  const frames = writer.finish(flags.checked);
  stampFrame(frames[0], 0, flags.checked, offset, 1_000 + offset);
  return concat(frames);
}

/** A log of which each page, read backward, has the record before the place. */
function log(tail: number, found = true) {
  const read = async (call: ReadCall): Promise<Answer<PageAnswer>> => {
    const to = "offset" in call.from ? call.from.offset : tail;
    const from = to - 1;
    const pieces = found ? [{ body: body(from) }] : [];
    const answer = { from, to, pieces, upToDate: from === 0, head: 0, tail, sealed: false, promise: 0 };
    return { ok: true, value: answer };
  };
  return { read };
}

const outcome = async (asked: ReturnType<typeof findNewest>): Promise<Refusal | number[] | string> => {
  const newest = await asked;
  if (newest.ok) return [...newest.value.places(false).values()];
  return "refusal" in newest ? newest.refusal : "moved";
};
const find = (count: number, read: (call: ReadCall) => Promise<Answer<PageAnswer>>, partitions = [0]) =>
  outcome(findNewest(count, partitions, undefined, (_, call) => read(call)));

test("at most so many records are counted", async () => {
  const { lastRecordsMax } = limits;
  const end = async (): Promise<Answer<PageAnswer>> => ({
    ok: true,
    value: { from: 0, to: 0, pieces: [], upToDate: true, head: 0, tail: 0, sealed: false, promise: 0 },
  });
  expect(await find(lastRecordsMax, end)).toEqual([0]);
  const refusal = await find(lastRecordsMax + 1, end);
  expect(refusal).toMatchObject({ code: "invalid", facts: { path: "from", limit: lastRecordsMax } });
  expect((refusal as Refusal).detail).toContain("read backward");
});

test("at most so many pages are read, though each of very many partitions is looked at", async () => {
  const { lastPagesMax } = limits;
  expect(await find(lastPagesMax, log(lastPagesMax + 1).read)).toEqual([1]);
  expect(await find(lastPagesMax + 1, log(lastPagesMax + 2).read)).toMatchObject({
    code: "invalid",
    facts: { path: "from", limit: lastPagesMax },
  });
  expect(await find(1, log(lastPagesMax + 1, false).read)).toMatchObject({ code: "invalid" });
  const many = Array.from({ length: lastPagesMax + 1 }, (_, partition) => partition);
  expect(await find(1, log(1).read, many)).toHaveLength(many.length);
});

test("what a partition refuses is the answer", async () => {
  expect(await find(1, async () => refuse("unavailable", "the archive"))).toMatchObject({ code: "unavailable" });
  expect(await find(1, async () => ({ ok: false, moved: 3 }))).toBe("moved");
});
