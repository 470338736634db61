/** Every answer that may be large counts with what clients have yet to take: none is made, or sent, past that. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { limits } from "../../schemas/limits.ts";
import type { Operation } from "../../src/http/operation.ts";
import { operations } from "../../src/http/operations.ts";
import { refusalsOf, roomOf } from "../../src/http/room.ts";

type Schema = Readonly<Record<string, unknown>>;

const all = Object.entries(operations).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, path, method, operation })),
);

/** Whether a value that a schema describes may be as long as it likes: lists without an end, and what may be anything. */
function isEndless(schema: unknown): boolean {
  if (typeof schema !== "object" || schema === null) return false;
  const { type, maxItems, additionalProperties } = schema as Schema;
  if (type === "array" && maxItems === undefined) return true;
  if (additionalProperties !== undefined && additionalProperties !== false) return true;
  return Object.values(schema).some(isEndless);
}

/** Good answers that may be large, of what the reference says of an operation. */
function mayBeLarge({ answers }: Operation, path: string): boolean {
  return Object.entries(answers).some(([status, { body, types = [] }]) => {
    // Bytes of somebody's.
    if (body === undefined) return status === "200" && /snapshots\/:\w+$/.test(path);
    return types.length > 0 || isEndless(z.toJSONSchema(body, { io: "input", unrepresentable: "any" }));
  });
}

/** Short, though their schemas do not say so. */
const short = [
  // The table of limits.
  "GET /v1/config",
];

test.each(all.filter(({ name }) => !short.includes(name)))("$name", ({ path, method, operation }) => {
  const declared = operation.answerBytes !== undefined;
  if (mayBeLarge(operation, path) && method !== "DELETE") expect(declared, "says how large it may be").toBe(true);
  const room = roomOf(operation);
  if (room === undefined) return;
  expect(refusalsOf(operation)).toContain("too-many");
  const bytes = room(new Request("http://m/", { method: "POST", body: "x", headers: { "content-length": "1" } }));
  // One that asks for more than there is would never have it.
  expect(bytes).toBeLessThanOrEqual(limits.untakenBytesMax / 4);
  expect(room(new Request("http://m/"))).toBeGreaterThan(262_144);
});

test("an operation's room is told by its request where that says how long the answer is", () => {
  const room = roomOf({ summary: "", answers: {}, refusals: [], answerBytes: "body" });
  const asked = (headers: HeadersInit) => room?.(new Request("http://m/", { headers }));
  expect(asked({ "content-length": "500000" })).toBe(500_000);
  expect(asked({ "content-length": "5", "content-encoding": "gzip" })).toBe(limits.jsonBytesMax);
  expect(asked({})).toBe(limits.jsonBytesMax);
});

test("no answer has a body that was not counted", () => {
  const src = resolve(import.meta.dirname, "../../src/http");
  const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
  const made = files.flatMap((file) =>
    [...readFileSync(join(src, file), "utf8").matchAll(/new Response\(\s*([^\n]{0,60})/g)].map((match) => ({
      file,
      body: match[1],
    })),
  );
  const counted = [
    /^null[,)]/,
    /^(blocks && )?countedBody\(/,
    /^sharedBody\(/,
    /^passedOn\(/,
    /^reading\.(bodyOf|endlessOf)\(/,
    // Streams that count by themselves: events, and an answer that is begun before it is known.
    /^events\.body,/,
    /^readable, \{ headers \}/,
    // Files of the page, which the platform sends as they are taken.
    /^response\.body, /,
  ];
  expect(made.length).toBeGreaterThan(15);
  // `events.body` may stand in a line of its own.
  expect(made.filter(({ body }) => !counted.some((form) => form.test(body)))).toEqual([]);
});
