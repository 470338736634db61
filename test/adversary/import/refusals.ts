/** Input that would be read wrongly: what it is, and with which code it is refused before anything is sent. */
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";

export interface Refusal {
  readonly file: string;
  readonly bytes: Buffer;
  readonly args: readonly string[];
  readonly code: number;
  /** What the line that refuses it names. */
  readonly says: RegExp;
  /** What cannot be looked through is a bad row there, or ends the import where it lies. */
  readonly fileOnly?: boolean;
  /** Nobody listens where the service should. */
  readonly absent?: boolean;
  readonly token?: string;
  /** There is no file of that name. */
  readonly missing?: boolean;
  /** Another stream than the one that is there. */
  readonly stream?: string;
}

const lines = (rows: number) => Array.from({ length: rows }, (_, n) => `{"n":${n},"k":"k-${n % 5}"}\n`).join("");
const csv = (rows: number, delimiter = ",", end = "\n") =>
  `n${delimiter}name${end}${Array.from({ length: rows }, (_, n) => `${n}${delimiter}a${end}`).join("")}`;
const change = (n: number) =>
  `{"before":null,"after":{"id":${n},"total":5},"source":{"connector":"postgresql","name":"pg","db":"d","schema":"s","table":"orders","lsn":${n},"ts_ms":1700000000000},"op":"c"}\n`;
const magic = (hex: string, rows: number) => Buffer.concat([Buffer.from(hex, "hex"), brotliCompressSync(lines(rows))]);
const plain = (file: string, bytes: string | Buffer, says: RegExp, ...args: string[]): Refusal => ({
  file,
  bytes: Buffer.from(bytes),
  args,
  code: 2,
  says,
});

const all: Readonly<Record<string, (rows: number) => Refusal>> = {
  zstd: (rows) => plain("a.csv.zst", zstdCompressSync(Buffer.from(csv(rows))), /zstd -dc/, "--format", "csv"),
  bzip2: (rows) => plain("a.ndjson.bz2", magic("425a6839314159265359", rows), /bzip2 -dc/),
  xz: (rows) => plain("a.ndjson", magic("fd377a585a00", rows), /xz -dc/),
  lz4: (rows) => plain("a.ndjson.lz4", magic("04224d18", rows), /lz4 -dc/),
  zip: (rows) => plain("a.zip", magic("504b0304", rows), /unzip/),
  "7z": (rows) => plain("a.7z", magic("377abcaf271c", rows), /7z/),
  parquet: (rows) => plain("a.parquet", magic("50415231", rows), /[Pp]arquet/),
  "utf-16": (rows) => plain("a.ndjson", Buffer.from(lines(rows), "utf16le"), /--encoding utf-16le/),
  "utf-16-csv": (rows) => plain("a.csv", Buffer.from(csv(rows), "utf16le").swap16(), /utf-16be/i),
  "utf-32": (rows) => {
    const text = `\ufeff${lines(rows)}`;
    const bytes = Buffer.alloc(text.length * 4);
    for (let i = 0; i < text.length; i++) bytes.writeUInt32LE(text.charCodeAt(i), i * 4);
    return plain("a.ndjson", bytes, /iconv -f UTF-32/);
  },
  semicolons: (rows) => plain("a.csv", csv(rows, ";"), /--delimiter/),
  pipes: (rows) => plain("a.csv", csv(rows, "|"), /--delimiter/, "--key", "n"),
  tabs: (rows) => plain("a.csv", csv(rows, "\t"), /--delimiter/),
  "tsv-of-commas": (rows) => ({ ...plain("a.tsv", csv(rows), /--delimiter/), fileOnly: true }),
  returns: (rows) => plain("a.csv", csv(rows, ",", "\r"), /tr '\\r' '\\n'/),
  "returns-of-lines": (rows) => plain("a.ndjson", lines(rows).replaceAll("\n", "\r"), /tr '\\r' '\\n'/),
  "json-array": (rows) => plain("a.json", `[\n${lines(rows).trim().replaceAll("\n", ",\n")}\n]\n`, /jq -c/),
  "json-pretty": (rows) => plain("a.json", JSON.stringify({ rows }, null, 2), /jq -c/),
  "not-utf-8": (rows) => ({
    ...plain("a.csv", Buffer.from(`${csv(rows)}1,Jos\xe9\n`, "latin1"), /--encoding/, "--on-error", "skip"),
    fileOnly: true,
  }),
  "not-utf-8-packed": (rows) => ({
    ...plain("a.csv.gz", gzipSync(Buffer.from(`${csv(rows)}1,Jos\xe9\n`, "latin1")), /--encoding/),
    fileOnly: true,
  }),
  "no-column": (rows) => plain("a.csv", csv(rows), /n, name/, "--key", "Name"),
  "no-column-of-tags": (rows) => plain("a.csv", csv(rows), /n, name/, "--tag", "name", "--tag", "oh"),
  "no-outbox": (rows) => {
    const text = Array.from({ length: rows }, (_, n) => change(n)).join("");
    return plain("outbox.ndjson", text, /--table/);
  },
  "cut-csv": (rows) => ({ ...plain("a.csv.gz", gzipSync(csv(rows)).subarray(0, -9), /cut off/), fileOnly: true }),
  "behind-csv": (rows) => ({
    ...plain("a.csv.gz", Buffer.concat([gzipSync(csv(rows)), Buffer.from("more")]), /behind/),
    fileOnly: true,
  }),
  "no-file": () => ({ ...plain("a.ndjson", "", /no file/), missing: true, fileOnly: true }),
  "no-option": (rows) => plain("a.ndjson", lines(rows), /numbers/, "--numbers"),
  "no-encoding": (rows) => plain("a.ndjson", lines(rows), /--encoding/, "--encoding", "utf-7777"),
  "no-stream": (rows) => ({ ...plain("a.ndjson", lines(rows), /does not exist/), code: 1, stream: "not-there" }),
  "no-token": (rows) => ({ ...plain("a.ndjson", lines(rows), /token/), code: 4, token: "wrong" }),
  "no-service": (rows) => ({ ...plain("a.ndjson", lines(rows), /./), code: 3, absent: true }),
};

export const refusals: readonly string[] = Object.keys(all);

export const refusalOf = (name: string, rows: number): Refusal => (all[name] as (rows: number) => Refusal)(rows);
