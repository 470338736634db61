import * as z from "zod";
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { check, parseJson } from "../lib/check.ts";
import { readBody } from "./body.ts";

/** The query of a URL as an object. `lists` may be repeated, the others may not. */
export function query<T extends z.ZodType>(schema: T, url: URL, lists: readonly string[] = []): Result<z.output<T>> {
  // Without a prototype, so that every name is one like another.
  const values: Record<string, unknown> = Object.create(null);
  for (const [name, value] of url.searchParams) {
    // Who asks has been settled.
    if (name === "ticket") continue;
    if (lists.includes(name)) values[name] = [...((values[name] as string[] | undefined) ?? []), value];
    else if (Object.hasOwn(values, name)) return refuse("invalid", `query: ${name} is given twice`, { path: name });
    else values[name] = value;
  }
  return check(schema, values, "query");
}

/**
 * What is wrong with the query of a URL, if anything is: percent-encoding that is no UTF-8, which every reader of URLs would
 * replace in silence.
 */
export function queryProblem(url: string): Refusal | undefined {
  const at = url.indexOf("?");
  if (at < 0 || !url.includes("%", at)) return undefined;
  for (const part of url.slice(at + 1).split("&")) {
    const wrong = part.match(/(?:%[0-9a-f]{2})+/gi)?.find((run) => !isUtf8(run));
    if (wrong === undefined) continue;
    const path = part.split("=")[0].slice(0, 64);
    return {
      code: "invalid",
      detail: `query: ${path}: ${wrong.slice(0, 64)} is not UTF-8, percent-encoded`,
      facts: { path },
    };
  }
  return undefined;
}

const none = z.strictObject({});

/** What is wrong with the query of a route that has no parameters. */
export function emptyQueryProblem(url: string): Refusal | undefined {
  if (!url.includes("?")) return undefined;
  const read = query(none, new URL(url));
  return read.ok ? undefined : read.refusal;
}

function isUtf8(encoded: string): boolean {
  try {
    decodeURIComponent(encoded);
    return true;
  } catch {
    return false;
  }
}

export const mergePatch = "application/merge-patch+json";

/** A JSON body against its schema; an empty one is `{}`. */
export async function readJson<T extends z.ZodType>(request: Request, schema: T): Promise<Result<z.output<T>>> {
  const read = await readJsonBytes(request, schema);
  return read.ok ? ok(read.value.value) : read;
}

/** The same, with the bytes that were sent. */
export async function readJsonBytes<T extends z.ZodType>(
  request: Request,
  schema: T,
): Promise<Result<{ readonly value: z.output<T>; readonly bytes: Uint8Array }>> {
  const body = await readBody(request, limits.jsonBytesMax);
  if (!body.ok) return body;
  const parsed = body.value.length === 0 ? ok({}) : parseJson(body.value);
  if (!parsed.ok) return parsed;
  const checked = check(schema, parsed.value, "body", "JSON");
  return checked.ok ? ok({ value: checked.value, bytes: body.value }) : checked;
}

/** A JSON Merge Patch (RFC 7396). */
export async function readPatch<T extends z.ZodType>(request: Request, schema: T): Promise<Result<z.output<T>>> {
  if (/json-patch\+json/i.test(request.headers.get("content-type") ?? "")) {
    const detail = `a JSON Patch is not known here; send a JSON Merge Patch, which is the fields that change, as ${mergePatch}`;
    return refuse("unsupported-media-type", detail);
  }
  return readJson(request, schema);
}
