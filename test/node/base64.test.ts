/** Base64 as everybody has it, and as cheap to write as what it stands for. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { base64Length, fromBase64, toBase64, writeBase64 } from "../../src/lib/base64.ts";
import { itemsOf } from "../../src/log/follow.ts";
import { JsonWriter } from "../../src/log/json.ts";
import { FrameWriter } from "../../src/log/record.ts";

test("any bytes, from any place to any place", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), fc.nat(20), (bytes, before, after) => {
      const [from, to] = [
        Math.min(before, bytes.length),
        Math.max(Math.min(before, bytes.length), bytes.length - after),
      ];
      const part = bytes.subarray(from, to);
      const expected = Buffer.from(part).toString("base64");
      expect(toBase64(part)).toBe(expected);
      expect([...fromBase64(expected)]).toEqual([...part]);
      const target = new Uint8Array(3 + base64Length(part.length) + 3).fill(1);
      expect(writeBase64(bytes, from, to, target, 3)).toBe(3 + expected.length);
      expect(Buffer.from(target).toString("latin1")).toBe(`\u0001\u0001\u0001${expected}\u0001\u0001\u0001`);
    }),
  );
});

test("a record of binary data is JSON, whatever its length and whatever stood before it", () => {
  const writer = new JsonWriter();
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200_000 }), fc.nat(5), (length, times) => {
      const data = Uint8Array.from({ length }, (_, index) => index * 7);
      const frames = new FrameWriter();
      frames.add({ kind: 3, data });
      const [item] = itemsOf(frames.finish(0)[0]);
      for (let time = 0; time < times; time++) writer.record(item, 0).text("\n");
      const lines = new TextDecoder().decode(writer.take()).split("\n").slice(0, -1);
      expect(lines.length).toBe(times);
      for (const line of lines) expect(JSON.parse(line).data_base64).toBe(Buffer.from(data).toString("base64"));
    }),
    { numRuns: 30 },
  );
});
