/** Every way in and every way out that needs no network: what a client would send, and what somebody would get. */
import { HTTP } from "cloudevents";
import { pushTarget } from "../../schemas/group.ts";
import { appendQuery } from "../../schemas/record.ts";
import { packable } from "../../src/client/record.ts";
import type { NewRecord } from "../../src/client/types.ts";
import { newItem } from "../../src/delivery/item.ts";
import { pushRequest } from "../../src/delivery/push-request.ts";
import { type Checked, pack, takeFrames, takeIn } from "../../src/intake/intake.ts";
import { readMessages } from "../../src/intake/message.ts";
import { concat, decodeText, encodeText } from "../../src/lib/bytes.ts";
import { check } from "../../src/lib/check.ts";
import { flags } from "../../src/log/frame.ts";
import { JsonWriter } from "../../src/log/json.ts";
import { appendHeaderBytes, kinds as messages } from "../../src/log/message.ts";
import { decodeFrame, eachPlaced, FrameWriter, type Rec } from "../../src/log/record.ts";
import { tagsOf, tagsText } from "../../src/log/tags.ts";
import { specOf } from "./delivery.ts";

/** A record as its sender has it. `data` is text of JSON. */
export interface Sent {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly data?: string;
}

export type Taken = { readonly refused: string } | { readonly frames: readonly Checked[] };

const config = {
  recordBytesMax: 1_000_000,
  batchBytesMax: 8_388_608,
  timestamps: "arrival",
  offsets: "assigned",
} as const;
const noTerms = { ack: "durable", atomic: false, raw: false } as const;
const [json, event, events] = [
  "application/json",
  "application/cloudevents+json",
  "application/cloudevents-batch+json",
];

function take(type: string, body: string | Uint8Array, more: Record<string, string> = {}, terms = {}): Taken {
  const headers = new Headers({ "content-type": type, ...more });
  const bytes = typeof body === "string" ? encodeText(body) : body;
  const taken = takeIn(headers, bytes, { ...noTerms, ...terms }, config, 0);
  return taken.ok ? { frames: taken.value } : { refused: taken.refusal.detail };
}

/** JSON of a record. Escapes in its fields are as `JSON.stringify` has them, half surrogate pairs too. */
function recordText({ fields, data }: Sent): string {
  const members = Object.entries(fields).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  return `{${[...members, ...(data === undefined ? [] : [`"data":${data}`])].join(",")}}`;
}

/** The same as an event, undefined where an event has nothing for it. */
function eventOf({ fields, data }: Sent): Sent | undefined {
  const { key, tags, extensions, data_base64, ...rest } = fields;
  const attributes = { specversion: "1.0", id: "i", source: "/s", type: "t", ...rest };
  const named = {
    ...(key === undefined ? {} : { partitionkey: key }),
    ...(tags === undefined ? {} : { tags: tagsText(tags as string[]) }),
    ...(data_base64 === undefined ? {} : { data_base64 }),
  };
  return { fields: { ...attributes, ...(extensions as object), ...named }, data };
}

