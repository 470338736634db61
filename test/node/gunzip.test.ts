/** Gzip as it is unpacked: all that lies before a fault comes first, in whatever pieces it is read. */
import { crc32, gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crcOf, slowly } from "../../src/cli/crc32.ts";
import { unpackGzip } from "../../src/cli/gunzip.ts";

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** All that comes, and how it ends. */
async function unpacked(bytes: Buffer, size = 524_288): Promise<{ text: string; error: string | undefined }> {
  const parts: Buffer[] = [];
  let error: string | undefined;
  try {
    for await (const part of unpackGzip(inPieces(bytes, size))) parts.push(part);
  } catch (thrown) {
    error = (thrown as Error).message;
  }
  return { text: Buffer.concat(parts).toString(), error };
}

const long = Array.from({ length: 100_000 }, (_, n) => `${n},${n ** 2 % 9_973}\n`).join("");
const wrong = gzipSync("");
wrong[wrong.length - 6] ^= 1;

describe.each([
  ["nothing", "", undefined],
  ["zeros", Buffer.alloc(1_000), undefined],
  ["a text", "more\n", "lies behind"],
  ["a text behind zeros", "\0more\n", "lies behind"],
  ["a text far behind", Buffer.concat([Buffer.alloc(700_000), Buffer.from("x")]), "lies behind"],
  ["what begins like a member", "\x1fx", "lies behind"],
  ["a member of another kind", Buffer.from("1f8b0900000000000000", "hex"), "damaged, or something else is behind it"],
  ["a member that is cut off amid its header", gzipSync("").subarray(0, 9), "cut off"],
  ["a member that is cut off amid its end", gzipSync("").subarray(0, -1), "cut off"],
  ["a member with a wrong checksum", wrong, "damaged"],
])("behind what was packed there is %s:", (_, behind, says) => {
  test.each([
    ["long", long, 6, 65_536],
    ["long, in one piece", long, 1, 10_000_000],
    ["short", "1\n2\n", 6, 524_288],
    ["short, byte by byte", "1\n2\n", 0, 1],
  ])("all of it comes first, where it is %s", async (_, text, level, size) => {
    const packed = gzipSync(text, { level });
    const all = Buffer.concat([packed, packed, Buffer.from(behind as string)]);
    const { text: came, error } = await unpacked(all, size);
    expect(came === text + text).toBe(true);
    if (says === undefined) expect(error).toBeUndefined();
    else expect(error).toContain(says);
  });
});

test("headers may have what RFC 1952 allows", async () => {
  const [plain, extra] = [gzipSync("a\n"), Buffer.from("\x03\0abcname\0comment\0\xff\xff", "latin1")];
  const head = Buffer.from(plain.subarray(0, 10));
  head[3] = 2 | 4 | 8 | 16;
  expect(await unpacked(Buffer.concat([head, extra, plain.subarray(10)]))).toEqual({ text: "a\n", error: undefined });
});

test("what is cut off anywhere comes as far as it goes, and is said to be cut off", async () => {
  const packed = gzipSync(long, { level: 0 });
  for (const end of [1, 5, 10, 12, 1_000, packed.length - 9, packed.length - 1]) {
    const { text, error } = await unpacked(packed.subarray(0, end));
    expect(error).toContain("cut off");
    expect(long.startsWith(text)).toBe(true);
    // Stored as it is, in blocks: what is missing of it is what was cut off.
    if (end > 1_000) expect(text.length).toBeGreaterThan(long.length - 100);
  }
});

test("the checksum is that of every Node", () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (one, other) => {
      const whole = crc32(Buffer.concat([one, other]));
      expect(crcOf(other, crcOf(one, 0))).toBe(whole);
      expect(slowly(other, slowly(one, 0))).toBe(whole);
    }),
  );
});
