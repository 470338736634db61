/** Which form of a read an Accept header asks for. */
import { expect, test } from "vitest";
import { formatOf } from "../../src/http/read/terms.ts";

test.each([
  [null, "json"],
  ["", "json"],
  ["*/*", "json"],
  ["application/*", "json"],
  ["application/json, text/plain, */*", "json"],
  ["*/*, application/json", "json"],
  ["*/*, application/x-ndjson", "json"],
  ["application/x-ndjson, application/json", "ndjson"],
  ["Application/JSON; charset=utf-8", "json"],
  ["text/html;q=0.9, application/x-ndjson;q=0.8, application/json;q=0.1", "ndjson"],
  ["application/jsonl", "ndjson"],
  ["text/event-stream", "events"],
  ["application/json;q=0, */*", "ndjson"],
  ["*/*, application/json; q=0", "ndjson"],
  ["application/json;q=0, application/*", "ndjson"],
  ["*/*;q=0.5, application/json;q=0.1", "ndjson"],
  ["application/json;q=0, application/x-ndjson;q=0, */*", "frames"],
  ["application/*;q=0, */*", undefined],
  ["application/json;q=0, application/x-ndjson;q=0, application/vnd.millrace.frames;q=0, */*", undefined],
  ["application/json;q=0", undefined],
  ["*/*;q=0", undefined],
  ["text/*", undefined],
  ["image/png", undefined],
  [";;q=9,/,*", undefined],
])("%s is %s", (accept, format) => {
  const found = formatOf(accept);
  expect(found.ok ? found.value : undefined).toBe(format);
});
