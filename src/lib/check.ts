/** Checking what came from outside: values against schemas, and text that should be JSON. */
import type { z } from "zod";
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { decodeText, markBytes, textBefore } from "./bytes.ts";

/**
 * Checks a value against a schema. Unknown fields are refused by name, everything else with its path; what came as JSON, with its
 * JSON Pointer besides.
 */
export function check<T extends z.ZodType>(
  schema: T,
  value: unknown,
  what: string,
  cameAs?: "JSON",
): Result<z.output<T>> {
  const parsed = schema.safeParse(value, { error: (issue) => saidOf(issue) });
  if (parsed.success) {
    const left = leftOut(value, parsed.data, []);
    return left === undefined ? ok(parsed.data) : noName(left, what, cameAs);
  }
  // A field that is misspelt is also one that is missing: the spelling says more.
  const { issues } = parsed.error;
  const issue = deepest(issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]);
  const path = issue.path.join(".");
  const pointer = (...more: readonly PropertyKey[]) =>
    cameAs === undefined ? {} : { pointer: pointerTo([...issue.path, ...more]) };
  // Of a name that is not one, what is wrong with it.
  const message = issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  if (issue.code === "unrecognized_keys") {
    const place = path === "" ? "" : ` in ${path}`;
    return refuse("unknown-field", `${what}: ${issue.keys.map((key) => `'${key}'`).join(", ")}${place} is not known`, {
      fields: issue.keys,
      path,
      ...pointer(issue.keys[0]),
    });
  }
  return refuse("invalid", `${what}: ${path === "" ? "" : `${path}: `}${message}`, { path, ...pointer() });
}

/** The one name that the schemas' library leaves out of what it was given, wherever names are free, in silence. */
const unnameable = "__proto__";

/** Where that was; undefined where nothing was left out. What may be any JSON stays as it came. */
function leftOut(given: unknown, taken: unknown, path: readonly PropertyKey[]): PropertyKey[] | undefined {
  if (given === taken || typeof given !== "object" || given === null || typeof taken !== "object" || taken === null)
    return undefined;
  if (Object.hasOwn(given, unnameable) && !Object.hasOwn(taken, unnameable)) return [...path, unnameable];
  for (const [name, one] of Object.entries(given)) {
    const left =
      typeof one === "object" ? leftOut(one, (taken as Record<string, unknown>)[name], [...path, name]) : undefined;
    if (left !== undefined) return left;
  }
  return undefined;
}

function noName(path: readonly PropertyKey[], what: string, cameAs: "JSON" | undefined) {
  const named = path.join(".");
  const pointer = cameAs === undefined ? {} : { pointer: pointerTo(path) };
  return refuse("invalid", `${what}: ${named}: '${unnameable}' cannot be a name here; choose another`, {
    path: named,
    ...pointer,
  });
}

