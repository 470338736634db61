/** Tags as an attribute of an event: a list that commas separate, in which a comma or a `%` of a tag is percent-encoded. */

export const tagsText = (tags: readonly string[]): string =>
  tags.map((tag) => tag.replace(/[%,]/g, (char) => (char === "%" ? "%25" : "%2C"))).join(",");

/** Undefined where the text is not written like that: it would come out as another. */
export function tagsOf(text: string): string[] | undefined {
  const tags = text.split(",").map((tag) => tag.replace(/%2C|%25/g, (code) => (code === "%25" ? "%" : ",")));
  return tagsText(tags) === text ? tags : undefined;
}
