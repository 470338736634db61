/** Names that objects have by themselves, wherever names are free: taken as what they are, or refused by name; never left out in silence. */
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { groupDump } from "../../schemas/dump.ts";
import { groupConfig, groupPatch } from "../../schemas/group.ts";
import { changeBy } from "../../schemas/patch.ts";
import { appendBody, recordInput } from "../../schemas/record.ts";
import { operations } from "../../src/http/operations.ts";
import { check } from "../../src/lib/check.ts";

const own = ["constructor", "toString", "valueOf", "hasOwnProperty"];
const url = "https://example.com/";

const wrappers = [z.ZodOptional, z.ZodNullable, z.ZodDefault, z.ZodNonOptional];

/** Every object with free names inside a schema of what is sent, by its path; lists and unions are passed through. */
function freeNames(schema: z.ZodType, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (wrappers.some((one) => schema instanceof one))
    return freeNames((schema as z.ZodOptional).unwrap() as z.ZodType, path);
  if (schema instanceof z.ZodArray) return freeNames(schema.element as z.ZodType, [...path, 0]);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((one) => freeNames(one as z.ZodType, path));
  if (schema instanceof z.ZodRecord) return [path];
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([name, one]) => freeNames(one as z.ZodType, [...path, name]));
}

/** The JSON of an object with one free name at a path, and what must be there besides. */
const sent = (path: readonly (string | number)[], name: string, value: unknown, besides: object = {}): unknown => {
  const inside = `{${JSON.stringify(name)}:${JSON.stringify(value)}}`;
  const whole = path.reduceRight<string>((text, one) => (one === 0 ? `[${text}]` : `{"${one}":${text}}`), inside);
  return merged(besides, JSON.parse(whole));
};

function merged(a: unknown, b: unknown): unknown {
  if (typeof a !== "object" || a === null || Array.isArray(b) || typeof b !== "object" || b === null) return b;
  const both = { ...a };
  for (const name of Object.getOwnPropertyNames(b)) {
    const [mine, other] = [Reflect.get(a, name), Reflect.get(b, name)];
    const value = Object.hasOwn(a, name) ? merged(mine, other) : other;
    Object.defineProperty(both, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return both;
}

const bodies: [string, z.ZodType, object, readonly (readonly (string | number)[])[]][] = [
  ["a group", groupConfig, { push: { url } }, [["push", "headers"]]],
  ["a patch of a group", groupPatch as z.ZodType, {}, [["push", "headers"]]],
  ["a record", recordInput as z.ZodType, {}, [["extensions"]]],
  ["a batch", appendBody as z.ZodType, {}, [["records", 0, "extensions"]]],
];

describe.each(bodies)("%s", (_what, schema, besides, paths) => {
  test("has free names where this test looks for them", () => {
    expect(freeNames(schema)).toEqual(paths);
  });

  test.each(paths.map((path) => [path.join("."), path] as const))(
    "in %s: each is kept, or refused by name",
    (at, path) => {
      for (const name of ["__proto__", ...own]) {
        const given = sent(path, name, "x", besides);
        const checked = check(schema, given, "body", "JSON");
        if (checked.ok) {
          let kept: unknown = checked.value;
          for (const one of path) kept = Reflect.get(kept as object, one);
          expect([name, Object.hasOwn(kept as object, name)]).toEqual([name, true]);
        } else {
          expect(checked.refusal.detail).toContain(name);
          expect(checked.refusal.facts).toMatchObject({ path: `${at}.${name}`, pointer: `/${path.join("/")}/${name}` });
        }
      }
      const refused = check(schema, sent(path, "__proto__", 5, besides), "body", "JSON");
      expect(refused).toMatchObject({ ok: false, refusal: { code: "invalid" } });
    },
  );
});

test("every body of an operation with free names is among them", () => {
  const found = Object.values(operations)
    .flatMap((methods) => Object.values(methods))
    .flatMap(({ body }) => (body === undefined ? [] : freeNames(body)))
    .map((path) => path.join("."));
  const tried = bodies.flatMap(([, , , paths]) => paths.map((path) => path.join(".")));
  expect(found.filter((one) => !tried.includes(one))).toEqual([]);
  expect(found).toContain("push.headers");
});

test("a name that no schema has is refused too, at any depth", () => {
  for (const body of ['{"__proto__":{}}', '{"push":{"__proto__":{}}}', '{"filter":{"key":"k","__proto__":1}}']) {
    const refused = check(groupConfig, JSON.parse(body), "body", "JSON");
    expect(refused).toMatchObject({
      ok: false,
      refusal: { code: "unknown-field", detail: expect.stringContaining("'__proto__'") },
    });
  }
});

test("data are any JSON, with any name", () => {
  const data = JSON.parse('{"__proto__":{"__proto__":1},"constructor":2}');
  expect(check(recordInput as z.ZodType, { data }, "body", "JSON")).toMatchObject({ ok: true, value: { data } });
});

test("a dump that has one is no dump", () => {
  expect(freeNames(groupDump)).toEqual([["config", "push", "headers"]]);
  const push = (groupDump.shape.config.shape.push as z.ZodNonOptional<z.ZodNullable<z.ZodObject>>).unwrap().unwrap();
  const { headers } = push.shape;
  const refused = check(headers as z.ZodType, JSON.parse('{"__proto__":"x"}'), "the group block");
  expect(refused).toMatchObject({ ok: false, refusal: { detail: expect.stringContaining("__proto__") } });
});

test("a patch keeps what was there under such a name, and takes it away by null", () => {
  const before = { push: JSON.parse('{"headers":{"constructor":"a","x":"b"}}') };
  const change = changeBy({ push: { headers: { constructor: null } } } as never, before, {});
  expect(JSON.stringify(change)).toBe('{"push":{"headers":{"x":"b"}}}');
});
