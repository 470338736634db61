/** Fields that many schemas have. */
import * as z from "zod";
import { defaults, limits } from "./limits.ts";
import { anyText, type Rule } from "./unicode.ts";

const encoder = new TextEncoder();

/** A text of 1 to `max` bytes of UTF-8, by a rule of `text.ts`. */
export const text = (max: number, rule: Rule = anyText) =>
  z
    .string()
    .min(1)
    .superRefine((value, context) => {
      const problem =
        rule(value) ?? (encoder.encode(value).length > max ? `must have at most ${max} bytes` : undefined);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
    });

/** An offset, a number or a count in JSON. */
export const whole = z
  .number()
  .int()
  .min(0)
  .max(Number.MAX_SAFE_INTEGER - 1);

/** A number in a query or a header: digits, and not what else may be read as one, such as nothing at all. */
const numeral = (form: RegExp, says: string, type: "integer" | "number", min: number, max: number) =>
  z
    .string()
    .regex(form, says)
    .transform(Number)
    .pipe(z.number().min(min).max(max))
    // What it is to whoever reads the reference.
    .meta({ type, minimum: min, maximum: max, pattern: undefined });

export const wholeText = (min = 0, max = Number.MAX_SAFE_INTEGER - 1) =>
  numeral(/^\d{1,16}$/, "must be a whole number in decimal digits", "integer", min, max);

export const decimalText = (min: number, max: number) =>
  numeral(/^\d{1,16}(\.\d+)?$/, "must be a number in decimal digits", "number", min, max);

/** A switch in a query. */
export const switchText = z.enum(["true", "false"]).transform((value) => value === "true");

/** How much of a list an answer has at most. */
export const listLimit = wholeText(1, limits.listMax).default(defaults.list);
