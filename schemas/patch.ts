/** JSON Merge Patch (RFC 7396) of what a schema describes: the schema of a patch, and what it makes of what is there. */
import * as z from "zod";

/** A document of JSON, or a patch of one. */
export type Members = Readonly<Record<string, unknown>>;

/**
 * What a patch of an object may be: the object with every member left out or null, down to the members of members. What
 * holds of the whole is for the whole that comes of it.
 */
export const patchOf = (schema: z.ZodObject): z.ZodType<Members> =>
  z.strictObject(Object.fromEntries(Object.entries(schema.shape).map(([name, one]) => [name, memberOf(one)])));

const memberOf = (schema: unknown) =>
  partOf(schema as z.ZodType)
    .nullable()
    .optional();

function partOf(schema: z.ZodType): z.ZodType {
  const part = shapeOf(schema);
  const { description } = schema;
  return description === undefined || part.description === description ? part : part.describe(description);
}

function shapeOf(schema: z.ZodType): z.ZodType {
  // What is left out of a patch stays as it is: no default stands for it.
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return partOf(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodObject) return patchOf(schema);
  if (schema instanceof z.ZodRecord)
    return z.record(schema.keyType as z.ZodString, (schema.valueType as z.ZodType).nullable());
  if (schema instanceof z.ZodUnion) return z.union(schema.options.map((one) => partOf(one as z.ZodType)));
  return schema;
}

const isMembers = (value: unknown): value is Members =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a patch makes of what is there: members that it does not name stay, those that are null go, lists are replaced. */
export function patched(before: unknown, patch: unknown): unknown {
  if (!isMembers(patch)) return patch;
  // Without a prototype, so that every name is one like another.
  const after: Record<string, unknown> = Object.assign(Object.create(null), isMembers(before) ? before : {});
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete after[name];
    else after[name] = patched(after[name], value);
  }
  return after;
}

/** The members of a document that a patch names, as they come to be; one that goes is what it is by default. */
export function changeBy(patch: Members, before: Members, defaults: Members): Members {
  const change = Object.entries(patch).map(([name, value]) => [
    name,
    value === null ? defaults[name] : patched(before[name], value),
  ]);
  return Object.fromEntries(change);
}
