/**
 * The XML of S3. Its answers are elements without attributes, and never one inside another of the same name, so that no
 * parser is needed: what is asked for is found by its tag.
 */

/** What stands in the elements of a name, as it stands there. */
export const elementsOf = (xml: string, name: string): string[] =>
  [...xml.matchAll(new RegExp(`<${name}>([\\s\\S]*?)</${name}>`, "g"))].map((match) => match[1]);

/** The text of the first element of a name. */
export function textOf(xml: string, name: string): string | undefined {
  const found = elementsOf(xml, name)[0];
  return found === undefined ? undefined : unescaped(found);
}

/** Whether an answer is what it should be: an error may come with a status of success. */
export const isAnswer = (xml: string, root: string): boolean =>
  new RegExp(`^\\s*(<\\?[^>]*\\?>\\s*)?<${root}[\\s/>]`).test(xml);

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** In one pass: what an entity stands for is not looked at again. */
const unescaped = (text: string): string =>
  text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(amp|lt|gt|quot|apos));/gi, (_, hex, decimal, name) =>
    name === undefined
      ? String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16))
      : named[name],
  );