/** Percent-encodes everything but letters and digits; undefined for what has no UTF-8. */
function encoded(text: string): string | undefined {
  try {
    return encodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function bySocket(sent: string | ArrayBuffer): Taken {
  let taken: Taken = { refused: "nothing was read" };
  readMessages(sent, config, 0, (read) => {
    if (!read.ok) taken = { refused: read.refusal.detail };
    else if (read.value.type === "append") {
      const packed =
        "frames" in read.value ? { ok: true as const, value: read.value.frames } : pack(read.value.records, config, 0);
      taken = packed.ok ? { frames: packed.value } : { refused: packed.refusal.detail };
    }
    return true;
  });
  return taken;
}

/** Packs a record without looking at it, as a library of somebody else's would. */
function packed({ fields, data }: Sent): Uint8Array | undefined {
  const { data_base64, ...rest } = fields;
  const texts = Object.values(rest).flatMap((value) => (typeof value === "object" ? [] : [String(value)]));
  if (![...texts, ...((rest.tags as string[]) ?? [])].every((text) => text.isWellFormed())) return undefined;
  const writer = new FrameWriter();
  const binary =
    typeof data_base64 === "string" ? Uint8Array.from(atob(data_base64), (char) => char.charCodeAt(0)) : undefined;
  const kind = binary !== undefined ? 3 : data === undefined ? 0 : 1;
  writer.add({ ...rest, kind, data: binary ?? encodeText(data ?? "") } as Rec);
  return concat(writer.finish(0));
}

function asMessage(frames: Uint8Array): ArrayBuffer {
  const bytes = new Uint8Array(appendHeaderBytes + frames.length);
  bytes[0] = messages.append;
  bytes.set(frames, appendHeaderBytes);
  return bytes.buffer;
}

/** Each answers undefined for what it has no form for. */
export const waysIn: Readonly<Record<string, (sent: Sent) => Taken | undefined>> = {
  json: (sent) => take(json, `{"records":[${recordText(sent)}]}`),
  ndjson: (sent) =>
    /[\r\n]/.test(sent.data ?? "") ? undefined : take("application/x-ndjson", `${recordText(sent)}\n`),
  "structured event": (sent) => {
    const one = eventOf(sent);
    return one && take(event, recordText(one));
  },
  "batch of events": (sent) => {
    const one = eventOf(sent);
    return one && take(events, `[${recordText(one)}]`);
  },
  "binary event": (sent) => {
    const { datacontenttype, data_base64, ...fields } = eventOf(sent)?.fields ?? {};
    if (fields.specversion === undefined || data_base64 !== undefined) return undefined;
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(fields)) {
      const text = encoded(String(value));
      if (text === undefined || !/^[a-z0-9]+$/.test(name)) return undefined;
      headers[`ce-${name}`] = text;
    }
    const type = datacontenttype === undefined ? "application/json" : String(datacontenttype);
    // No header can have it.
    if (!/^[\x20-\x7e]*$/.test(type) || type !== type.trim()) return undefined;
    return take(type, sent.data ?? "", headers);
  },
  socket: (sent) =>
    /[\r\n]/.test(sent.data ?? "") ? undefined : bySocket(`{"type":"append","id":1,"records":[${recordText(sent)}]}`),
  frames: (sent) => {
    const bytes = packed(sent);
    if (bytes === undefined) return undefined;
    const frames = takeFrames(bytes, config, 0);
    return frames.ok ? { frames: frames.value } : { refused: frames.refusal.detail };
  },
  "binary socket": (sent) => {
    const bytes = packed(sent);
    return bytes && bySocket(asMessage(bytes));
  },
  library: ({ fields, data }) => {
    // It prints what it is given, and so has no way for other JSON.
    if (data !== undefined && JSON.stringify(JSON.parse(data)) !== data) return undefined;
    try {
      const writer = new FrameWriter();
      writer.add(packable({ ...fields, ...(data === undefined ? {} : { data: JSON.parse(data) }) } as NewRecord));
      const frames = takeFrames(concat(writer.finish(0)), config, 0);
      return frames.ok ? { frames: frames.value } : { refused: frames.refusal.detail };
    } catch (error) {
      return { refused: (error as Error).message };
    }
  },
  "raw body": ({ fields, data }) => {
    const { key, type, tags: tag, datacontenttype = "application/json", ...others } = fields;
    if (Object.keys(others).length > 0 || data === undefined) return undefined;
    if (!/^[\x20-\x7e]*$/.test(String(datacontenttype)) || String(datacontenttype) !== String(datacontenttype).trim())
      return undefined;
    const terms = check(
      appendQuery,
      {
        raw: "true",
        ...(key === undefined ? {} : { key }),
        ...(type === undefined ? {} : { type }),
        ...(tag === undefined ? {} : { tag }),
      },
      "query",
    );
    return terms.ok ? take(String(datacontenttype), data, {}, terms.value) : { refused: terms.refusal.detail };
  },
};

/** A stored record, as somebody gets it. `fields` has what is there; `data` the text of its JSON. */
export interface Got {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly data?: string;
}

interface Stored {
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
  readonly checked: boolean;
}

export function storedOf(frames: readonly Checked[]): Stored {
  const [{ frame }] = frames;
  let found: Stored | undefined;
  eachPlaced(frame, (from, to) => {
    found = { bytes: frame.bytes, from, to, checked: (frame.flags & flags.checked) !== 0 };
  });
  return found as Stored;
}

/** What a page, a line or a delivery says. */
function ofPage(text: string): Got {
  const { partition: _, offset: __, timestamp: ___, data, ...fields } = JSON.parse(text);
  return { fields, data: data === undefined ? undefined : text.slice(text.indexOf(',"data":') + 8, -1) };
}

function page({ bytes, from, to, checked }: Stored, lines: boolean): string {
  const writer = new JsonWriter(lines);
  writer.record({ bytes, from, to, checked, offset: 0, timestamp: 0 }, 0);
  return decodeText(writer.take());
}

export function pushed(stored: Stored, format: "binary" | "structured" | "batch") {
  const item = newItem({ ...stored, offset: 3, timestamp: 1_700_000_000_000, key: undefined });
  const push = pushTarget.parse({ url: "https://example.com/", format });
  return pushRequest(specOf({ push }), [{ item, generation: 1, attempt: 1 }]);
}

/** The record that an event stands for: what a push makes up, or adds, is taken away again. */
function ofEvent(attributes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  const extensions: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "partitionkey") fields.key = value;
    else if (name === "tags") fields.tags = tagsOf(String(value));
    else if (/^(id|source|type|subject|time|datacontenttype|dataschema|data_base64)$/.test(name)) fields[name] = value;
    else if (name !== "specversion" && name !== "data" && !name.startsWith("millrace")) extensions[name] = value;
  }
  return Object.keys(extensions).length > 0 ? { ...fields, extensions } : fields;
}

