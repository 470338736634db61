/** What is said, to people and to programs, and how it ends. */
import { styleText } from "node:util";
import { MillraceError } from "../client/index.ts";

/** 0: done. Programs tell the others apart. */
export const exits = { refused: 1, usage: 2, unreachable: 3, forbidden: 4 } as const;

/** The command was not understood. */
export class Usage extends Error {}

type Style = Parameters<typeof styleText>[0];

/** Colour on a terminal only, and not where NO_COLOR is set. */
export const paint = (style: Style, text: string): string =>
  process.stdout.isTTY && !process.env.NO_COLOR ? styleText(style, text, { validateStream: false }) : text;

export const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** What a command has done: to programs with `--json`, else to people. */
export const answer = (json: boolean | undefined, value: object, text: string): void =>
  print(json ? JSON.stringify(value) : text);

/** What a user is told of an error, and the exit code. */
export function explain(error: unknown): { message: string; code: number } {
  if (error instanceof Usage) return { message: error.message, code: exits.usage };
  if (!(error instanceof MillraceError))
    return { message: (error as Error)?.message ?? String(error), code: exits.refused };
  const { code, facts, status } = error;
  const message = inOneLine(byCommand(error));
  if (code === "network") return { message: `${message}; is the service up? see --url`, code: exits.unreachable };
  if (status === 401 || status === 403) return { message: `${message}; see --token`, code: exits.forbidden };
  return { message: `${message}${rangeOf(message, facts)}`, code: exits.refused };
}

/** What something in between has said may have lines of its own. */
export const inOneLine = (message: string): string => message.trim().replace(/\s*\n\s*/g, " ");

/** What makes that which is missing; the service names the method of its interface. */
const makers: Readonly<Record<string, (name: string, stream?: unknown) => string>> = {
  "namespace-not-found": (name) => `millrace namespaces create ${name}`,
  "stream-not-found": (name) => `millrace streams create ${name}`,
  "group-not-found": (name, stream = "<stream>") => `millrace groups create ${stream} ${name}`,
};

function byCommand({ code, message, facts }: MillraceError): string {
  const [, what, name] = /^(.*'(.+)'.*); create it with PUT$/.exec(message) ?? [];
  const command = makers[code]?.(name ?? "", facts.stream);
  return what === undefined || command === undefined ? message : `${what}; create it with: ${command}`;
}

/** The valid range, where the service knows one. What it says of an offset mostly names it already. */
function rangeOf(message: string, { head, tail }: MillraceError["facts"]): string {
  if (head === undefined || message.includes(String(tail ?? head))) return "";
  return tail === undefined ? ` (the first offset is ${head})` : ` (offsets ${head} to ${tail})`;
}

/** `1 record`, `2 records`. */
export const counted = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`;

/** A number, or what stands for one (`1.46 GiB`), goes to the right of its column. */
export type Cell = string | number | { readonly right: string };

const isRight = (cell: Cell) => typeof cell !== "string";
const textOf = (cell: Cell) => (typeof cell === "object" ? cell.right : String(cell));

/** Columns as wide as they must be; numbers to the right, and so the names of columns that have nothing else. */
export function table(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const widths = header.map((name, column) => Math.max(name.length, ...rows.map((row) => textOf(row[column]).length)));
  const numeric = header.map((_, column) => rows.length > 0 && rows.every((row) => isRight(row[column])));
  const line = (row: readonly Cell[], right: (cell: Cell, column: number) => boolean) =>
    row
      .map((cell, column) =>
        right(cell, column) ? textOf(cell).padStart(widths[column]) : textOf(cell).padEnd(widths[column]),
      )
      .join("  ")
      .trimEnd();
  return [
    paint(
      "bold",
      line(header, (_, column) => numeric[column]),
    ),
    ...rows.map((row) => line(row, isRight)),
  ].join("\n");
}
