/** Fields that many schemas have. */
import { z } from "zod";
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

/** How much of a list an answer has at most. */
export const listLimit = z.coerce.number().int().min(1).max(limits.listMax).default(defaults.list);