function ofJsonEvent(text: string): Got {
  const parsed = JSON.parse(text);
  const at = text.indexOf(',"data":');
  return { fields: ofEvent(parsed), data: "data" in parsed ? text.slice(at + 8, -1) : undefined };
}

/** A push of a stored record, as it comes in at another service. */
export function hop(stored: Stored, format: "binary" | "structured" | "batch"): Taken {
  const { headers, body } = pushed(stored, format);
  const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("ce-")));
  return take(headers["content-type"] ?? "", body, sent);
}

export const waysOut: Readonly<Record<string, (stored: Stored) => Got>> = {
  page: (stored) => ofPage(page(stored, false)),
  line: (stored) => {
    const text = page(stored, true);
    if (/[\r\n]/.test(text)) throw new Error("a line has a line end");
    return ofPage(text);
  },
  frames: ({ bytes, from, to }) => {
    let got: Got | undefined;
    const header = { at: 0, flags: 0, count: 1, base: 0, timestamp: 0 };
    const writer = new FrameWriter();
    writer.copy(bytes, from, to);
    const [frame] = writer.finish(0);
    decodeFrame({ ...header, bytes: frame, from: 32, to: frame.length }, ({ kind, data, ...fields }) => {
      if (kind === 3) got = { fields: { ...fields, data_base64: btoa(String.fromCharCode(...data)) } };
      else
        got = {
          fields,
          data: kind === 0 ? undefined : kind === 2 ? JSON.stringify(decodeText(data)) : decodeText(data),
        };
    });
    return got as Got;
  },
  "binary push": (stored) => {
    const { headers, body } = pushed(stored, "binary");
    // What cannot be a header throws here, as it would in the sender.
    new Headers(headers);
    const attributes: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(headers)) {
      if (name.startsWith("ce-")) attributes[name.slice(3)] = decodeURIComponent(value);
      if (name === "content-type") attributes.datacontenttype = value;
    }
    return {
      fields: ofEvent(attributes),
      data: body.length === 0 ? undefined : decodeText(body),
    };
  },
  "structured push": (stored) => {
    const { headers, body } = pushed(stored, "structured");
    const text = decodeText(body);
    // The reference package reads it.
    HTTP.toEvent({ headers, body: text });
    return ofJsonEvent(text);
  },
  "batched push": (stored) => ofJsonEvent(decodeText(pushed(stored, "batch").body).slice(1, -1)),
};
