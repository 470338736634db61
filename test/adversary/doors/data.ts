/** Awkward data of every kind. What the kinds are is PROTOCOL's: JSON, text, anything else, none. */
import type { Binary } from "./values.ts";
import { binaryOf } from "./values.ts";

export type Kind = "json" | "text" | "binary" | "none";

export interface Data {
  readonly name: string;
  readonly kind: Kind;
  /** Text, between `before` and `after`, so many times; or bytes in hexadecimal. */
  readonly text?: string;
  readonly times?: number;
  readonly hex?: string;
  readonly before?: string;
  readonly after?: string;
  /** Not what it is called. */
  readonly wrong?: true;
}

export function dataBytes({ text = "", times = 1, hex, before = "", after = "" }: Data): Binary {
  if (hex !== undefined) return Buffer.from(hex, "hex").toString("latin1");
  return binaryOf(before + text.repeat(times) + after);
}

const json = (texts: Readonly<Record<string, string>>): Data[] =>
  Object.entries(texts).map(([name, text]) => ({ name, kind: "json", text }));

const good = json({
  null: "null",
  true: "true",
  zero: "0",
  "minus-zero": "-0",
  "minus-zero-point": "-0.0e-0",
  big: "9007199254740993",
  "big-minus": "-9223372036854775809",
  huge: "1e400",
  tiny: "1E-400",
  long: `0.${"1234567890".repeat(30)}`,
  trailing: "1.10",
  empty: '""',
  space: '" "',
  "half-high": '"\\ud800"',
  "half-low-upper": '"a\\uDFFFb"',
  "halves-wrong": '{"\\udc00\\ud800":"\\udc00\\ud800"}',
  nul: '"\\u0000"',
  escapes: '"\\/\\b\\f\\n\\r\\t\\u00e9\\u0041\\"\\\\"',
  delete: '"\u007f\u0080\u009f"',
  separators: '"\u2028\u2029"',
  mark: '"\ufeff"',
  noncharacters: '"\ufffe\uffff\u{10ffff}"',
  "pair-escaped": '"\\ud83d\\ude00"',
  emoji: '"😀"',
  forms: '["\u00e9","e\u0301"]',
  "twice-a-member": '{"a":1,"a":2,"a":{"b":1,"b":2}}',
  proto: '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":null}',
  members: '{"data":1,"key":2,"records":[],"":3,"data_base64":4}',
  blanks: ' { "a" :\t[ 1 , 2 ] } ',
  breaks: '{\r\n  "a": [\n 1,\r 2\n]\r\n}',
  "numbers-of-order": '{"10":1,"9":2,"b":3,"a":4}',
});

const bad = json({
  nothing: "",
  "leading-zero": "01",
  plus: "+1",
  nan: "NaN",
  infinity: "-Infinity",
  point: "1.",
  "bare-point": ".5",
  hexadecimal: "0x10",
  "single-quotes": "'a'",
  "raw-control": '"a\u0000b"',
  "raw-break": '"a\nb"',
  "trailing-comma": "[1,]",
  unclosed: '{"a":1',
  "unclosed-text": '"a',
  "bad-escape": '"\\x41"',
  "short-escape": '"\\u12"',
  comment: "/* a */ 1",
  word: "undefined",
  two: "1 2",
}).map((one) => ({ ...one, name: `bad-${one.name}`, wrong: true as const }));

const deep = 100_000;

export const datas: readonly Data[] = [
  ...good,
  ...bad,
  { name: "deep-arrays", kind: "json", before: "[".repeat(deep), text: "]", times: deep },
  { name: "deep-objects", kind: "json", before: '{"a":'.repeat(20_000), text: "1", after: "}".repeat(20_000) },
  { name: "long-text", kind: "json", before: '"', text: "é", times: 400_000, after: '"' },
  { name: "above-limit", kind: "json", before: '"', text: "x", times: 1_000_001, after: '"', wrong: true },
  { name: "bad-bytes", kind: "json", hex: "22ff22", wrong: true },
  { name: "bad-surrogate", kind: "json", hex: "22eda08022", wrong: true },
  { name: "text", kind: "text", text: "text" },
  { name: "text-empty", kind: "text", text: "" },
  { name: "text-spaces", kind: "text", text: "  " },
  { name: "text-nul", kind: "text", text: "a\u0000b\u0001\u007f" },
  { name: "text-crlf", kind: "text", text: "\r\na\rb\nc\r\n\r\n" },
  { name: "text-event", kind: "text", text: "a\n\ndata: b\n\nevent: end\ndata: {}\n\n" },
  { name: "text-mark", kind: "text", text: "\ufeffa\ufeff" },
  { name: "text-astral", kind: "text", text: "😀𐀀\u{10ffff}\ufffe\ufffd" },
  { name: "text-quotes", kind: "text", text: '"a\\"\\u0041' },
  { name: "text-like-json", kind: "text", text: '{"a":1}' },
  { name: "text-separators", kind: "text", text: "\u2028\u2029\u0085" },
  { name: "text-decomposed", kind: "text", text: "e\u0301\u00e9" },
  { name: "binary", kind: "binary", hex: "00ff01fe0d0a80c328" },
  { name: "binary-empty", kind: "binary", hex: "" },
  { name: "binary-one", kind: "binary", hex: "00" },
  { name: "binary-two", kind: "binary", hex: "efbb" },
  { name: "binary-text", kind: "binary", text: "plain" },
  { name: "none", kind: "none" },
];

export const dataNamed = new Map(datas.map((one) => [one.name, one]));
