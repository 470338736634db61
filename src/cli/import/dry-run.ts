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
  const value = kind === kinds.json ? decodeText(data) : JSON.stringify(decodeText(data));
  const member = kind === kinds.binary ? `"data_base64":"${Buffer.from(data).toString("base64")}"` : `"data":${value}`;
  return text === "{}" ? `{${member}}` : `${text.slice(0, -1)},${member}}`;
}
