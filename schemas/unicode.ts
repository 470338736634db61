/** The one rule for every text. It stands alone because the library, which is small, asks no other. */

/** What is wrong with a text, if anything is. */
export type Rule = (text: string) => string | undefined;

/** Any Unicode. Half of a surrogate pair has no UTF-8: it could be kept only as something else. */
export const anyText: Rule = (text) =>
  /\p{Surrogate}/u.test(text) ? "must be well-formed Unicode; it has half of a surrogate pair" : undefined;
