/** What is wrong with a value is said in our words: nobody is told a library's. */
import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod";
import { clientMessage, memberMessage } from "../../schemas/frames.ts";
import { groupConfig } from "../../schemas/group.ts";
import { appendBody, appendQuery } from "../../schemas/record.ts";
import { operations } from "../../src/http/operations.ts";
import { check } from "../../src/lib/check.ts";

const schemas = [
  clientMessage,
  memberMessage,
  ...Object.values(operations).flatMap((methods) =>
    Object.values(methods).flatMap(({ query, body }) => [query ?? [], body ?? []].flat()),
  ),
];
const foreign =
  /Invalid|Too (small|big)|\bexpected\b|\breceived\b|Unrecognized|option|[<>]=|\/\^|undefined|\[object|\bNaN\b/;
const said = (schema: z.ZodType, value: unknown) => {
  const checked = check(schema, value, "body", "JSON");
  return checked.ok ? undefined : checked.refusal.detail;
};

const strange = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 0.5, 1e30, "", "x", "\ud800", [], [[]], {}, { x: 1 }, undefined),
  fc.constantFrom(
    "x".repeat(2_000),
    Array.from({ length: 20_000 }, () => "x"),
    "2026-13-01",
    "http://",
    "whsec_",
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A value for a schema in which a part, at any depth, is something else. */
function spoiled(schema: object): fc.Arbitrary<unknown> {
  const { type, properties = {}, items, anyOf, oneOf, prefixItems } = schema as Record<string, never>;
  const branches = (anyOf ?? oneOf) as object[] | undefined;
  if (branches !== undefined) return fc.oneof(strange, ...branches.map(spoiled));
  if (items !== undefined && prefixItems === undefined)
    return fc.oneof(strange, fc.array(spoiled(items), { maxLength: 3 }));
  if (type !== "object") return strange;
  const fields = Object.entries(properties).map(([name, one]) => [name, spoiled(one as object)]);
  return fc.oneof(strange, fc.record(Object.fromEntries(fields), { requiredKeys: [] }));
}

test("by every schema of what comes from outside, whatever comes", () => {
  expect(schemas.length).toBeGreaterThan(40);
  let refused = 0;
  for (const schema of schemas) {
    const shape = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
    fc.assert(
      fc.property(spoiled(shape), (value) => {
        const detail = said(schema, value);
        if (detail === undefined) return;
        refused++;
        // Between quotes stands what came.
        const words = detail.split(": ").at(-1)?.replace(/'.*'/s, "''") as string;
        expect(words).not.toMatch(foreign);
        expect(words.length).toBeGreaterThan(5);
      }),
      { numRuns: 30 },
    );
  }
  expect(refused).toBeGreaterThan(500);
});

test.each<[string, z.ZodType, unknown]>([
  ["must be an object, not a number", appendBody, 1],
  ["must be an object, not a list", appendBody, []],
  ["records: is missing: it must be a list", appendBody, {}],
  ["records: must not be empty", appendBody, { records: [] }],
  ["records.0.key: must not be empty", appendBody, { records: [{ key: "" }] }],
  ["records.0.offset: must be a whole number", appendBody, { records: [{ offset: 1.5 }] }],
  ["records.0.offset: must be at least 0", appendBody, { records: [{ offset: -1 }] }],
  ["records.0.data_base64: must be base64", appendBody, { records: [{ data_base64: "?" }] }],
  ["records.0.tags: must have at most 32 items", appendBody, { records: [{ tags: Array(33).fill("a") }] }],
  ["records.0.timestamp: must be a number or a string", appendBody, { records: [{ timestamp: true }] }],
  ["records.0.timestamp: must be at least 0", appendBody, { records: [{ timestamp: -1 }] }],
  ["ack: must be 'durable' or 'none'", appendQuery, { ack: "quorum" }],
  ["order: must be 'key', 'partition' or 'none'", groupConfig, { order: "x" }],
  ["backoff: must be a list or an object", groupConfig, { backoff: true }],
  ["type: must be 'credit', 'ack', 'nack', 'release', 'extend' or 'confirm'", memberMessage, {}],
  ["must have at least 2 characters", z.string().min(2).max(2), "a"],
  ["must have exactly 2 items", z.array(z.number()).length(2), [1]],
  ["must be more than 1", z.number().gt(1), 1],
  ["must be a multiple of 5", z.number().multipleOf(5), 7],
  ["'b' is not known", z.record(z.enum(["a"]), z.number()), { b: 1 }],
  ["b: must have at least 2 characters", z.record(z.string().min(2), z.number()), { b: 1 }],
  ["a: must be a number, not a string", z.map(z.string(), z.number()), new Map([["a", "b"]])],
  ["a: must be a number", z.union([z.strictObject({ a: z.number() }), z.strictObject({ b: z.number() })]), { a: "x" }],
  ["is not valid", z.string().refine(() => false), "a"],
])("%s", (detail, schema, value) => {
  expect(said(schema, value)).toContain(`body: ${detail}`);
});
