/** What the live page sends of what is typed, and shows of what is there. */
import { describe, expect, test } from "vitest";
import type { StoredRecord } from "../../src/client/index.ts";
import { withText } from "../../src/client/options.ts";
import { shown, typed } from "../../src/page/records.ts";
import { appended, clientOf } from "../cases/answering.ts";

const deep = `${"[".repeat(50_000)}1.10${"]".repeat(50_000)}`;
const json = [
  deep,
  "123456789012345678901234567890",
  "1.10",
  "1e400",
  '{"a":1,"a":2}',
  '{ "b" : -0 }',
  '"\\u0041"',
  " 7 ",
  "null",
];

describe("the page", () => {
  test.each(json.map((text) => [text.slice(0, 40), text]))("sends JSON as it was typed: %s", async (_, text) => {
    const { stream, asked } = clientOf(appended);
    await stream.append(typed(text, "k"));
    expect(asked[0].body).toBe(`{"records":[{"data":${text},"key":"k"}]}`);
  });

  test.each(["", "hello", "{", "NaN", "01", "1 2"])("sends what is no JSON as a text: %j", async (text) => {
    const { stream, asked } = clientOf(appended);
    await stream.append(typed(text, ""));
    expect(asked[0].body).toBe(`{"records":[{"data":${JSON.stringify(text)}}]}`);
  });

  test("shows data as they lie there", () => {
    const records = [...json.map((text) => `{"offset":0,"data":${text}}`), '{"offset":1}', '{"data_base64":"AAE="}'];
    const read = withText(`{"records":[${records}]}`) as { records: StoredRecord[] };
    // Spaces around what is sent are the message's.
    expect(read.records.map((one) => shown(one).trim())).toEqual([
      ...json.map((one) => one.trim()),
      "",
      "base64: AAE=",
    ]);
  });
});
