/** What the first bytes of an input tell: how it is packed, in which encoding it is, and how its CSV is written. */
import { Usage } from "../output.ts";

/** So much of the content is looked at. */
export const sniffBytes = 65_536;

/** First bytes in hexadecimal, the name of what begins with them, and the command that gives its content. */
const packings: readonly (readonly [RegExp, string, string])[] = [
  [/^28b52ffd/, "zstd", "zstd -dc $1"],
  [/^425a683[1-9]314159265359/, "bzip2", "bzip2 -dc $1"],
  [/^fd377a585a00/, "xz", "xz -dc $1"],
  [/^04224d18/, "lz4", "lz4 -dc $1"],
  [/^1f9d/, "compress", "gzip -dc $1"],
  [/^504b0304/, "a zip archive, or a workbook, which a spreadsheet can save as CSV", "unzip -p $1"],
  [/^377abcaf271c/, "a 7z archive", "7z x -so $1"],
  [/^50415231/, "Parquet", `duckdb -c "COPY (FROM '$1') TO '/dev/stdout' (FORMAT json)"`],
];

/** True for gzip, false for nothing that is packed; throws Usage, with the command that unpacks it, for the others. */
export function packingOf(head: Buffer, path: string | undefined): boolean {
  const bytes = head.subarray(0, 16).toString("hex");
  if (bytes.startsWith("1f8b")) return true;
  const found = packings.find(([magic]) => magic.test(bytes));
  if (found !== undefined) {
    const [, name, command] = found;
    throw new Usage(`the input is ${name}: ${piped(command, path)}`);
  }
  if (head.length === 0 && path?.endsWith(".gz")) throw new Usage(`${path} is empty, and no gzip file: write it anew`);
  return false;
}

/** An import of what a command makes of a file, which is its `$1`. */
function piped(command: string, path = "<file>"): string {
  const name = /^[\w./<>-]+$/.test(path) ? path : `'${path}'`;
  const format = /\.(csv|tsv)\b/i.test(path) ? " --format csv" : "";
  return `${command.replace("$1", () => name)} | millrace import <stream>${format} --state ${name}.state …`;
}

/** The encoding that a byte order mark tells; undefined for UTF-8. Throws Usage for others that show. */
export function encodingOf(head: Buffer, path: string | undefined): string | undefined {
  const bytes = head.subarray(0, 4).toString("hex");
  if (bytes === "fffe0000" || bytes === "0000feff") {
    throw new Usage(`the input is UTF-32: ${piped("iconv -f UTF-32 -t UTF-8 $1", path)}`);
  }
  if (bytes.startsWith("fffe")) return "utf-16le";
  if (bytes.startsWith("feff")) return "utf-16be";
  // No text in UTF-8 has a zero beside its first letter.
  const [isLittle, isBig] = [/^(?!00)[0-7].00/.test(bytes), /^00(?!00)[0-7]./.test(bytes)];
  if (/^(?!00)[0-7].000000/.test(bytes) || /^000000(?!00)[0-7]./.test(bytes)) {
    throw new Usage(`the input is UTF-32: ${piped("iconv -f UTF-32 -t UTF-8 $1", path)}`);
  }
  // Of most texts in UTF-16, every other byte is zero; of letters beyond ASCII some others are.
  const zeros = [0, 0];
  const looked = head.subarray(0, 1_024);
  for (let at = 0; at < looked.length; at++) if (looked[at] === 0) zeros[at % 2]++;
  for (const [at, name, begins] of [
    [1, "utf-16le", isLittle],
    [0, "utf-16be", isBig],
  ] as const) {
    if (begins || (zeros[at] > looked.length / 8 && zeros[1 - at] <= zeros[at] / 8)) {
      throw new Usage(`the input looks like ${name.toUpperCase()}: say --encoding ${name}`);
    }
  }
  return undefined;
}

/** Throws Usage for rows that are not in lines, with the command that puts them there. */
export function mustBeLines(head: Buffer, path: string | undefined, isJson: boolean): void {
  const text = head.toString("latin1");
  if (!text.includes("\n") && /\r[^\r]/.test(text)) {
    throw new Usage(`the lines of the input end with carriage returns alone: ${piped("tr '\\r' '\\n' < $1", path)}`);
  }
  const first = text.trimStart();
  if (isJson && isOverLines(first)) {
    const command = first[0] === "[" ? "jq -c '.[]'" : "jq -c .";
    throw new Usage(`the input is JSON over several lines, and not a value in each: ${piped(`${command} $1`, path)}`);
  }
}

/**
 * Whether what a text begins with is one JSON value in several lines: its first line opens what it does not close, and either
 * later lines close it, or there is more of it than the text, and the second line is no value by itself.
 */
function isOverLines(text: string): boolean {
  if (text[0] !== "[" && text[0] !== "{") return false;
  const lines = text.split("\n");
  if (lines.length < 2) return false;
  if (lines[0].trim().length === 1) return true;
  let depth = 0;
  let at = 0;
  for (const [index, line] of lines.entries()) {
    for (const token of line.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
      if (token[0] === "[" || token[0] === "{") depth++;
      else if (token[0] === "]" || token[0] === "}") depth--;
    }
    at += line.length + 1;
    if (depth <= 0) return index > 0 && isJsonText(text.slice(0, at));
  }
  return text.length >= sniffBytes / 2 && !isJsonText(lines.slice(1).find((line) => line.trim() !== "") ?? "0");
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export interface CsvShape {
  readonly delimiter: string;
  /** Bytes of a first line that only says the delimiter, as spreadsheets write one: `sep=;`. */
  readonly skipped: number;
}

const delimiters = [",", ";", "\t", "|"];
const separator = /^"?sep=([^\r\n])"?(?:\r\n|\r|\n|$)/i;

/**
 * How CSV is written: with the delimiter that was said, or that it names itself, or else `usual`. Throws Usage
 * where its first line has another one instead.
 */
export function csvShape(head: Buffer, usual: string, said: boolean): CsvShape {
  // Byte by byte: nothing that is looked for is longer.
  const text = head.toString("latin1");
  const named = separator.exec(text);
  const skipped = named?.[0].length ?? 0;
  if (said || named !== null) return { delimiter: said ? usual : (named?.[1] as string), skipped };
  const first = firstLine(text);
  const count = (delimiter: string) => first.split(delimiter).length - 1;
  const [best] = [...delimiters].sort((one, other) => count(other) - count(one));
  if (count(usual) === 0 && count(best) > 0) {
    const shown = Buffer.from(firstRow(text), "latin1").toString().slice(0, 80);
    throw new Usage(
      `the first line has ${count(best)} ${quoted(best)} and no ${quoted(usual)}: ${shown}\n` +
        `say --delimiter ${quoted(best)}; or --delimiter ${quoted(usual)}, if it is one column`,
    );
  }
  return { delimiter: usual, skipped };
}

const quoted = (delimiter: string) => (delimiter === "\t" ? "'\\t'" : `'${delimiter}'`);

/** The first row, without what stands in quotes. */
const firstLine = (text: string) => firstRow(text).replaceAll(/"[^"]*"/g, "");
const firstRow = (text: string) => /^(?:[^"\r\n]|"[^"]*"?)*/.exec(text.replace(/^[\r\n]+/, ""))?.[0] ?? "";
