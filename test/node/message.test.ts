/** Messages of a socket: an append stores the same bytes as the same record in the body of a request. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonRecords } from "../../src/intake/json.ts";
import { readMessages } from "../../src/intake/message.ts";
import { decodeText, encodeText } from "../../src/lib/bytes.ts";
import type { Rec } from "../../src/log/record.ts";

const config = {
  recordBytesMax: 1_000_000,
  batchBytesMax: 1_000_000,
  timestamps: "arrival",
  offsets: "assigned",
} as const;

function dataOf(records: readonly Rec[]): string[] {
  return records.map(({ data, kind }) => `${kind} ${decodeText(data)}`);
}

function bySocket(record: string): string[] {
  let found: string[] = [];
  readMessages(`{"type":"append","id":1,"records":[${record}]}`, config, 0, (read) => {
    if (!read.ok) throw new Error(read.refusal.detail);
    if (!("records" in read.value)) throw new Error("no append");
    found = dataOf(read.value.records);
    return true;
  });
  return found;
}

function byBody(record: string): string[] {
  const read = jsonRecords(encodeText(`{"records":[${record}]}`), config, 0);
  if (!read.ok) throw new Error(read.refusal.detail);
  return dataOf(read.value);
}

test.each([
  '{"data":"plain"}',
  '{"data":""}',
  '{"data":"with \\"quotes\\" and \\\\ and \\u0041"}',
  '{"data":"café 🙂"}',
  '{"data":"a","data":"ab"}',
  '{"data":"","data":"xxxxxxxxxxxxxxx"}',
  '{"data":"xxxxxxxxxxxxxxx","data":""}',
  '{"data":"a","key":"b"}',
  '{"key":"\\"data\\":\\"","data":"z"}',
  '{"key":"\\"data\\":\\"z\\"}]}","data":"z"}',
  '{"data" : "spaced" }',
  '{"data":1e3}',
  '{"data":1000}',
  '{"data":9007199254740993}',
  '{"data":{"b":1, "a":[1,2]}}',
  '{"data":{"a":{"data":"z"}}}',
  '{"data":[{"data":"z"}],"data":"z"}',
  '{"data":null}',
  '{"key":"a"}',
])("%s", (record) => {
  expect(bySocket(record)).toEqual(byBody(record));
});

describe("whatever a record is", () => {
  test("its data are the bytes that were sent", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom('"data":"', "}]}", '"', "\\", "\n"));
    const data = fc.oneof(text, fc.jsonValue({ maxDepth: 3 }));
    const record = fc
      .tuple(
        fc.array(fc.tuple(fc.constantFrom("data", "key", "subject"), data), { minLength: 1, maxLength: 4 }),
        fc.nat(2),
      )
      .map(([members, indent]) => {
        const shown = members.map(([name, value]) => {
          const text = name === "data" ? value : String(JSON.stringify(value)).slice(0, 100) || "k";
          return `${JSON.stringify(name)}:${JSON.stringify(text, undefined, indent)}`;
        });
        return `{${shown.join(",")}}`;
      });
    // A line end of the printer's would be another message.
    const oneLine = record.map((text) => text.replaceAll("\n", " "));
    fc.assert(
      fc.property(oneLine, (text) => {
        expect(bySocket(text)).toEqual(byBody(text));
      }),
      { numRuns: 3_000 },
    );
  });
});
