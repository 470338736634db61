/** A record as a way out shows it, and whether it is what went in. */

import type { Kept } from "./feed.ts";
import type { Unpacked } from "./frames.ts";
import { fieldsInOrder, type Way } from "./plan.ts";
import { items, members, parsed } from "./raw-json.ts";
import { type Binary, binaryOf, bytesOf, plain, type Value } from "./values.ts";
import { hasOddType } from "./want.ts";

export interface Seen {
  readonly place: string;
  readonly fields: ReadonlyMap<string, Binary>;
  readonly tags: readonly Binary[];
  /** Values as JSON, or, where the way out has nothing but texts, as these. */
  readonly extensions: ReadonlyMap<string, Binary>;
  readonly textual: boolean;
  readonly data: Shown;
  /** Everything else, by its name. */
  readonly others: ReadonlyMap<string, Binary>;
}

/** Data as they stand there: `json` as a value, `base64`, or plain bytes. */
export interface Shown {
  readonly form: "json" | "base64" | "bytes" | "none";
  readonly bytes: Binary;
}

const textBytes = (json: Binary): Binary => {
  const value = parsed(json);
  if (typeof value !== "string") throw new Error(`a text is ${json.slice(0, 100)}`);
  return bytesOf({ name: "", text: value });
};

export function shownIn(found: ReadonlyMap<string, Binary>): Shown {
  const data = found.get("data");
  const base64 = found.get("data_base64");
  if (data !== undefined && base64 !== undefined) throw new Error("there are data and data_base64");
  if (data !== undefined) return { form: "json", bytes: data };
  if (base64 === undefined) return { form: "none", bytes: "" };
  return { form: "base64", bytes: Buffer.from(parsed(base64) as string, "base64").toString("latin1") };
}

const known = new Set<string>([...fieldsInOrder, "tags", "extensions", "data", "data_base64"]);

/** A record of a page, an event, a delivery, a letter. */
export function seenIn(json: Binary): Seen {
  const found = members(json);
  const fields = new Map<string, Binary>();
  for (const name of fieldsInOrder) {
    const value = found.get(name);
    if (value !== undefined) fields.set(name, textBytes(value));
  }
  const others = new Map([...found].filter(([name]) => !known.has(name)));
  return {
    place: `${parsed(found.get("partition") ?? "")}.${parsed(found.get("offset") ?? "")}`,
    fields,
    tags: found.has("tags") ? items(found.get("tags") as Binary).map(textBytes) : [],
    extensions: found.has("extensions") ? members(found.get("extensions") as Binary) : new Map(),
    textual: false,
    data: shownIn(found),
    others,
  };
}

export function seenInFrame(record: Unpacked, partition: number): Seen {
  const { offset, fields, tags, extensions, kind, data } = record;
  const form = kind === "none" ? "none" : "bytes";
  return {
    place: `${partition}.${offset}`,
    fields,
    tags,
    extensions: new Map(extensions.map(([name, json]) => [Buffer.from(name, "latin1").toString(), json])),
    textual: false,
    data: { form, bytes: data },
    others: new Map(),
  };
}

const events = new Set<Way>(["structured", "batch", "binary"]);

/** What begins so is of the hop, and is dropped where an event comes in. */
function extensionsOf({ made, draft }: Kept): (readonly [string, Value])[] {
  // In an event null is the same as nothing.
  const there = made.extensions.filter(([, { json }]) => json !== "null");
  const all = there.map(([name, value]) => [plain(name) as string, value] as const);
  return events.has(draft.way) ? all.filter(([name]) => !name.startsWith("millrace")) : all;
}

const quote = (bytes: Binary | undefined) =>
  bytes === undefined ? "not there" : JSON.stringify(Buffer.from(bytes.slice(0, 160), "latin1").toString());

const differ = (what: string, came: Binary | undefined, wanted: Binary | undefined) =>
  `${what} is ${quote(came)}, and should be ${quote(wanted)}`;

/** A text that came over a socket has U+FFFD where it was no UTF-8. */
export const wantedBytes = (value: Value, way: Way): Binary =>
  value.bytes !== undefined && way === "socket"
    ? binaryOf(Buffer.from(value.bytes, "hex").toString("utf8"))
    : bytesOf(value);

/** What a way out does to a record. */
export interface Manner {
  /** Fields that it adds where there are none. */
  readonly madeUp?: ReadonlySet<string>;
  /** A record is one line: line breaks between the tokens of JSON come as blanks. */
  readonly oneLine?: boolean;
}

/** What differs from what went in. */
export function altered(kept: Kept, seen: Seen, manner: Manner = {}): string | undefined {
  const { made, draft } = kept;
  const { madeUp } = manner;
  for (const name of fieldsInOrder) {
    const value = made.fields.get(name);
    const wanted = value === undefined ? undefined : wantedBytes(value, draft.way);
    const came = seen.fields.get(name);
    if (came !== wanted && !(wanted === undefined && madeUp?.has(name))) return differ(name, came, wanted);
  }
  const tags = made.tags.map((tag) => wantedBytes(tag, draft.way));
  if (JSON.stringify(tags) !== JSON.stringify(seen.tags)) {
    return `tags are ${seen.tags.map(quote)}, and should be ${tags.map(quote)}`;
  }
  return alteredExtensions(kept, seen) ?? alteredData(kept, seen, manner);
}

function alteredExtensions(kept: Kept, seen: Seen): string | undefined {
  const wanted = new Map(extensionsOf(kept));
  for (const [name, value] of wanted) {
    const came = seen.extensions.get(name);
    if (came === undefined || !sameValue(value, came, seen.textual, kept.draft.way)) {
      return differ(`extension ${name}`, came, value.json ?? bytesOf(value));
    }
  }
  const more = [...seen.extensions.keys()].find((name) => !wanted.has(name));
  return more === undefined ? undefined : `there is an extension ${more}, and should be none`;
}

function sameValue(value: Value, came: Binary, textual: boolean, way: Way): boolean {
  if (value.json === undefined) return (textual ? came : textBytes(came)) === wantedBytes(value, way);
  if (textual) return came === String(JSON.parse(value.json)) || came === value.json;
  return JSON.parse(value.json) === parsed(came);
}

function alteredData({ made, draft }: Kept, { data }: Seen, { oneLine }: Manner): string | undefined {
  const { kind, wrong } = made.data;
  const wanted = oneLine && data.form === "json" ? made.bytes.replace(/[\r\n]/g, " ") : made.bytes;
  const same = () => {
    // A body has no other form for none.
    if (data.form === "bytes" && kind === "none") return data.bytes === "";
    if (data.form === "none" || kind === "none") return data.form === kind;
    // The content type alone says what kind they are.
    if (hasOddType(draft)) {
      const meant = [...meanings(wanted), ...meanings(made.bytes)];
      return meanings(data.bytes).some((one) => meant.includes(one));
    }
    if (data.form === "bytes") return data.bytes === made.bytes;
    if (data.form === "base64") return data.bytes === made.bytes && (kind === "binary" || wrong === true);
    return kind === "json" ? data.bytes === wanted : kind === "text" && textBytes(data.bytes) === made.bytes;
  };
  return same() ? undefined : `${differ("data", data.bytes, wanted)} (as ${data.form})`;
}

/** As a value of JSON and, where it is one of its texts, as a text. */
function meanings(bytes: Binary): Binary[] {
  try {
    return bytes.startsWith('"') ? [bytes, textBytes(bytes)] : [bytes];
  } catch {
    return [bytes];
  }
}
