/** Values that nobody expects, as JSON; in a query and a path, their texts. */

export interface Value {
  readonly name: string;
  /** Perhaps none: what no JSON is. */
  readonly json: string;
}

const text = (name: string, text: string): Value => ({ name, json: JSON.stringify(text) });
const literal = (json: string): Value => ({ name: json, json });

const numbers = (
  "0 1 2 -1 -0 1.5 0.1 1e3 127 128 129 1000 1001 10000 10001 65535 65536 65537 2147483647 2147483648 4294967295 4294967296 " +
  "3155760000000 9007199254740990 9007199254740991 9007199254740992 9223372036854775807 18446744073709551616 1e21 1e308 1e400 " +
  "-1e400 -9007199254740991 5e-324 00 01 +1 .5 1. 0x10 1_000 NaN Infinity"
)
  .split(" ")
  .map(literal);

const shapes = [
  ...'null true false [] {} [null] [[]] [{}] [1] [true] {"a":1} {"__proto__":null} {"constructor":{}} undefined'
    .split(" ")
    .map(literal),
  literal('""'),
  { name: "many", json: `[${Array.from({ length: 70_000 }, () => 0).join(",")}]` },
  { name: "many-texts", json: `[${Array.from({ length: 12_000 }, (_, i) => `"a${i}"`).join(",")}]` },
  { name: "many-members", json: `{${Array.from({ length: 20_000 }, (_, i) => `"a${i}":${i}`).join(",")}}` },
  { name: "deep-200", json: "[".repeat(200) + "]".repeat(200) },
  { name: "deep-100000", json: "[".repeat(100_000) + "]".repeat(100_000) },
  { name: "deep-members", json: `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}` },
];

const texts = [
  text("letter", "a"),
  text("space", " "),
  text("nul", "\0"),
  text("line", "a\r\nb: c"),
  text("control", "\u001b[2J\u0085"),
  text("emoji", "😀"),
  text("rtl", "\u202eabc"),
  text("nonchar", "\uffff"),
  literal('"\\ud800"'),
  text("replacement", "\ufffd"),
  text("long-127", "a".repeat(127)),
  text("long-128", "a".repeat(128)),
  text("long-129", "a".repeat(129)),
  text("long-1025", "a".repeat(1025)),
  text("long-5000", "é".repeat(2500)),
  text("long-100000", "a".repeat(100_000)),
  text("dots", ".."),
  text("path", "../../v1/default"),
  text("slashes", "a/b/c"),
  text("percent", "%2e%2e%2f"),
  text("bad-percent", "%zz%f"),
  text("overlong", "%c0%af%ff"),
  text("sql", "'; DROP TABLE chunk; --"),
  text("template", "{{1}}<script>"),
  text("proto", "__proto__"),
  text("constructor", "constructor"),
  text("tostring", "toString"),
  text("number", "0"),
  text("minus", "-1"),
  text("minus-zero", "-0"),
  text("minus-10001", "-10001"),
  text("minus-huge", "-99999999999999999999"),
  text("fraction", "1.5"),
  text("exponent", "1e3"),
  text("hex", "0x10"),
  text("plus", "+1"),
  text("padded", " 1 "),
  text("huge", "9007199254740992"),
  text("digits", "9".repeat(400)),
  text("word-null", "null"),
  text("word-true", "true"),
  text("word-all", "all"),
  text("earliest", "earliest"),
  text("latest", "latest"),
  text("snapshot", "snapshot"),
  text("none", "none"),
  text("lease", "lease"),
  text("complete", "complete"),
  text("place", "0.0"),
  text("place-far", "1023.9007199254740990"),
  text("place-odd", "9999999.9999999999999999"),
  text("receipt", "0.0.0.0.0"),
  text("cursor", "00000000000000000000~0.1~1.1"),
  text("cursor-odd", "~~~"),
  text(
    "cursor-huge",
    `00000000000000000000~${Array.from({ length: 1024 }, (_, i) => `${i}.9007199254740991`).join("~")}`,
  ),
  text("time", "2026-01-01T00:00:00Z"),
  text("time-first", "0000-01-01T00:00:00Z"),
  text("time-last", "9999-12-31T23:59:60Z"),
  text("time-beyond", "+275760-09-13T00:00:00.001Z"),
  text("url", "http://127.0.0.1:1/x"),
  text("url-odd", "https://user:pass@[::1]:99999/\\x"),
  text("url-data", "data:text/plain,a"),
  text("secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="),
  text("base64", "////"),
  text("base64-cut", "AAA"),
];

export const values: readonly Value[] = [...numbers, ...shapes, ...texts];

const byName = new Map(values.map((value) => [value.name, value]));

/** Names of values may be those of another build's plan. */
export const valueNamed = (name: string): Value => byName.get(name) ?? literal("null");

/** As it stands in a query. */
export function plain({ json }: Value): string {
  try {
    const value = JSON.parse(json);
    if (typeof value === "string") return value;
  } catch {
    // It is no JSON, and stands there as it is.
  }
  return json;
}