/** A place in JSON, as RFC 6901 writes it. */
export const pointerTo = (path: readonly PropertyKey[]): string =>
  path.map((name) => `/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** A refusal of a part of a text of JSON, with the pointer from where the whole begins; of NDJSON, with the line too. */
export function partOf(
  refused: { readonly ok: false; readonly refusal: Refusal },
  path: readonly PropertyKey[],
  line?: number,
) {
  const { pointer = "", ...facts } = refused.refusal.facts ?? {};
  const place = { pointer: `${pointerTo(path)}${pointer}`, ...(line === undefined ? {} : { line }) };
  return { ok: false, refusal: { ...refused.refusal, facts: { ...facts, ...place } } } as const;
}

type Issue = z.core.$ZodIssue;

/**
 * Of a union, the branch that came furthest says most, where the schema says nothing of its own; where none got past what it is
 * at all, all of them do.
 */
function deepest(issue: Issue): Issue {
  if (issue.code !== "invalid_union" || issue.errors.length === 0 || issue.message !== unsaid) return issue;
  const isStrange = ([first]: readonly Issue[]) =>
    first?.path.length === 0 && first.message.startsWith(must) && strange.has(first.code);
  if (issue.errors.every(isStrange)) {
    const each = issue.errors.map(([{ message }]) => message.slice(must.length).replace(/, not .*/, ""));
    return { ...issue, message: must + either([...new Set(each)]) };
  }
  const depth = ([first]: readonly Issue[]) => first?.path.length ?? 0;
  const best = issue.errors
    .filter((one) => !isStrange(one))
    .reduce((a, b) => (b.length < a.length || (b.length === a.length && depth(b) > depth(a)) ? b : a));
  return best.length === 0 ? issue : { ...best[0], path: [...issue.path, ...best[0].path] };
}

/** Of what is another kind of value. */
const strange: ReadonlySet<string> = new Set(["invalid_type", "invalid_value"]);
const must = "must be ";
const unsaid = "is not valid";

type Raw<Code> = Extract<z.core.$ZodRawIssue, { code: Code }>;

/** What each kind of fault is called, where its schema has no words for it: none of the library's is ever told. */
const words: { readonly [Code in Issue["code"]]: (issue: Raw<Code>) => string } = {
  invalid_type: ({ expected, input }) => {
    const [wanted, given] = [
      kindOf(expected),
      kindOf(input === null ? "null" : Array.isArray(input) ? "array" : typeof input),
    ];
    return given === wanted || (given === "a number" && wanted === "a whole number")
      ? must + wanted
      : `${must}${wanted}, not ${given}`;
  },
  invalid_value: ({ values }) => must + either(values.map(shown)),
  too_small: ({ origin, minimum, inclusive, exact }) =>
    bound(origin, minimum, exact ? "exactly" : inclusive ? "at least" : "more than"),
  too_big: ({ origin, maximum, inclusive, exact }) =>
    bound(origin, maximum, exact ? "exactly" : inclusive ? "at most" : "less than"),
  // A pattern's schema has its own words: nobody is to read one.
  invalid_format: ({ format }) => must + format.replaceAll("_", " "),
  not_multiple_of: ({ divisor }) => `must be a multiple of ${divisor}`,
  unrecognized_keys: ({ keys }) => `${keys.map(shown).join(", ")} is not known`,
  invalid_union: ({ options }) => (!Array.isArray(options) ? unsaid : must + either(options.map(shown))),
  invalid_key: () => "has a name that is not valid",
  invalid_element: () => "has an element that is not valid",
  custom: () => unsaid,
};

function saidOf(issue: z.core.$ZodRawIssue): string {
  const said = (words[issue.code] as (issue: z.core.$ZodRawIssue) => string)(issue);
  if (issue.input !== undefined || !(strange.has(issue.code) || issue.code === "invalid_union")) return said;
  return said.startsWith(must) ? `is missing: it ${said.replace(/, not .*/, "")}` : "is missing";
}

const kinds: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};
const kindOf = (name: string): string => kinds[name] ?? name;

function bound(origin: string, count: number | bigint, how: string): string {
  const unit = origin === "string" ? "character" : origin === "array" ? "item" : undefined;
  if (unit === undefined) return `${must}${how} ${count}`;
  return how === "at least" && Number(count) === 1
    ? "must not be empty"
    : `must have ${how} ${count} ${unit}${Number(count) === 1 ? "" : "s"}`;
}

const shown = (value: unknown): string => (typeof value === "string" ? `'${value}'` : String(value));
const either = (some: readonly string[]): string =>
  [some.slice(0, -1).join(", "), some.at(-1)].filter(Boolean).join(" or ");

/** Parses JSON, behind a byte order mark if it has one. The refusal says where it stops being valid. */
export function parseJson(bytes: Uint8Array): Result<unknown> {
  let text: string;
  try {
    text = decodeText(bytes, markBytes(bytes));
  } catch {
    const { line, column } = placeAfter(textBefore(bytes));
    return refuse("bad-json", `the body is not UTF-8 at line ${line}, column ${column}`, { line, column });
  }
  if (text.trim() === "") return refuse("bad-json", "the body is empty; send JSON");
  try {
    return ok(JSON.parse(text));
  } catch (error) {
    const { line, column } = placeAfter(text.slice(0, faultOf(text)));
    const said = (error as Error).message.replace(
      /,? ?("?\.\.\.)?"[\s\S]*" is not valid JSON$| in JSON at position .*$/,
      "",
    );
    return refuse("bad-json", `${said} at line ${line}, column ${column}`, { line, column });
  }
}

function placeAfter(text: string): { line: number; column: number } {
  return { line: text.split("\n").length, column: text.length - text.lastIndexOf("\n") };
}

/**
 * Where a text that is not JSON stops being its beginning. The parser does not always say; but every beginning before the
 * fault is merely incomplete, and none after it is, so that the place is found by halving.
 */
function faultOf(text: string): number {
  let fine = 0;
  let broken = text.length + 1;
  while (broken - fine > 1) {
    const middle = (fine + broken) >>> 1;
    if (middle > text.length || !isIncomplete(text.slice(0, middle))) broken = middle;
    else fine = middle;
  }
  return Math.min(fine, text.length);
}

function isIncomplete(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const { message } = error as Error;
    const at = /at position (\d+)/.exec(message)?.[1];
    return at === undefined ? message.includes("end of JSON") : Number(at) >= text.length;
  }
}
