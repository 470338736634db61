/** What is typed and shown of a record. */
import type { NewRecord, StoredRecord } from "../client/index.ts";

/** What is JSON is sent and kept as it was typed: its numbers, its depth, its spaces. Everything else is a text. */
export function typed(text: string, key: string): NewRecord {
  const named = key === "" ? {} : { key };
  try {
    JSON.parse(text);
    return { text, ...named };
  } catch {
    return { data: text, ...named };
  }
}

/** Its data as they lie in the log. */
export const shown = ({ text = "", data_base64 }: StoredRecord): string =>
  data_base64 === undefined ? text : `base64: ${data_base64}`;
