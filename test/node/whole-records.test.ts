/** Lines that are whole records: whose white space around the data is kept. */
import { expect, test } from "vitest";
import { type StreamConfig, streamDefaults } from "../../schemas/stream.ts";
import { recordOf } from "../../src/cli/appended.ts";
import { recordRows } from "../../src/cli/import/map.ts";
import { decodeText } from "../../src/lib/bytes.ts";

const config = streamDefaults as StreamConfig;

test.each([
  [
    "of one that read --json printed, which lies so in the log",
    '{"partition":0,"offset":1,"key":"k","data":\t [1] }',
    "\t [1] ",
  ],
  ["of one that was printed, amid it", '{"data": "a" ,"partition":0}', ' "a" '],
  ["of no other", '{"key": "k", "data": {"a": 1} }', '{"a": 1}'],
])("%s", (_, text, data) => {
  const line = Buffer.from(text);
  expect(decodeText(recordOf(line, config, { records: true }, 0).data)).toBe(data);
  expect(decodeText(recordRows(config)(line)?.data as Uint8Array)).toBe(data);
});
