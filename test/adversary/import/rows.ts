/** Rows of lines, of whole records and of CSV: their text, and what is to become of each. */
import type { Cell, Data, Want } from "./model.ts";
import type { Look, RowPlan } from "./plan.ts";
import { timeOf } from "./times.ts";
import { cellText, isUnicode, keyOf, lettersOf, numberCells, oddJson } from "./values.ts";

/** A row in its file, without its line's end, and what is to become of it. */
export interface Made {
  readonly text: string;
  readonly fate: Omit<Want, "line"> | "ignored" | "bad" | "no row";
  readonly offset?: number;
}

export const padOf = (n: number, pad: number) => "abcdefghij"[n % 10]?.repeat(pad) ?? "";
const json = (...texts: string[]): Data => ({ kind: "json", texts });

/** Rows of which several have an id in common have all else in common, too. */
const idOf = (n: number, shape: number) => `i-${shape % 11 === 3 ? n - (n % 3) : n}`;

/** Of how many columns `--tag` and `--type` are of. */
export function columnArgs(look: Look, isCsv: boolean): string[] {
  const { key, ids, time, unitSaid, fields } = look;
  const numeric = time !== "none" && time !== "rfc" && time !== "space";
  return [
    ...(key === "column" ? ["--key", "k"] : key === "path" ? ["--key", "in.k"] : key === "literal" ? ["-k", "=k"] : []),
    ...(ids ? ["--id", "id"] : []),
    ...(time === "none" ? [] : ["--time", "at"]),
    ...(numeric && unitSaid ? ["--time-unit", time] : []),
    ...(fields ? ["--type", "=row.made", "--subject", "s", "--tag", "s", "--tag", "=all"] : []),
    ...(isCsv && look.numbers ? ["--numbers"] : []),
  ];
}

/** What columns say of a row; rows that share an id share their key. */
function fieldsOf({ n, key, shape }: RowPlan, look: Look) {
  const named = keyOf(look.ids ? Math.floor(n / 3) % 7 : key, look.encoding);
  const subject = `s-${key}`;
  const at = look.time === "none" ? undefined : timeOf(n, look.time);
  return {
    named,
    at,
    subject,
    want: {
      ...(look.key !== "none" && { key: look.key === "literal" ? "k" : named.text }),
      ...(look.ids && { id: idOf(n, shape) }),
      ...(at && { time: at.time }),
      fields: look.fields ? { type: "row.made", subject, tags: [subject, "all"] } : {},
    },
  };
}

/** More than any of the streams takes. */
const large = `{"n":1,"k":"k","in":{"k":"k"},"id":"large","s":"s","pad":"${"x".repeat(60_000)}"}`;
const badLines = ['{"n":1,"oh', "nonsense", '{"n":1}}', "{'n':1}", "[1,]", large];

export function lineRow(row: RowPlan, look: Look): Made {
  const { n, shape } = row;
  if (shape < 0) return { text: badLines[-shape % badLines.length] as string, fate: "bad" };
  const { named, at, subject, want } = fieldsOf(row, look);
  const scalar = look.key === "none" && !look.ids && look.time === "none" && !look.fields && n % 3 === 0;
  const key = named.isNumber ? named.text : JSON.stringify(named.text);
  const parts = [
    // Of a name that stands twice the last one counts.
    ...(shape % 7 === 1 ? ['"k":"not this"', '"in":{"k":"nor this"}'] : []),
    `"n":${n}`,
    `"k":${key}`,
    `"in":{"k":${key}}`,
    ...(look.ids ? [`"id":${JSON.stringify(idOf(n, shape))}`] : []),
    ...(at ? [`"at":${at.json}`] : []),
    ...(look.fields ? [`"s":${JSON.stringify(subject)}`] : []),
    `"v":${oddJson(shape, look.encoding)}`,
    ...(look.pad > 0 ? [`"pad":"${padOf(n, look.pad)}"`] : []),
  ];
  const text = scalar
    ? oddJson(shape, look.encoding)
    : shape % 5 === 2
      ? `{ ${parts.join(" , ")} }`
      : `{${parts.join(",")}}`;
  return { text, fate: { ...want, data: json(text) } };
}

