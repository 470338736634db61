/** Durations, sizes and times as people write them, and back. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Usage } from "../../src/cli/output.ts";
import {
  bytes,
  durationOf,
  milliseconds,
  placeOf,
  shownAge,
  shownDuration,
  shownSize,
  sizeOf,
  time,
  timeOf,
} from "../../src/cli/units.ts";

describe("a duration", () => {
  test.each([
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["90m", 5_400_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["500ms", 500],
    ["1m500ms", 60_500],
    ["0s", 0],
    ["1d2h3m4s5ms", 93_784_005],
  ])("%s is %i ms", (text, ms) => expect(durationOf(text)).toBe(ms));

  test.each(["", "7", "d", "7 d", "7D", "1M", "1y", "30m1h", "1h1h", "-1h", "1e3s", "1h ", "1,5h", "99999999999999d"])(
    "%j is none",
    (text) => expect(durationOf(text)).toBeUndefined(),
  );

  test("is read as it is shown", () => {
    fc.assert(
      fc.property(fc.nat(100_000_000), fc.constantFrom(1, 1_000, 60_000, 86_400_000), (count, unit) => {
        expect(durationOf(shownDuration(count * unit))).toBe(count * unit);
      }),
    );
  });

  test("of an option without a unit counts only where the option's name has it", () => {
    expect(milliseconds("--ttl-ms", "500", true)).toBe(500);
    expect(milliseconds("--ttl-ms", "7d", true)).toBe(604_800_000);
    expect(() => milliseconds("--ttl", "500")).toThrow("--ttl: '500' is not a duration such as 7d");
    expect(() => milliseconds("--ttl-ms", "", true)).toThrow(Usage);
  });

  test.each([
    [0, "0.0s"],
    [-5, "0.0s"],
    [1_240, "1.2s"],
    [59_999, "59s"],
    [725_900, "12m5s"],
    [7_384_000, "2h3m"],
    [273_600_500, "3d4h"],
    [4_000_000_000, "46d7h"],
  ])("of %i ms is an age of %s", (ms, text) => expect(shownAge(ms)).toBe(text));
});

describe("a size", () => {
  test.each([
    ["10GiB", 10 * 2 ** 30],
    ["10GB", 1e10],
    ["10 gib", 10 * 2 ** 30],
    ["512KiB", 524_288],
    ["1.5KiB", 1_536],
    ["512", 512],
    ["512B", 512],
    ["1.1GiB", 1_181_116_006],
  ])("%s is %i bytes", (text, count) => expect(sizeOf(text)).toBe(count));

  test.each(["", "10G", "10K", "1.5", "GiB", "-1", "1e3", "10GiBs", "10 GiB ", "9999999PB"])("%j is none", (text) =>
    expect(sizeOf(text)).toBeUndefined(),
  );

  test.each([
    [0, "0 B"],
    [1_023, "1023 B"],
    [1_024, "1.00 KiB"],
    [1_567_890_123, "1.46 GiB"],
    [104_857_600, "100 MiB"],
  ])("of %i is shown as %s", (count, text) => expect(shownSize(count)).toBe(text));

  test("of an option says what it takes", () => {
    expect(() => bytes("--retention-bytes", "10G")).toThrow("--retention-bytes: '10G' is not a size such as 10GiB");
  });
});

describe("a time", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  test.each([
    ["1h", "2026-11-29T11:00:00.000Z"],
    ["1d12h ago", "2026-11-28T00:00:00.000Z"],
    ["2026-11-28", "2026-11-28T00:00:00Z"],
    ["2026-11-28T10:00:00+01:00", "2026-11-28T10:00:00+01:00"],
  ])("%s is %s", (text, at) => expect(timeOf(text, now)).toBe(at));

  test.each(["2026-02-30", "yesterday", "28.11.2026", "5", "-5", "earliest", "9999999w"])("%j is none", (text) =>
    expect(timeOf(text, now)).toBeUndefined(),
  );

  test("is a place beside the others, which stay what they are", () => {
    expect(placeOf("90m", now)).toBe("2026-11-29T10:30:00.000Z");
    for (const other of ["5", "-5", "earliest", "latest", "snapshot", "m3k~0.5"]) expect(placeOf(other)).toBe(other);
  });

  test("of an argument says what else it may be", () => {
    expect(() => time("<before>", "soon", "an offset, nor ")).toThrow("<before>: 'soon' is not an offset, nor a time");
  });
});
