/** JSON without parsing it: where its values stand, byte for byte. Nesting of any depth is passed over. */
import { type Binary, textOf } from "./values.ts";

function textEnd(text: Binary, at: number): number {
  for (let end = at + 1; end < text.length; end++) {
    if (text[end] === "\\") end++;
    else if (text[end] === '"') return end + 1;
  }
  throw new Error("a text of JSON does not end");
}

/** Where the value ends that begins here: at a comma, or at the end of what it stands in. White space is its own. */
function valueEnd(text: Binary, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = textEnd(text, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (depth === 0) return at;
      depth--;
    } else if (char === "," && depth === 0) return at;
  }
  return text.length;
}

const blank = /\s/;

function past(text: Binary, at: number): number {
  let next = at;
  while (blank.test(text[next] ?? "")) next++;
  return next;
}

function begun(text: Binary, bracket: string): number {
  const at = past(text, 0);
  if (text[at] !== bracket) throw new Error(`${bracket} is missing: ${text.slice(0, 100)}`);
  return at + 1;
}

/** The members of an object, their values as they stand there. */
export function members(text: Binary): Map<string, Binary> {
  const found = new Map<string, Binary>();
  for (let at = past(text, begun(text, "{")); text[at] !== "}"; at = past(text, at)) {
    if (text[at] === ",") at = past(text, at + 1);
    if (text[at] !== '"') throw new Error(`a name is missing: ${text.slice(at, at + 100)}`);
    const end = textEnd(text, at);
    const name = parsed(text.slice(at, end)) as string;
    const colon = past(text, end);
    if (text[colon] !== ":") throw new Error(`a colon is missing: ${text.slice(end, end + 100)}`);
    if (found.has(name)) throw new Error(`the member ${name} comes twice`);
    at = valueEnd(text, colon + 1);
    found.set(name, text.slice(colon + 1, at));
  }
  return found;
}

/** The items of an array. */
export function items(text: Binary): Binary[] {
  const found: Binary[] = [];
  const first = begun(text, "[");
  if (text[past(text, first)] === "]") return found;
  for (let at = first; ; at++) {
    const end = valueEnd(text, at);
    found.push(text.slice(at, end));
    if (text[end] !== ",") return found;
    at = end;
  }
}

/** What a value means. */
export const parsed = (value: Binary): unknown => JSON.parse(textOf(value));
