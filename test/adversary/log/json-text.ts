/** JSON cut into its parts without a change: what is between two commas is what was sent. */

const space = /[ \t\r\n]*/y;

function skip(text: string, at: number): number {
  space.lastIndex = at;
  space.test(text);
  return space.lastIndex;
}

/** Where the string that begins here ends. */
function stringEnd(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  throw new SyntaxError("a string does not end");
}

function valueEnd(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return stringEnd(text, at);
  if (first !== "{" && first !== "[") {
    const rest = /[^,\]}\s]*/y;
    rest.lastIndex = at;
    rest.test(text);
    return rest.lastIndex;
  }
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    if (text[i] === '"') i = stringEnd(text, i) - 1;
    else if (text[i] === "{" || text[i] === "[") depth++;
    else if ((text[i] === "}" || text[i] === "]") && --depth === 0) return i + 1;
  }
  throw new SyntaxError("a value does not end");
}

/** The texts of the elements of an array. */
export function elements(text: string): string[] {
  const found: string[] = [];
  for (let at = skip(text, skip(text, 0) + 1); text[at] !== "]"; ) {
    const end = valueEnd(text, at);
    found.push(text.slice(at, end));
    at = skip(text, end);
    if (text[at] === ",") at = skip(text, at + 1);
    else if (text[at] !== "]") throw new SyntaxError("no array");
  }
  return found;
}

/** The texts of the values of an object, by name. */
export function members(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const begin = skip(text, 0);
  if (text[begin] !== "{") throw new SyntaxError("no object");
  for (let at = skip(text, begin + 1); text[at] !== "}"; ) {
    const nameEnd = stringEnd(text, at);
    const name = JSON.parse(text.slice(at, nameEnd)) as string;
    const from = skip(text, skip(text, nameEnd) + 1);
    const end = valueEnd(text, from);
    found.set(name, text.slice(from, end));
    at = skip(text, end);
    if (text[at] === ",") at = skip(text, at + 1);
    else if (text[at] !== "}") throw new SyntaxError("no object");
  }
  return found;
}
