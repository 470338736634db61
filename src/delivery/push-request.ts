/**
 * The request of a push: what is sent, and in which form. Pure: signing and sending are the shell's.
 *
 * Data go out as they lie in the log: as a body, or copied into the JSON of the event, and nothing parses and prints them.
 */
import type { PushTarget } from "../../schemas/group.ts";
import { isEventAttribute, isJsonType, mediaType } from "../../schemas/text.ts";
import { decodeText, encodeText, hex32, isJson, isText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { JsonWriter } from "../log/json.ts";
import { decodeRecord, type Extension, type Kind, kinds, type Rec } from "../log/record.ts";
import { tagsText } from "../log/tags.ts";
import type { Leased } from "./delivery.ts";
import type { DeliverySpec } from "./spec.ts";

/** A request to a receiver, without its signature. */
export interface PushRequest {
  /** The same at every attempt, and of no other records: the receiver's handle for deduplication. */
  readonly id: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** The delivery's id: of a record, the same at every attempt and after every restart. */
export const deliveryId = (groupId: string, partition: number, offset: number | ""): string =>
  `${groupId}.${partition}.${offset}`;

/** Of several records, the lowest offset and the highest do not say which: 64 bits of a hash do, whatever their order. */
function requestId({ groupId, partition }: DeliverySpec, leased: readonly Leased[]): string {
  const offsets = leased.map(({ item }) => item.offset).sort((a, b) => a - b);
  const id = deliveryId(groupId, partition, offsets[0]);
  if (offsets.length === 1) return id;
  const bytes = encodeText(offsets.join());
  return `${id}-${offsets[offsets.length - 1]}-${hex32(murmur3(bytes, 0x5eed))}${hex32(murmur3(bytes, 0xd1ff))}`;
}

/**
 * The request for some records; several only in the batched mode. Throws where a record was stored with what no header can
 * carry: in binary mode, and so for that record alone.
 */
export function pushRequest(spec: DeliverySpec, leased: readonly Leased[]): PushRequest {
  const target = spec.config.push as PushTarget;
  const [first] = leased;
  const id = requestId(spec, leased);
  const common = {
    ...lowerCase(target.headers),
    "user-agent": "Millrace",
    "millrace-group": spec.group,
    "millrace-attempt": String(first.attempt),
  };
  if (target.format === "batch") {
    const headers = { ...common, "content-type": "application/cloudevents-batch+json" };
    const writer = new JsonWriter();
    for (const one of leased) writeEvent(writer.text(one === first ? "[" : ","), spec, one);
    return { id, headers, body: writer.text("]").take() };
  }
  if (target.format === "structured") {
    const headers = { ...common, "content-type": "application/cloudevents+json" };
    const writer = new JsonWriter();
    writeEvent(writer, spec, first);
    return { id, headers, body: writer.take() };
  }
  return { id, ...binary(spec, first, common) };
}

/** Names differ by their letters only here: one that the sender sets, too, would be sent twice. */
export const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function binary(spec: DeliverySpec, leased: Leased, common: Record<string, string>): Omit<PushRequest, "id"> {
  const record = recordOf(leased);
  const { datacontenttype, ...attributes }: Attributes = JSON.parse(`${attributesText(spec, leased, record)}}`);
  const headers: Record<string, string> = { ...common };
  for (const [name, value] of Object.entries(attributes)) headers[`ce-${name}`] = encodeHeader(String(value));
  if (datacontenttype !== undefined) {
    const problem = mediaType(String(datacontenttype));
    if (problem !== undefined)
      throw new Error(`datacontenttype: ${problem}; push it in another format, or skip the record`);
    headers["content-type"] = String(datacontenttype);
  }
  return { headers, body: record.data };
}

const contentTypes = [undefined, "application/json", "text/plain; charset=UTF-8", "application/octet-stream"] as const;

/** The record, with the kind that its data have: who packed it may have called them what they are not. */
function recordOf({ item }: Leased): Rec {
  const record = decodeRecord(item.bytes, item.from, item.to);
  return item.checked ? record : { ...record, kind: kindOf(record) };
}

function kindOf({ kind, data }: Rec): Kind {
  if (kind === kinds.json && !isJson(data)) return kinds.binary;
  return kind === kinds.text && !isText(data) ? kinds.binary : kind;
}

const madeUpType = '"dev.millrace.record"';

type Attributes = Record<string, string | number | boolean>;

/** Those that speak for no attribute: such names are refused now, and have been stored before. */
function extensionsOf(extensions: Record<string, Extension>): Attributes {
  return Object.fromEntries(Object.entries(extensions).filter(([name]) => !isEventAttribute(name)));
}

/** Writes an event in CloudEvents' JSON: the attributes, then the data as they are stored. */
function writeEvent(writer: JsonWriter, spec: DeliverySpec, leased: Leased): void {
  const record = recordOf(leased);
  writer.text(attributesText(spec, leased, record));
  writeData(writer, record);
  writer.text("}");
}

const quoted = JSON.stringify as (text: string) => string;
const member = (name: string, value: string | undefined) => (value === undefined ? "" : `,"${name}":${quoted(value)}`);

/**
 * CloudEvents attributes, as JSON that is not closed: to print an object for each record would take twice the time. What a
 * record lacks of the required ones is made up from its place, the same every time.
 */
function attributesText(spec: DeliverySpec, { item, attempt }: Leased, record: Rec): string {
  const { id, source, type, subject, time, dataschema, key, tags, extensions } = record;
  const more = extensions === undefined ? "" : JSON.stringify(extensionsOf(extensions)).slice(1, -1);
  return (
    `{"specversion":"1.0","id":${id === undefined ? `"${deliveryId(spec.logId, spec.partition, item.offset)}"` : quoted(id)}` +
    `,"source":${source === undefined ? `"/v1/${spec.namespace}/streams/${spec.stream}"` : quoted(source)}` +
    `,"type":${type === undefined ? madeUpType : quoted(type)}${member("subject", subject)}` +
    `,"time":${time === undefined ? `"${new Date(item.timestamp).toISOString()}"` : quoted(time)}` +
    member("datacontenttype", record.datacontenttype ?? contentTypes[record.kind]) +
    member("dataschema", dataschema) +
    member("partitionkey", key) +
    (tags === undefined ? "" : member("tags", tagsText(tags))) +
    (more === "" ? "" : `,${more}`) +
    `,"millracepartition":${spec.partition},"millraceoffset":"${item.offset}","millraceattempt":${attempt}`
  );
}

/**
 * The data as a member of the event, behind a comma. A string of JSON stands for its text where the content type is not
 * JSON, and a text under a JSON type is not what it is called: both go out as bytes, so that every form says the same.
 */
function writeData(writer: JsonWriter, { kind, data, datacontenttype: type }: Rec): void {
  if (kind === kinds.none) return;
  const asJson = type === undefined ? kind === kinds.json : isJsonType(type);
  if (kind === kinds.json && (asJson || !isString(data))) writer.text(',"data":').copy(data);
  else if (kind === kinds.text && !asJson) writer.text(`,"data":${JSON.stringify(decodeText(data))}`);
  else writer.text(',"data_base64":').base64(data);
}

/** Whether JSON is a string: white space may stand before it. */
const isString = (json: Uint8Array): boolean => json.find((byte) => byte > 32) === 34;

/** A header's value as CloudEvents' HTTP binding writes it: everything but printable ASCII, and space, `"` and `%`, percent-encoded. */
export const encodeHeader = (value: string): string =>
  value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (char) =>
    Array.from(encodeText(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
