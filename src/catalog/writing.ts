/** How a definition is written: with the fields that it names, as a JSON Merge Patch, or only where none is there yet. */
import type { z } from "zod";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { changeBy, type Members } from "../../schemas/patch.ts";
import { check } from "../lib/check.ts";

export type How = "put" | "patch" | "create";

/** A change of a definition as it came. Of a patch only the form is known to be right: it is checked with what it changes. */
export type Change<Config> = Partial<Config> | Members;

/** The fields that a change sets of what is there. */
export function fieldsOf<Config extends object>(
  schema: z.ZodType,
  change: Change<Config>,
  how: How,
  before: Config,
  defaults: Config,
): Result<Partial<Config>> {
  if (how !== "patch") return ok(change as Partial<Config>);
  const fields = changeBy(change as Members, before as Members, defaults as Members);
  return check(schema, fields, "body", "JSON") as Result<Partial<Config>>;
}

export const exists = (what: string) =>
  refuse("exists", `${what} exists; leave If-None-Match out to change it, or give the new one another name`);
