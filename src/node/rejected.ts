/** Records that a stream does not take: a line of JSON each, in `rejected.ndjson`, for whoever looks for them. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { MillraceError, NewRecord } from "../client/index.ts";
import { decodeText } from "../lib/bytes.ts";
import { decodeRecord, kinds } from "../log/record.ts";

export class Rejected {
  constructor(readonly folder: string) {}

  /** Resolves when they are on the disk. */
  async keep(records: readonly (readonly [record: Uint8Array, why: MillraceError])[]): Promise<void> {
    if (records.length === 0) return;
    const file = await open(join(this.folder, "rejected.ndjson"), "a", 0o600);
    try {
      await file.writeFile(records.map(([record, why]) => lineOf(record, why)).join(""));
      await file.datasync();
    } finally {
      await file.close();
    }
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
