/** From a row to what is stored. */
import type { StreamConfig } from "../../../schemas/stream.ts";
import { toRecord } from "../../intake/record.ts";
import { type Rec, recordBytes } from "../../log/record.ts";
import type { Mapping } from "./map.ts";
import { BadRow, type Row } from "./row.ts";

/** A row as the record that is stored, by the rules that hold for one of an append. Undefined where it is not meant to be one. */
export function recordOf({ json }: Row, map: Mapping, config: StreamConfig, now: number): Rec | undefined {
  const mapped = map(json);
  if (mapped === undefined) return undefined;
  const record = toRecord(mapped.fields, mapped.data, config, now, "record");
  if (!record.ok) throw new BadRow(record.refusal.detail);
  const bytes = recordBytes(record.value);
  if (bytes > config.recordBytesMax) throw new BadRow(`has ${bytes} bytes; the stream takes ${config.recordBytesMax}`);
  return record.value;
}
