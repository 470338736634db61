/** What a draft is as a record, and what must be seen of it at every way out. */
import { type Data, dataBytes, dataNamed } from "./data.ts";
import type { Draft } from "./plan.ts";
import type { Binary, Value } from "./values.ts";

/** A record in the making: values of fields, by their names. */
export interface Made {
  readonly fields: ReadonlyMap<string, Value>;
  readonly tags: readonly Value[];
  readonly extensions: readonly (readonly [name: Value, value: Value])[];
  readonly data: Data;
  readonly bytes: Binary;
}

const cloudEvents = new Set(["structured", "batch", "binary"]);
const bodied = new Set(["binary", "raw"]);

const types = { json: "application/json", text: "text/plain", binary: "application/octet-stream", none: undefined };

const text = (name: string, words: string): Value => ({ name, text: words });

/** The fields of an ordinary record. Ids differ, so that nothing is a repetition that is not meant as one. */
function ordinary({ n, way }: Draft): Map<string, Value> {
  const fields = new Map([["key", text("key", `k${n}`)]]);
  if (way === "raw") return fields;
  fields.set("id", text("id", `i${n}`));
  if (cloudEvents.has(way) || n % 3 === 0) {
    fields.set("source", text("source", "/doors"));
    fields.set("type", text("type", "doors.made"));
  }
  return fields;
}

export function made(draft: Draft): Made {
  const data = dataNamed.get(draft.data ?? "") ?? { name: "ordinary", kind: "json" as const, text: `{"n":${draft.n}}` };
  const fields = ordinary(draft);
  const type = data.kind === "json" && !bodied.has(draft.way) && draft.n % 2 === 0 ? undefined : types[data.kind];
  if (type !== undefined) fields.set("datacontenttype", text("type", type));
  const tags: Value[] = [];
  const extensions: (readonly [Value, Value])[] = [];
  for (const odd of draft.odd) {
    if (odd.field === "tags") tags.push(odd.value);
    else if (odd.field === "name") extensions.push([odd.value, text("value", `v${draft.n}`)]);
    else if (odd.field === "value") extensions.push([text("name", `odd${extensions.length}`), odd.value]);
    else fields.set(odd.field, odd.value);
  }
  if (tags.length > 0) tags.push(text("last", "last"));
  // Blanks around a value are of the text that it stands in.
  const bytes = data.kind === "json" && !bodied.has(draft.way) ? dataBytes(data).trim() : dataBytes(data);
  return { fields: apart(fields, draft), tags, extensions, data, bytes };
}

/**
 * Odd ids are compared with each other: they share a source and have no key, so that nothing else tells them apart. Where
 * more is odd, two may have the same key and id by chance: the source tells those apart.
 */
function apart(fields: Map<string, Value>, { n, odd }: Draft): Map<string, Value> {
  const isOdd = (field: string) => odd.some((one) => one.field === field);
  if (odd.length > 1 && isOdd("id") && !isOdd("source")) return fields.set("source", text("source", `/doors/${n}`));
  if (odd.length !== 1 || odd[0]?.field !== "id" || odd[0].value.bytes !== undefined) return fields;
  fields.delete("key");
  return fields.set("source", text("source", "/doors/ids"));
}

/** Whether the kind of the data is what their odd content type says. */
export const hasOddType = (draft: Draft): boolean => draft.odd.some(({ field }) => field === "datacontenttype");
