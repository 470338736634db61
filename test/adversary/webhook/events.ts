/** A push as CloudEvents has it, in each of the three modes. */
import type { Json } from "../frame/http.ts";
import type { Received } from "../frame/receiver.ts";
import type { Format } from "./plan.ts";

/** An event as it came: attributes as texts, data as bytes where the mode keeps them apart. */
export interface Event {
  readonly attributes: Readonly<Record<string, string>>;
  readonly place: string;
  readonly attempt: number;
  /** `binary`: the body itself. Otherwise undefined: they are looked for in the body's text. */
  readonly data: Buffer | undefined;
  readonly json: Json;
}

export function eventsOf(request: Received, format: Format): Event[] {
  if (format === "binary") return [binary(request)];
  const parsed = JSON.parse(request.body.toString("utf8")) as Json;
  const list = format === "batch" ? (parsed as Json[]) : [parsed];
  return list.map(structured);
}

function binary({ headers, body }: Received): Event {
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith("ce-")) attributes[name.slice(3)] = decodeURIComponent(String(value));
  }
  if (headers["content-type"] !== undefined) attributes.datacontenttype = headers["content-type"];
  return { attributes, data: body, json: undefined, ...placed(attributes) };
}

function structured(event: Json): Event {
  const attributes: Record<string, string> = {};
  for (const [name, value] of Object.entries(event)) {
    if (name !== "data" && name !== "data_base64") attributes[name] = String(value);
  }
  return { attributes, data: undefined, json: event, ...placed(attributes) };
}

function placed(attributes: Readonly<Record<string, string>>): { place: string; attempt: number } {
  const { millracepartition, millraceoffset, millraceattempt } = attributes;
  return { place: `${millracepartition}.${millraceoffset}`, attempt: Number(millraceattempt) };
}
