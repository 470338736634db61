/** One answer of several objects: what they say together, and whether a refusal leaves everything as it was. */
import { errors, type Refusal, type Result } from "../../schemas/errors.ts";

/** Whether certainly nothing was written. */
export const isClean = ({ code, facts }: Refusal): boolean => errors[code].clean && facts?.clean !== false;

/** A refusal behind something that was done: it is not clean, whatever its code says. */
export const partly = (refusal: Refusal): Refusal => ({ ...refusal, facts: { ...refusal.facts, clean: false } });

/** The refusal that stands for two: one that may have done something comes before one that has not. */
export const graver = (one: Refusal | undefined, other: Refusal): Refusal =>
  one === undefined || (isClean(one) && !isClean(other)) ? other : one;

/** All values, or the first refusal. For questions, which change nothing. */
export function joined<T>(answers: readonly Result<T>[]): Result<T[]> {
  const refused = answers.find((answer) => !answer.ok);
  return refused ?? { ok: true, value: answers.flatMap((answer) => (answer.ok ? [answer.value] : [])) };
}

/** The same of a change: what one has refused, the others have done. */
export function changed<T>(answers: readonly Result<T>[]): Result<T[]> {
  let refusal: Refusal | undefined;
  for (const answer of answers) if (!answer.ok) refusal = graver(refusal, answer.refusal);
  if (refusal === undefined) return joined(answers);
  return { ok: false, refusal: answers.some(({ ok }) => ok) ? partly(refusal) : refusal };
}