/** Whole records, as `read --json` prints them. */
export function recordRow({ n, key, shape }: RowPlan, look: Look): Made {
  if (shape < 0) return { text: shape % 2 === 0 ? '{"key":"k","data":1' : '{"keys":"k","data":1}', fate: "bad" };
  const named = keyOf(key, look.encoding).text;
  const { key: hasKey, ids, fields: hasFields, time } = look;
  const at = time === "none" ? undefined : timeOf(n, "rfc").time;
  const fields = hasFields
    ? {
        type: "a.b",
        subject: lettersOf(look.encoding),
        tags: ["t", `${n}`, '"'],
        ...(shape % 3 === 0 && { dataschema: "urn:x:y", extensions: { traceparent: `00-${n}`, no: n, yes: true } }),
      }
    : {};
  const id = ids ? { id: `i-${n}`, source: "/a?b" } : {};
  const kind = shape % 6;
  const value = oddJson(shape, look.encoding);
  const base64 = Buffer.from([0, 255, n & 255, 10, 13]).toString("base64");
  const data: Data = kind === 0 ? { kind: "none" } : kind === 1 ? { kind: "base64", text: base64 } : json(value);
  const offset = shape % 17 === 4 ? n : 1_000 + n;
  const head = {
    partition: n % 3,
    offset,
    timestamp: "2026-01-01T00:00:00.000Z",
    ...(hasKey !== "none" && { key: named }),
    ...id,
    ...(at !== undefined && { time: at }),
    ...fields,
  };
  const tail = kind === 0 ? "" : kind === 1 ? `,"data_base64":"${base64}"` : `,"data":${value}`;
  const pad = look.pad > 0 ? { dataschema: `urn:${padOf(n, look.pad)}` } : {};
  const text = `${JSON.stringify({ ...head, ...pad }).slice(0, -1)}${tail}}`;
  return {
    text,
    offset,
    fate: {
      ...(hasKey !== "none" && { key: named }),
      ...(ids && { id: `i-${n}`, source: "/a?b" }),
      ...(at !== undefined && { time: at }),
      fields: { ...fields, ...pad },
      data,
    },
  };
}

/** Names of the columns of CSV. */
export const columnsOf = (look: Look): string[] => [
  "n",
  ...(look.key === "path" ? ["in.k"] : ["k"]),
  ...(look.ids ? ["id"] : []),
  ...(look.time === "none" ? [] : ["at"]),
  ...(look.fields ? ["s"] : []),
  "v",
  isUnicode(look.encoding) && look.header !== "columns" ? 'é,; "w"' : "w w",
  "",
  ...(look.pad > 0 ? ["pad"] : []),
];

/** The shape of a row with a quote that is not closed, which is the end whatever is said. */
export const openQuote = -1_001;

export function csvRow(row: RowPlan, look: Look): Made {
  const { n, shape } = row;
  if (shape === openQuote) return { text: `${n}${look.delimiter}"oh`, fate: "bad" };
  if (shape % 23 === 7) return { text: "", fate: "no row" };
  if (shape < 0) return { text: shape % 2 === 0 ? "1" : `${n}${look.delimiter.repeat(30)}`, fate: "bad" };
  const { named, at, subject, want } = fieldsOf(row, look);
  const number = numberCells[shape % numberCells.length] as string;
  const texts: string[] = [
    `n-${n}`,
    named.text,
    ...(look.ids ? [idOf(n, shape)] : []),
    ...(at ? [at.given] : []),
    ...(look.fields ? [subject] : []),
    number,
    cellText(shape, look.encoding),
    cellText(shape * 7 + n, look.encoding),
    ...(look.pad > 0 ? [padOf(n, look.pad)] : []),
  ];
  const cells = columnsOf(look).map((name, i): Cell => {
    const text = texts[i] as string;
    const isNumber = look.numbers && (text === number || /^[1-9]\d*$/.test(text));
    return { name, text, ...(isNumber && { json: text }) };
  });
  const text = cells.map(({ text, json }) => cellOf(text, look, json !== undefined)).join(look.delimiter);
  return { text, fate: { ...want, data: { kind: "cells", cells } } };
}

/** A cell as it stands in the file. What is a number by its look is not in quotes. */
export function cellOf(text: string, { delimiter, quoted }: Look, bare = false): string {
  const must = text.includes(delimiter) || /["\r\n]/.test(text);
  return must || (quoted === "all" && !bare) ? `"${text.replaceAll('"', '""')}"` : text;
}
