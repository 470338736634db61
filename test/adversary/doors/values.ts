/** Awkward values, as data: what a field may be tried with. */

/** `text`, so many times; or `bytes`, in hexadecimal, which are no UTF-8; or `json`, a literal that is no text. */
export interface Value {
  readonly name: string;
  readonly text?: string;
  readonly times?: number;
  readonly bytes?: string;
  readonly json?: string;
}

/** `binary`: an array of bytes, each a character below U+0100. Everything is written and compared in this form. */
export type Binary = string;

export const binaryOf = (text: string): Binary => Buffer.from(text, "utf8").toString("latin1");
export const textOf = (binary: Binary): string => Buffer.from(binary, "latin1").toString("utf8");

/** The text; undefined where there is none. Half a surrogate pair stays one. */
export const plain = ({ text, times = 1 }: Value): string | undefined =>
  text === undefined ? undefined : text.repeat(times);

/** The bytes of a text, or of what is none; half a surrogate pair as its three bytes, which are no UTF-8. */
export function bytesOf(value: Value): Binary {
  if (value.bytes !== undefined) return Buffer.from(value.bytes, "hex").toString("latin1");
  const text = plain(value) ?? value.json ?? "";
  if (text.isWellFormed()) return binaryOf(text);
  return [...text].map((char) => (char.isWellFormed() ? binaryOf(char) : threeBytes(char.charCodeAt(0)))).join("");
}

function threeBytes(unit: number): Binary {
  return String.fromCharCode(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f));
}

export const byteLength = (value: Value): number =>
  value.text === undefined ? bytesOf(value).length : Buffer.byteLength(value.text) * (value.times ?? 1);

const named = (texts: Readonly<Record<string, string>>): Value[] =>
  Object.entries(texts).map(([name, text]) => ({ name, text }));

/** For every field that is a text. */
export const texts: readonly Value[] = [
  ...named({
    word: "word",
    empty: "",
    space: " ",
    spaces: "   ",
    "inner-space": "a b",
    "outer-spaces": " a ",
    "half-high": "\ud800",
    "half-low": "a\udfffb",
    "halves-wrong": "\udc00\ud800",
    nul: "a\u0000b",
    "nul-alone": "\u0000",
    "unit-separator": "a\u001fb",
    delete: "a\u007fb",
    "control-1": "a\u0085b",
    tab: "a\tb",
    crlf: "a\r\nInjected: b",
    lf: "a\nb",
    cr: "a\rb",
    "mark-first": "\ufeffa",
    "mark-inside": "a\ufeffb",
    "mark-alone": "\ufeff",
    quote: 'a"b',
    apostrophe: "a'b",
    backslash: "a\\b\\u0041",
    percent: "100%",
    "percent-code": "a%41%00%zz",
    comma: "a,b,,c",
    slash: "/a/../b//",
    query: "?a=b&c=d#e",
    plus: "a+b",
    colon: "a:b",
    emoji: "😀👩‍👩‍👧‍👦",
    astral: "𐀀𝄞\u{10fffd}",
    "last-code": "\u{10ffff}",
    noncharacter: "a\ufffe",
    "noncharacter-fdd0": "\ufdd0",
    "noncharacter-astral": "\u{1ffff}",
    replacement: "a\ufffdb",
    "right-to-left": "\u202ea\u202c\u200f",
    "zero-width": "a\u200bb\u2060",
    "no-break-space": "a\u00a0b",
    "wide-space": "a\u3000b\u2028c\u2029d",
    composed: "\u00e9",
    decomposed: "e\u0301",
    kelvin: "\u212a",
    "letter-k": "K",
    hangul: "\uac00",
    "hangul-parts": "\u1100\u1161",
    sharp: "\u00df",
    dotless: "\u0130\u0131",
    proto: "__proto__",
    constructor: "constructor",
    "to-string": "toString",
    null: "null",
    number: "9007199254740993",
    template: "$\u007ba}{{b}}",
    html: "<script>alert(1)</script>&amp;",
    latin: "ÿ",
    "latin-pair": "Ã©",
  }),
  { name: "bad-ff", bytes: "61ff62" },
  { name: "bad-cut", bytes: "61c3" },
  { name: "bad-overlong", bytes: "c0af" },
  { name: "bad-surrogate", bytes: "eda080" },
  { name: "bad-high", bytes: "f5808080" },
];

/** No field that is a text may have these. */
export const literals: readonly Value[] = ["7", "-0", "1e400", "true", "[]", "{}", '["a"]'].map((json) => ({
  name: `literal-${json}`,
  json,
}));

/** At a limit of bytes, and one above; of one, and of four bytes a character. */
export function limits(bytes: number, prefix = ""): Value[] {
  const room = bytes - prefix.length;
  const sized = (name: string, text: string, times: number): Value =>
    prefix === "" ? { name, text, times } : { name, text: prefix + text.repeat(times) };
  const found = [sized("limit", "x", room), sized("above", "x", room + 1)];
  if (prefix === "")
    found.push(sized("limit-astral", "😀", bytes / 4), sized("limit-wide", "€", Math.floor(bytes / 3)));
  return found;
}

export const mebibyte: Value = { name: "mebibyte", text: "m", times: 1 << 20 };
