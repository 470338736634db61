/** Records on the standard output: for people, as JSON, as their data, or in a format of the user's own. */
import { once } from "node:events";
import { type Exact, jsonOf, oneLine, textOf } from "./exact.ts";
import { paint, Usage } from "./output.ts";

export interface Form {
  json?: boolean;
  /** The data only. */
  data?: boolean;
  /** As `formatOf` reads it. */
  format?: string;
}

export type Show = (record: Exact) => Promise<void>;

/** Prints records in a form, each when there is room for it: whoever reads slowly is waited for. Throws `Usage`. */
export function showing({ json, data, format }: Form): Show {
  const chosen = [json && "--json", data && "--data", format !== undefined && "--format"].filter(Boolean);
  if (chosen.length > 1) throw new Usage(`${chosen.join(" and ")} exclude each other`);
  const form = format === undefined ? undefined : formatOf(format);
  const line = json ? jsonOf : data ? plainOf : personal;
  return async (record) => {
    const text = form === undefined ? `${line(record)}\n` : form(record);
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  };
}

/** Place, time, key, type if there is one, and the data. */
function personal(record: Exact): string {
  const { partition, offset, timestamp, key, type, data, data_base64 } = record;
  const place = paint("dim", `${partition}.${offset}`.padEnd(8));
  const parts = [place, paint("dim", timestamp), paint("cyan", key ?? "-"), ...(type === undefined ? [] : [type])];
  const shown = data === undefined ? (data_base64 ?? "") : oneLine(data);
  return [...parts, shown].join("  ");
}

/** Data as one prints them: a text as it is, other JSON on one line, bytes in base64. */
const plainOf = ({ data, data_base64 }: Exact): string =>
  data_base64 ?? textOf(data) ?? (data === undefined ? "" : oneLine(data));

/** The bytes that the data are: a text's own, JSON on one line. */
const bytesOf = (record: Exact): Uint8Array =>
  record.data_base64 === undefined ? Buffer.from(plainOf(record)) : Buffer.from(record.data_base64, "base64");

const letters: Readonly<Record<string, (record: Exact) => string | Uint8Array>> = {
  p: ({ partition }) => String(partition),
  o: ({ offset }) => String(offset),
  d: ({ timestamp }) => timestamp,
  k: ({ key }) => key ?? "",
  v: bytesOf,
  j: ({ data, data_base64 }) => (data === undefined ? JSON.stringify(data_base64 ?? null) : oneLine(data)),
  r: jsonOf,
};

/** What `%{…}` may name. */
const fields = ["id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "tags"] as const;
type Field = (typeof fields)[number];

const ends: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "0": "\0", "\\": "\\" };

/** For the help of `--format`. */
export const formatHelp =
  "How to print a record: %k key, %v data as they are, %j data as JSON, %p partition, %o offset, %d time of arrival, %r all of it as JSON, %{type} another field; \\n, \\t.";

/** A format as what it makes of a record. Throws `Usage`. */
export function formatOf(format: string): (record: Exact) => Uint8Array {
  const parts = [...format.matchAll(/%(\{[^}]*\}?|.?)|\\(.?)|[^%\\]+/gsu)].map(([whole, named, escaped]) => {
    if (escaped !== undefined) {
      const end = ends[escaped];
      if (end === undefined) throw new Usage(`--format: there is no '${whole}'; there are ${listOf(ends, "\\")}`);
      return () => end;
    }
    if (named === undefined) return () => whole;
    return partOf(named);
  });
  return (record) => Buffer.concat(parts.map((part) => bytes(part(record))));
}

const bytes = (part: string | Uint8Array) => (typeof part === "string" ? Buffer.from(part) : part);

const listOf = (known: object, sign: string) =>
  Object.keys(known)
    .map((name) => `${sign}${name}`)
    .join(", ");

function partOf(named: string): (record: Exact) => string | Uint8Array {
  if (named === "%") return () => "%";
  const field = fields.find((one) => named === `{${one}}`);
  if (field !== undefined) return (record) => fieldOf(record, field);
  const known = Object.hasOwn(letters, named) ? letters[named] : undefined;
  if (known !== undefined) return known;
  const names = fields.map((one) => `%{${one}}`).join(", ");
  throw new Usage(`--format: there is no '%${named}'; there are ${listOf(letters, "%")}, ${names}, and %%`);
}

const fieldOf = (record: Exact, field: Field): string =>
  field === "tags" ? (record.tags ?? []).join(",") : (record[field] ?? "");
