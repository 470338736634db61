/** `--dry-run`: the first records as they would be appended, and nothing is. */
import type { StreamConfig } from "../../../schemas/stream.ts";
import { decodeText } from "../../lib/bytes.ts";
import { kinds, type Rec } from "../../log/record.ts";
import { print } from "../output.ts";
import type { Mapping } from "./map.ts";
import { recordOf } from "./record.ts";
import { BadRow, type Row } from "./row.ts";

const shownMax = 10;

export async function showFirst(
  pages: AsyncIterable<readonly Row[]>,
  map: Mapping,
  config: StreamConfig,
): Promise<void> {
  const now = Date.now();
  let shown = 0;
  for await (const rows of pages) {
    for (const row of rows) {
      if (row.blank) continue;
      try {
        if (row.why !== undefined) throw new BadRow(row.why);
        const record = recordOf(row, map, config, now);
        if (record !== undefined) print(textOf(record));
      } catch (error) {
        if (!(error instanceof BadRow)) throw error;
        console.error(`line ${row.line}: ${error.message}`);
        process.exitCode = 1;
      }
      if (++shown === shownMax) return;
    }
  }
}

/** Data are printed as they are stored. */
function textOf({ kind, data, ...fields }: Rec): string {
  const text = JSON.stringify(fields);
  if (kind === kinds.none) return text;
  return text === "{}" ? `{${memberOf(kind, data)}}` : `${text.slice(0, -1)},${memberOf(kind, data)}}`;
}

/** Bytes need not be a text. */
function memberOf(kind: Rec["kind"], data: Uint8Array): string {
  if (kind === kinds.binary) return `"data_base64":"${Buffer.from(data).toString("base64")}"`;
  return `"data":${kind === kinds.json ? decodeText(data) : JSON.stringify(decodeText(data))}`;
}
