/** Records that a stream does not take: a line of JSON each, in `rejected.ndjson`, for whoever looks for them. */
import { join } from "node:path";
import type { MillraceError, NewRecord } from "../client/index.ts";
import { decodeText } from "../lib/bytes.ts";
import { decodeRecord, kinds } from "../log/record.ts";
import { addLines } from "./lines.ts";

export class Rejected {
  constructor(readonly folder: string) {}

  /** They are on the disk when this returns. */
  keep(records: readonly (readonly [record: Uint8Array, why: MillraceError])[]): void {
    if (records.length === 0) return;
    addLines(join(this.folder, "rejected.ndjson"), records.map(([record, why]) => lineOf(record, why)).join(""));
  }
}

/** A packed record as it was given. */
export function recordOf(bytes: Uint8Array): NewRecord {
  const { kind, data, ...fields } = decodeRecord(bytes, 0, bytes.length);
  if (kind === kinds.json) return { ...fields, data: JSON.parse(decodeText(data)) };
  if (kind === kinds.none) return fields;
  return { ...fields, data_base64: base64Of(data) };
}

/** Its data are the text that they were. */
function lineOf(bytes: Uint8Array, { code, message }: MillraceError): string {
  const { kind, data, ...fields } = decodeRecord(bytes, 0, bytes.length);
  const json = kind === kinds.json ? decodeText(data).replace(/[\r\n]/g, " ") : JSON.stringify(base64Of(data));
  const named = [JSON.stringify(fields).slice(1, -1), `"${kind === kinds.json ? "data" : "data_base64"}":${json}`];
  const members = kind === kinds.none ? named.slice(0, 1) : named.filter((one) => one !== "");
  return `{"reason":${JSON.stringify(code)},"detail":${JSON.stringify(message)},"record":{${members}}}\n`;
}

const base64Of = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
