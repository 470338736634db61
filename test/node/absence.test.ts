/** When a command says that it waits for an answer, and how. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Absence } from "../../src/cli/absence.ts";
import { explain } from "../../src/cli/output.ts";
import { network, problemOf } from "../../src/client/error.ts";

let now = 0;
beforeEach(() => {
  now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => void vi.restoreAllMocks());

test.each<[string, readonly number[], readonly number[]]>([
  ["nothing of what is over at once", [0, 100, 300, 700], []],
  ["it after two seconds", [0, 500, 1_500, 3_000, 5_000], [3_000]],
  ["it once a minute", [0, 10_000, 20_000, 60_000, 69_000, 71_000, 100_000, 130_000], [10_000, 71_000]],
  ["nothing where there was an answer for a minute", [0, 70_000, 140_000], []],
])("says %s", (_, failures, says) => {
  const said: unknown[] = [];
  const { retried } = new Absence((line) => said.push([now, line]));
  for (now of failures) retried(network("something else did"));
  const line = "millrace: the service did not answer: something else did; trying again";
  expect(said).toEqual(says.map((at) => [at, line]));
});

test("what something in between has said is told in one line", async () => {
  const page = new Response("\n<html>\n  <body>\r\n\n Bad gateway\n", { status: 502, statusText: "Bad Gateway" });
  const error = await problemOf(page);
  expect(explain(error).message).toBe("502 Bad Gateway: <html> <body> Bad gateway");
  const said: string[] = [];
  const { retried } = new Absence((line) => said.push(line));
  for (now of [0, 3_000]) retried(error);
  expect(said).toEqual(["millrace: 502 Bad Gateway: <html> <body> Bad gateway; trying again"]);
});
