/** Texts and JSON that are easily made into something else on their way. */
import type { Encoding } from "./plan.ts";

const deep = (depth: number) => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
const deepObjects = (depth: number) => `${'{"a":'.repeat(depth)}1e2${"}".repeat(depth)}`;

/** JSON, as it stands in a line. */
const odd: readonly string[] = [
  "null",
  "true",
  "-0",
  "1.0",
  "1.00E+02",
  "1e400",
  "-1e-400",
  "9007199254740993",
  "-123456789012345678901234567890.50",
  '""',
  '"\\u0000\\ud800\\/\\u00e9"',
  '"line\\nend\\r\\u2028"',
  '{"a":1,"a":2}',
  '{"__proto__":{"x":1},"constructor":null}',
  '{"b":1,"a":2,"10":3,"2":4,"":5}',
  '{ "spaced" :\t[ 1 , 2.50 ,{ } ] }',
  "[]",
  "{}",
  deep(400),
  deepObjects(150),
  '"{\\"op\\":\\"c\\"}"',
  '"\\t"',
  '"é😀\u2028\ufffd\ufeff"',
  '"日本 ключ"',
];

/** Those of an encoding that has not all letters are ASCII. */
export function oddJson(shape: number, encoding: Encoding): string {
  const found = odd[shape % odd.length] as string;
  return isUnicode(encoding) || /^[\t -~]*$/.test(found) ? found : JSON.stringify(lettersOf(encoding));
}

export const isUnicode = (encoding: Encoding) => encoding.startsWith("utf");

/** Letters that an encoding has, and ASCII has not. */
export function lettersOf(encoding: Encoding): string {
  switch (encoding) {
    case "windows-1252":
    case "latin1":
      return "José €“ü”ÿ";
    case "koi8-r":
      return "Привет";
    case "shift_jis":
      return "日本語テスト表";
    case "gbk":
      return "中文字符";
    default:
      return "é😀ключ\u2028日本";
  }
}

/** Cells of CSV; without what an encoding lacks. */
export function cellText(shape: number, encoding: Encoding): string {
  const cells = [
    "",
    " ",
    " outer spaces ",
    'a "quoted" word',
    '"',
    '""',
    "two\nlines",
    "two\r\nlines, and \t a tab; | too",
    "\n",
    "a,b;c|d\te",
    "007",
    "=1+1",
    "NaN",
    "\\n \\",
    "null",
    "'",
    '{"a":1}',
    lettersOf(encoding),
    `${lettersOf(encoding)}\n"${lettersOf(encoding)}"`,
    "x".repeat(300),
  ];
  return cells[shape % cells.length] as string;
}

/** Cells that look like a number or a boolean, and that `--numbers` makes one. */
export const numberCells: readonly string[] = [
  "0",
  "-0",
  "1.0",
  "1.50",
  "1e400",
  "-2E-7",
  "9007199254740993",
  "123456789012345678901234567890",
  "true",
  "false",
];

/** A key as text, and whether a file may have it as a number. */
export function keyOf(key: number, encoding: Encoding): { text: string; isNumber: boolean } {
  switch (key % 5) {
    case 0:
      // Neighbours that a double cannot tell apart.
      return { text: String(9_007_199_254_740_992n + BigInt(key)), isNumber: true };
    case 1:
      return { text: String(key), isNumber: true };
    case 2:
      return { text: `${lettersOf(encoding)}-${key}`, isNumber: false };
    case 3:
      return { text: `a "b"/c:${key} `, isNumber: false };
    default:
      return { text: `k-${key}`, isNumber: false };
  }
}
