/** What was fetched for clients that do not take it: shared while there is room, in small pieces in a crowd, and not kept for ever. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { makingOf, pageShare, roomFor, Untaken } from "../../src/http/untaken.ts";

const most = limits.untakenBytesMax;
const mebibyte = 1_048_576;
let open: Untaken[] = [];
let now = Date.now();
beforeEach(() => {
  // The budget outlives a test, so that time must go on.
  now += 86_400_000;
  vi.useFakeTimers({ now });
  vi.stubGlobal("scheduler", { wait: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms)) });
});
afterEach(() => {
  for (const one of open) one.end();
  open = [];
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function holding(bytes: number): Untaken {
  const one = new Untaken();
  open.push(one);
  one.holds(bytes);
  return one;
}

test("pieces are large while there is room, and small from half of it on; what is given back is room again", async () => {
  const one = holding(0);
  expect([one.share(), one.share(4 * mebibyte), one.full]).toEqual([mebibyte, 4 * mebibyte, false]);
  const other = holding(most / 2);
  expect([one.share(), one.share(1_000), one.full]).toEqual([65_536, 1_000, false]);
  const third = holding(most / 2);
  expect(one.full).toBe(true);
  const refused = one.shareSoon(mebibyte);
  await vi.advanceTimersByTimeAsync(8_000);
  expect(await refused).toMatchObject({ ok: false, refusal: { code: "too-many", facts: { limit: most } } });
  const granted = one.shareSoon(mebibyte);
  await vi.advanceTimersByTimeAsync(1_000);
  third.end();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await granted).toEqual({ ok: true, value: 65_536 });
  other.end();
  expect(one.share()).toBe(mebibyte);
  // What is over holds nothing, whatever comes of it still.
  other.holds(most);
  expect(one.share()).toBe(mebibyte);
});

test("what is asked for at the same time is counted before it comes", async () => {
  const many = Array.from({ length: most / mebibyte }, () => holding(0));
  const shares = await Promise.all(many.map((one) => one.shareSoon(mebibyte)));
  const sum = shares.reduce((all, share) => all + (share.ok ? share.value : 0), 0);
  expect(sum).toBeLessThan(most / 2 + (most / mebibyte) * 65_536 + 1);
});

test("what begins counts for the records that it may begin with, until it is known what it has", async () => {
  const many = Array.from({ length: most / mebibyte }, () => holding(0));
  const shares = many.map((one) => one.shareSoon(2 * mebibyte));
  await vi.advanceTimersByTimeAsync(8_000);
  const begun = (await Promise.all(shares)).filter(({ ok }) => ok);
  expect(begun).toHaveLength(most / (2 * mebibyte));
  for (const one of many) one.holds(1_000);
  // However much that may be, one that is nearly alone begins.
  expect(await holding(0).shareSoon(64 * mebibyte)).toEqual({ ok: true, value: mebibyte });
});

test("pages that are made count while they are, and are small in a crowd", () => {
  expect(pageShare(mebibyte)).toBe(mebibyte);
  // What counts for nothing needs no room.
  expect(makingOf(262_144)).toBeUndefined();
  const making = Array.from({ length: most / 2 / mebibyte }, () => makingOf(pageShare(mebibyte)));
  expect(making.every((one) => one !== undefined)).toBe(true);
  expect([pageShare(mebibyte), pageShare(1_000), makingOf(pageShare(mebibyte))]).toEqual([262_144, 1_000, undefined]);
  holding(most / 2);
  expect([pageShare(mebibyte), pageShare(1_000)]).toEqual([65_536, 1_000]);
  for (const one of making) one?.release();
  expect(pageShare(mebibyte)).toBe(262_144);
});

test("who takes nothing for a minute is left in a crowd, and only there; who takes some is not", async () => {
  const left = vi.fn();
  const [slow, quick] = [holding(1_000), holding(1_000)];
  slow.leave = quick.leave = () => left();
  quick.leave = () => expect.unreachable();
  const taking = setInterval(() => quick.took(), 1_000);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(left).not.toHaveBeenCalled();
  const other = holding(most / 2);
  const others = setInterval(() => other.took(), 1_000);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(left).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(left).toHaveBeenCalledTimes(1);
  clearInterval(taking);
  clearInterval(others);
});

test("what the platform has ended without a word counts no more after a while", async () => {
  const gone = holding(most);
  vi.clearAllTimers();
  const one = holding(0);
  expect(one.full).toBe(true);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(one.share()).toBe(mebibyte);
  gone.end();
});

test("what must be whole waits for room, counts until it is made, and is refused where there is none", async () => {
  const first = await roomFor(most);
  expect(first.ok).toBe(true);
  const one = holding(0);
  expect(one.full).toBe(true);
  const refused = roomFor(mebibyte);
  await vi.advanceTimersByTimeAsync(8_000);
  expect(await refused).toMatchObject({ ok: false, refusal: { code: "too-many", facts: { limit: most } } });
  const granted = roomFor(mebibyte);
  await vi.advanceTimersByTimeAsync(500);
  if (first.ok) first.value.release();
  await vi.advanceTimersByTimeAsync(1_000);
  const second = await granted;
  expect(second.ok).toBe(true);
  if (second.ok) second.value.release();
  expect(one.share()).toBe(mebibyte);
});
