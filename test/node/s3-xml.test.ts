/** What stores answer, which is XML in more than one form. */
import { expect, test } from "vitest";
import { isAnswer } from "../../src/platform/s3-xml.ts";

test.each([
  ["<DeleteResult/>", true],
  ["<DeleteResult />", true],
  ['<?xml version="1.0"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>', true],
  ["<DeleteResult></DeleteResult>", true],
  ["<DeleteResults/>", false],
  ["<Error><Code>InternalError</Code></Error>", false],
  ["", false],
])("%s is an answer to a delete: %s", (xml, expected) => {
  expect(isAnswer(xml, "DeleteResult")).toBe(expected);
});
