/** Places in a stream, as texts: what each text means, and that nothing means two things. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { durationOf } from "../../schemas/time.ts";
import { readCursor, writeCursor } from "../../src/log/cursor.ts";
import { noPlace, positionOf, readFrom } from "../../src/log/position.ts";

const logId = fc.stringMatching(/^[0-9a-f]{20}$/);
/** Of the alphabet of a log's id, digits alone: one in twelve thousand logs has such an id. */
const digits = fc.stringMatching(/^[0-9]{20}$/);
const offset = fc.oneof(fc.nat(100), fc.maxSafeNat());
const cursor = fc.record({
  logId: fc.oneof(logId, digits),
  offsets: fc
    .array(fc.tuple(fc.nat(1_023), offset), { minLength: 1, maxLength: 4 })
    .map((places) => new Map<number, number>(places)),
});

test.each([
  ["0", { position: { at: "offset", offset: 0 } }],
  ["9007199254740991", { position: { at: "offset", offset: 9007199254740991 } }],
  ["9007199254740992", undefined],
  ["10000000000000000", undefined],
  ["18446744073709551615", undefined],
  ["12345678901234567890", undefined],
  ["00000000000000000007", { position: { at: "offset", offset: 7 } }],
  ["-1", { position: { at: "last", count: 1 } }],
  ["-9007199254740992", undefined],
  ["-99999999999999999999", undefined],
  ["-0", undefined],
  ["", undefined],
  ["1.5", undefined],
  ["0123456789abcdef0123", undefined],
  ["0123456789abcdef0123~0.5", { cursor: { logId: "0123456789abcdef0123", offsets: new Map([[0, 5]]) } }],
  ["01234567890123456789~1.a", { cursor: { logId: "01234567890123456789", offsets: new Map([[1, 10]]) } }],
  ["0123456789abcdef0123~0.zzzzzzzzzzz", undefined],
  ["earliest", { position: { at: "earliest" } }],
  ["1970-01-01T00:00:01Z", { position: { at: "time", time: 1_000 } }],
  ["1970-01-01T01:00:01 01:00", { position: { at: "time", time: 1_000 } }],
  ["1970-13-01T00:00:01Z", undefined],
  ["1970-01-01t00:00:01z", { position: { at: "time", time: 1_000 } }],
  ["1970-01-01T00:00:01.0009Z", { position: { at: "time", time: 1_000 } }],
  ["2016-12-31T23:59:60Z", { position: { at: "time", time: 1_483_228_800_000 } }],
  ["1970-02-30T00:00:01Z", undefined],
  ["1970-01-01T24:00:00Z", undefined],
  ["1970-01-01T00:00Z", undefined],
  ["1970-01-01 00:00:01Z", undefined],
  ["1970-01-01", { position: { at: "time", time: 0 } }],
  ["2026-11-28", { position: { at: "time", time: Date.UTC(2026, 10, 28) } }],
  ["2026-02-29", undefined],
  ["2026-1-2", undefined],
  ["1h", undefined],
])("'%s'", (text, from) => {
  expect(readFrom(text)).toEqual(from);
});

test.each([
  ["1h", 3_600_000],
  ["90m", 5_400_000],
  ["1h30m", 5_400_000],
  ["7d", 604_800_000],
  ["2w", 1_209_600_000],
  ["250ms", 250],
  ["1m5s10ms", 65_010],
  ["0s", 0],
])("'%s' is so long ago, where it is known when that is said", (text, ms) => {
  expect(durationOf(text)).toBe(ms);
  expect(readFrom(text, 1_000_000)).toEqual({ position: { at: "time", time: 1_000_000 - ms } });
  expect(readFrom(text)).toBeUndefined();
});

test.each(["h", "1", "1 h", "1H", "1.5h", "-1h", "1h ago", "1y", "1hm", "1234567890s", "+1h", "１h"])(
  "'%s' is no duration",
  (text) => {
    expect(durationOf(text)).toBeUndefined();
    const from = readFrom(text, 1_000);
    // A number is an offset, as ever.
    expect(from).toEqual(text === "1" ? { position: { at: "offset", offset: 1 } } : undefined);
    if (from === undefined) expect(noPlace(text)).toContain("90m");
  },
);

test("whatever says how long ago is no place otherwise, and the other way about", () => {
  const part = fc.tuple(fc.nat(999), fc.constantFrom("ms", "s", "m", "h", "d", "w")).map((both) => both.join(""));
  const text = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (one) => {
      expect(readFrom(one)).toBeUndefined();
    }),
  );
  const place = fc.oneof(cursor.map(writeCursor), offset.map(String), fc.constantFrom("earliest", "latest", "-7"));
  fc.assert(
    fc.property(place, fc.nat(), (one, now) => {
      expect(readFrom(one, now)).toEqual(readFrom(one));
    }),
  );
});

test("what would be a time says what it lacks", () => {
  expect(noPlace("1970-01-01T00:00Z")).toMatch(/seconds/);
  expect(noPlace("1970-01-01 00:00:01Z")).toMatch(/a T stands between/);
  expect(noPlace("1970-01-01T24:00:00Z")).toMatch(/midnight/);
  expect(noPlace("2026-02-30")).toMatch(/a day such as/);
});

test("a number of any length is an offset or nothing, and says why", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^-?[0-9]{1,40}$/), (text) => {
      const from = readFrom(text);
      expect(from !== undefined && "cursor" in from).toBe(false);
      const fits = Number.isSafeInteger(Number(text)) && !/^-0/.test(text);
      expect(from !== undefined).toBe(fits);
      if (from === undefined && !/^-0/.test(text)) expect(noPlace(text)).toContain("beyond the largest offset");
    }),
  );
});

test("a cursor is read as it was written, whatever its log is called", () => {
  fc.assert(
    fc.property(cursor, (one) => {
      expect(readCursor(writeCursor(one))).toEqual(one);
      expect(readFrom(writeCursor(one))).toEqual({ cursor: one });
    }),
  );
});

test("of a partition that a cursor does not name everything is ahead, and nothing behind", () => {
  fc.assert(
    fc.property(cursor, fc.nat(1_023), (one, partition) => {
      const named = one.offsets.get(partition) ?? 0;
      expect(positionOf({ cursor: one }, partition, false)).toEqual({ at: "offset", offset: named });
      expect(positionOf({ cursor: one }, partition, true)).toEqual({ at: "before", offset: named });
    }),
  );
});
