/** Pushing over HTTP: what is sent, in which form, and what an answer means. Pure: signing and sending are the shell's. */
import ipaddr from "ipaddr.js";
import type { PushTarget } from "../../schemas/group.ts";
import { decodeText, encodeText, isText } from "../lib/bytes.ts";
import { decodeRecord, kinds, type Rec } from "../log/record.ts";
import type { Leased } from "./delivery.ts";
import type { DeliverySpec } from "./spec.ts";

/** A request to a receiver, without its signature. */
export interface PushRequest {
  /** The same at every attempt: the receiver's handle for deduplication. */
  readonly id: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** The delivery's id: of a record, the same at every attempt and after every restart. */
export const deliveryId = (groupId: string, partition: number, offset: number | ""): string =>
  `${groupId}.${partition}.${offset}`;

/** The request for some records; several only in the batched mode. */
export function pushRequest(spec: DeliverySpec, leased: readonly Leased[]): PushRequest {
  const target = spec.config.push as PushTarget;
  const [first] = leased;
  const last = leased[leased.length - 1];
  const id = deliveryId(spec.groupId, spec.partition, first.item.offset);
  const common = {
    ...target.headers,
    "user-agent": "Millrace",
    "millrace-group": spec.group,
    "millrace-attempt": String(first.attempt),
  };
  if (target.format === "batch") {
    const body = encodeText(`[${leased.map((one) => JSON.stringify(eventOf(spec, one))).join(",")}]`);
    const headers = { ...common, "content-type": "application/cloudevents-batch+json" };
    return { id: first === last ? id : `${id}-${last.item.offset}`, headers, body };
  }
  if (target.format === "structured") {
    const headers = { ...common, "content-type": "application/cloudevents+json" };
    return { id, headers, body: encodeText(JSON.stringify(eventOf(spec, first))) };
  }
  const record = recordOf(first);
  const headers: Record<string, string> = { ...common };
  for (const [name, value] of Object.entries(attributesOf(spec, first, record))) {
    if (name !== "datacontenttype") headers[`ce-${name}`] = encodeHeader(String(value));
  }
  const type = record.datacontenttype ?? contentTypes[record.kind];
  if (type !== undefined) headers["content-type"] = type;
  return { id, headers, body: record.data };
}

const contentTypes = [undefined, "application/json", "text/plain; charset=UTF-8", "application/octet-stream"] as const;

const recordOf = ({ item }: Leased): Rec => decodeRecord(item.bytes, item.from, item.to);

/** CloudEvents attributes. What a record lacks of the required ones is made up from its place, the same every time. */
function attributesOf(spec: DeliverySpec, { item, attempt }: Leased, record: Rec): Record<string, unknown> {
  const type = record.datacontenttype ?? contentTypes[record.kind];
  return {
    specversion: "1.0",
    id: record.id ?? deliveryId(spec.logId, spec.partition, item.offset),
    source: record.source ?? `/v1/${spec.namespace}/streams/${spec.stream}`,
    type: record.type ?? "dev.millrace.record",
    ...(record.subject === undefined ? {} : { subject: record.subject }),
    time: record.time ?? new Date(item.timestamp).toISOString(),
    ...(type === undefined ? {} : { datacontenttype: type }),
    ...(record.dataschema === undefined ? {} : { dataschema: record.dataschema }),
    ...(record.key === undefined ? {} : { partitionkey: record.key }),
    ...(record.tags === undefined ? {} : { tags: record.tags.join(",") }),
    ...record.extensions,
    millracepartition: spec.partition,
    millraceoffset: String(item.offset),
    millraceattempt: attempt,
  };
}

function eventOf(spec: DeliverySpec, leased: Leased): Record<string, unknown> {
  const record = recordOf(leased);
  return { ...attributesOf(spec, leased, record), ...dataOf(record) };
}

/** Data in CloudEvents' JSON: as JSON, as text, or in base64. Data that are not what they are called are binary. */
function dataOf({ kind, data }: Rec): Record<string, unknown> {
  if (kind === kinds.none) return {};
  if (kind === kinds.json) {
    try {
      return { data: JSON.parse(decodeText(data)) };
    } catch {
      return { data_base64: base64(data) };
    }
  }
  if (kind === kinds.text && isText(data)) return { data: decodeText(data) };
  return { data_base64: base64(data) };
}

export function base64(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8_192) binary += String.fromCharCode(...bytes.subarray(i, i + 8_192));
  return btoa(binary);
}

