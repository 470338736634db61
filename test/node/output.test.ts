/** What is said of an error, and how it ends. */
import { expect, test } from "vitest";
import { explain, table, Usage } from "../../src/cli/output.ts";
import { known, network } from "../../src/client/error.ts";

test.each([
  [known("trimmed", "it went", { head: 7 }), "it went (the first offset is 7)", 1],
  [known("trimmed", "offset 3 has been trimmed; the first is 7", { head: 7 }), "the first is 7", 1],
  [known("past-tail", "too far", { head: 7, tail: 9 }), "too far (offsets 7 to 9)", 1],
  [known("past-tail", "offset 12 is past the tail 9", { head: 7, tail: 9 }), "past the tail 9", 1],
  [known("conflict", "something else", { tail: 9 }), "something else", 1],
  [network(new Error("refused")), "is the service up?", 3],
  [new Usage("say which"), "say which", 2],
  [new Error("no such file"), "no such file", 1],
])("%s", (error, says, code) => {
  const said = explain(error);
  expect(said.code).toBe(code);
  expect(said.message).toContain(says);
  expect(said.message).not.toContain("undefined");
  // Nothing is said of a range that is named already.
  if (!says.endsWith(")")) expect(said.message).not.toMatch(/\)$/);
});

test.each([
  ["namespace-not-found", "the namespace 'fresh' does not exist", "millrace namespaces create fresh"],
  ["stream-not-found", "the stream 'orders' does not exist", "millrace streams create orders"],
  ["group-not-found", "the group 'billing' does not exist", "millrace groups create <stream> billing"],
])("%s names the command, and not the interface's method", (code, what, command) => {
  expect(explain(known(code, `${what}; create it with PUT`)).message).toBe(`${what}; create it with: ${command}`);
  expect(explain(known(code, what)).message).toBe(what);
  const ofStream = explain(known(code, `${what}; create it with PUT`, { stream: "orders" })).message;
  expect(ofStream).toBe(`${what}; create it with: ${command.replace("<stream>", "orders")}`);
  expect(explain(known(code, `orders, partition 0: ${what}; create it with PUT`)).message).toContain(command);
});

test("a table's heads stand over what is below them: over numbers, and what stands for one, to the right", () => {
  const rows = [
    ["orders", 12_345, { right: "1.46 GiB" }, "x"],
    ["a", 7, { right: "0 B" }, ""],
  ];
  expect(table(["STREAM", "LAG", "BYTES", ""], rows)).toBe(
    ["STREAM    LAG     BYTES", "orders  12345  1.46 GiB  x", "a           7       0 B"].join("\n"),
  );
  expect(table(["STREAM", "LAG"], [])).toBe("STREAM  LAG");
});
