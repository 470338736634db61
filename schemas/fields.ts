/** Texts as fields of schemas: a rule of `text.ts`, and a limit in bytes. */
import { z } from "zod";
import { anyText, type Rule } from "./unicode.ts";

const encoder = new TextEncoder();

/** A text of 1 to `max` bytes of UTF-8. */
export const text = (max: number, rule: Rule = anyText) =>
  z
    .string()
    .min(1)
    .superRefine((value, context) => {
      const problem =
        rule(value) ?? (encoder.encode(value).length > max ? `must have at most ${max} bytes` : undefined);
      if (problem !== undefined) context.addIssue({ code: "custom", message: problem });
    });