/** A header's value as CloudEvents' HTTP binding writes it: everything but printable ASCII, and space, `"` and `%`, percent-encoded. */
const encodeHeader = (value: string): string =>
  value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (char) =>
    Array.from(encodeText(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );

/** What an answer means for the records, and for the receiver. */
export type Outcome =
  | { readonly is: "done" }
  /** 410: nothing more is to be sent. */
  | { readonly is: "gone" }
  /** The receiver has too much to do, and the records are not to blame; for so long, where it says that. */
  | { readonly is: "busy"; readonly afterMs: number | undefined; readonly reason: string }
  | { readonly is: "failed"; readonly reason: string };

const busyMsMax = 3_600_000;

export function outcomeOf(status: number, retryAfter: string | null, now: number): Outcome {
  if (status >= 200 && status < 300) return { is: "done" };
  if (status === 410) return { is: "gone" };
  const afterMs = retryAfterMs(retryAfter, now);
  if (status === 429 || (status === 503 && afterMs !== undefined)) {
    // Now, or in the past: it does not say for how long.
    return {
      is: "busy",
      afterMs: afterMs === undefined || afterMs <= 0 ? undefined : afterMs,
      reason: `HTTP ${status}`,
    };
  }
  if (status >= 300 && status < 400) {
    return { is: "failed", reason: `HTTP ${status}: redirects are not followed; set the url to where it leads` };
  }
  return { is: "failed", reason: `HTTP ${status}` };
}

/** Seconds, a fraction of them too, or a date in one of the three forms of RFC 9110; undefined where it is neither. An hour at most. */
export function retryAfterMs(text: string | null, now: number): number | undefined {
  const trimmed = (text ?? "").trim();
  const seconds = /^\d+(\.\d+)?$/.test(trimmed) ? Math.ceil(Number(trimmed)) * 1_000 : undefined;
  const ms = seconds ?? dateMs(trimmed, now) - now;
  return Number.isNaN(ms) ? undefined : Math.min(ms, busyMsMax);
}

const days = "(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?";
const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const month = `(?<month>${months.join("|")})`;
const time = "(?<time>\\d\\d:\\d\\d:\\d\\d)";
const dates = [
  new RegExp(`^${days}, (?<day>\\d\\d) ${month} (?<year>\\d{4}) ${time} GMT$`),
  new RegExp(`^${days}, (?<day>\\d\\d)-${month}-(?<year>\\d\\d) ${time} GMT$`),
  new RegExp(`^${days} ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`),
];

/** A date of HTTP, in ms since 1970; NaN where it is none. A year of two digits that is far ahead is one of the past. */
function dateMs(text: string, now: number): number {
  const found = dates.map((form) => form.exec(text)?.groups).find((groups) => groups !== undefined);
  if (found === undefined) return Number.NaN;
  const { day, month, year, time } = found;
  const number = String(months.indexOf(month) + 1).padStart(2, "0");
  const at = (year: number) => Date.parse(`${year}-${number}-${day.trim().padStart(2, "0")}T${time}Z`);
  if (year.length === 4) return at(Number(year));
  const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100;
  const full = century + Number(year);
  return at(full > new Date(now).getUTCFullYear() + 50 ? full - 100 : full);
}

/** Why a target is not to be called, if so. Names that resolve to private addresses are the network's to refuse. */
export function targetProblem(target: string, privateTargets: boolean): string | undefined {
  let url: URL;
  try {
    url = new URL(target);
  } catch {
    return "the url is not valid";
  }
  if (url.username !== "" || url.password !== "") return "the url must not hold credentials; use push.headers";
  if (privateTargets) return undefined;
  if (url.protocol !== "https:") return "the url must be https";
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.+$/, "");
  if (ipaddr.isValid(host)) {
    const range = rangeOf(host);
    if (range !== "unicast") return `the address ${host} is ${range}; only public addresses may be called`;
  } else if (privateNames.test(host) || !host.includes(".")) {
    return `the name ${host} is not a public one`;
  }
  return undefined;
}

/** Names that no public server has: those of RFC 6761 and 6762, and what networks call their own. */
const privateNames =
  /(^|\.)(localhost|localdomain|local|internal|intranet|private|corp|home|lan|home\.arpa|svc|test|example|invalid|onion)$/i;

/** What an address is for. One that has an IPv4 address in it is judged by that, however it is written. */
function rangeOf(host: string): string {
  const address = ipaddr.process(host);
  if (address.kind() === "ipv4") return address.range();
  const bytes = address.toByteArray();
  // `::a.b.c.d`: what was meant for machines that speak both, and is not in use.
  if (bytes.slice(0, 12).every((byte) => byte === 0))
    return address.range() === "unicast" ? "ipv4Compatible" : address.range();
  return address.range();
}
