/** Times and media types: what a text counts as, the same for everybody who computes with it. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mediaType } from "../../schemas/text.ts";
import { instantOf, timeProblem } from "../../schemas/time.ts";
import { Extractor } from "../../src/archive/typed.ts";
import { packable } from "../../src/client/record.ts";
import { toRecord } from "../../src/intake/record.ts";
import { concat, encodeText } from "../../src/lib/bytes.ts";
import { parseJson } from "../../src/lib/check.ts";

const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");

describe("a time", () => {
  test("counts as JavaScript's own reader says, where that reads it", () => {
    const date = fc.date({
      min: new Date("0000-01-01T00:00:00Z"),
      max: new Date("9999-12-31T23:59:59.999Z"),
      noInvalidDate: true,
    });
    const offset = fc.tuple(fc.constantFrom("+", "-"), fc.nat(23), fc.nat(59));
    fc.assert(
      fc.property(date, offset, (date, [sign, hours, minutes]) => {
        const text = `${date.toISOString().slice(0, -1)}${sign}${pad(hours)}:${pad(minutes)}`;
        expect(instantOf(text)).toBe(Date.parse(text));
        expect(instantOf(date.toISOString())).toBe(date.getTime());
      }),
      { numRuns: 2_000 },
    );
  });

  test("is none where the calendar, or the clock, has none", () => {
    const number = (max: number) => fc.nat(max);
    fc.assert(
      fc.property(
        number(9_999),
        number(19),
        number(39),
        number(29),
        number(69),
        number(61),
        (year, month, day, hour, minute, second) => {
          const text = `${pad(year, 4)}-${pad(month)}-${pad(day)}T${pad(hour)}:${pad(minute)}:${pad(second)}Z`;
          const days = new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate();
          const isDay = month >= 1 && month <= 12 && day >= 1 && day <= days;
          const isTime = hour < 24 && minute < 60 && second < 60;
          const isLeap = second === 60 && hour === 23 && minute === 59 && day === days;
          expect(instantOf(text) !== undefined).toBe(isDay && (isTime || isLeap));
          expect(timeProblem(text) === undefined).toBe(isDay && (isTime || isLeap));
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test.each([
    ["2026-11-20t10:00:00z", "2026-11-20T10:00:00Z"],
    ["2026-11-20T10:00:00-00:00", "2026-11-20T10:00:00Z"],
    ["2026-11-20T10:00:00.1Z", "2026-11-20T10:00:00.100Z"],
    ["2026-11-20T10:00:00.123999999999999999999Z", "2026-11-20T10:00:00.123Z"],
    ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"],
    ["2016-12-31T15:59:60.5-08:00", "2017-01-01T00:00:00.500Z"],
    ["2015-07-01T05:29:60+05:30", "2015-07-01T00:00:00Z"],
  ])("%s counts as %s: as a timestamp, and in a column of Parquet", (odd, plain) => {
    const expected = Date.parse(plain);
    expect(instantOf(odd)).toBe(expected);
    const config = { recordBytesMax: 1_000, timestamps: "client", offsets: "assigned" } as const;
    expect(toRecord({ time: odd }, undefined, config, 2e12, "")).toMatchObject({
      value: { time: odd, timestamp: expected },
    });
    expect(toRecord({ timestamp: odd }, undefined, config, 2e12, "")).toMatchObject({ value: { timestamp: expected } });
    expect(packable({ timestamp: odd }).timestamp).toBe(expected);
    expect(new Extractor({ name: "at", path: "at", type: "timestamp" }).of({ at: odd })).toBe(expected);
  });

  test.each([
    ["2026-11-20 10:00:00Z", "a T stands between"],
    ["2026-11-20T24:00:00Z", "midnight"],
    ["2026-11-20T10:00:60Z", "a second 60"],
    ["2026-11-20T10:00Z", "seconds"],
    ["2026-11-20T10:00:00", "ends with Z"],
    ["yesterday", "RFC 3339"],
  ])("%s is refused in words", (text, said) => {
    expect(timeProblem(text)).toContain(said);
  });
});

test("a media type that is none is told at once, however long it is", () => {
  const spaces = " ".repeat(60);
  for (const part of [`;${spaces}`, ";", `;a="\\"`, ";a=", `; ${spaces};`]) {
    expect(mediaType(`a/b${part.repeat(2_000).slice(0, 4_000)}\n`)).toBeDefined();
  }
});

describe("a body that is not UTF-8", () => {
  test("is refused with the place of the first byte that is none", () => {
    const text = fc.string({ unit: "binary", maxLength: 200 });
    const wrong = fc.constantFrom([0xff], [0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80], [0xe2, 0x28]);
    fc.assert(
      fc.property(text, wrong, text, (before, bytes, after) => {
        fc.pre(before.isWellFormed() && !before.startsWith("\ufeff"));
        const refused = parseJson(concat([encodeText(before), Uint8Array.from(bytes), encodeText(after)]));
        const lines = before.split("\n");
        const place = { line: lines.length, column: lines[lines.length - 1].length + 1 };
        expect(refused).toMatchObject({ ok: false, refusal: { code: "bad-json", facts: place } });
      }),
    );
  });
});
