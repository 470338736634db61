/** As much of JSON Schema as /openapi.json speaks: what it forbids, and a value that it allows. */
import type { Json } from "../frame/http.ts";

export interface Schema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

const typeOf = (value: Json): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value === "number" ? "number" : typeof value;

function isOfType(type: string, value: Json): boolean {
  if (type === "integer") return typeof value === "number" && Number.isInteger(value);
  return typeOf(value) === type;
}

/** What is above all doubt: lengths count code units, and formats are left to the service. */
export function forbids(schema: Schema, value: Json): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.every((one) => forbids(one, value));
  if (schema.const !== undefined) return value !== schema.const;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return true;
  if (schema.type !== undefined && !isOfType(schema.type, value)) return true;
  if (typeof value === "number") return value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity);
  if (typeof value === "string") return forbidsText(schema, value);
  if (Array.isArray(value)) return forbidsList(schema, value);
  return typeOf(value) === "object" && forbidsMembers(schema, value);
}

function forbidsText({ minLength = 0, maxLength = Infinity, pattern }: Schema, value: string): boolean {
  // Half of a surrogate pair, or a pair, may count as one or as two.
  if (value.length < minLength || [...value].length > maxLength) return true;
  return pattern !== undefined && !new RegExp(pattern, "u").test(value);
}

function forbidsList({ minItems = 0, maxItems = Infinity, items }: Schema, value: readonly Json[]): boolean {
  if (value.length < minItems || value.length > maxItems) return true;
  return items !== undefined && value.some((one) => forbids(items, one));
}

function forbidsMembers({ properties = {}, required = [], additionalProperties }: Schema, value: Json): boolean {
  if (required.some((name) => !Object.hasOwn(value, name))) return true;
  return Object.entries(value).some(([name, one]) => {
    const schema = Object.hasOwn(properties, name) ? properties[name] : undefined;
    return schema === undefined ? additionalProperties === false : forbids(schema, one as Json);
  });
}

/** Whether a text in a query, or a header, is certainly not what is wanted there. */
export function forbidsInQuery(schema: Schema, text: string): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.every((one) => forbidsInQuery(one, text));
  switch (schema.type) {
    case "integer":
    case "number":
      return Number.isNaN(Number(text)) || forbids({ ...schema, type: "number" }, Number(text));
    case "array":
      return schema.items !== undefined && forbids(schema.items, text);
    default:
      return forbids(schema, text);
  }
}

/** The least that it allows. */
export function least(schema: Schema): Json {
  if (schema.anyOf !== undefined) return least(schema.anyOf[0] as Schema);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case "object": {
      const { properties = {}, required = [] } = schema;
      return Object.fromEntries(required.map((name) => [name, least(properties[name] ?? {})]));
    }
    case "array":
      return Array.from({ length: schema.minItems ?? 0 }, () => least(schema.items ?? {}));
    case "integer":
    case "number":
      return Math.max(0, schema.minimum ?? 0);
    case "boolean":
      return true;
    case "null":
      return null;
    default:
      return schema.pattern?.includes("\\.") && schema.pattern.includes("\\d") ? "0.0" : "a";
  }
}

/** Every member that it names, down to those of members and of items. */
export function membersOf(schema: Schema, path: readonly string[] = []): string[][] {
  if (schema.anyOf !== undefined) return unique(schema.anyOf.flatMap((one) => membersOf(one, path)));
  if (schema.type === "array" && schema.items !== undefined) return membersOf(schema.items, [...path, "0"]);
  return Object.entries(schema.properties ?? {}).flatMap(([name, one]) => [
    [...path, name],
    ...membersOf(one, [...path, name]),
  ]);
}

const unique = (paths: string[][]): string[][] => [...new Map(paths.map((path) => [path.join("/"), path])).values()];
