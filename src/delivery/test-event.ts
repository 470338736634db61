/** The event by which a receiver is tried: it has no place in the log, so that nobody takes it for a record. Pure. */
import type { PushTarget } from "../../schemas/group.ts";
import { encodeText } from "../lib/bytes.ts";
import { encodeHeader, lowerCase, type PushRequest } from "./push-request.ts";

/** Whose receiver it is. */
export interface Tested {
  readonly namespace: string;
  readonly stream: string;
  readonly group: string;
}

/** The request of a push, in the target's format, with one event of the type `dev.millrace.test`. `now` in ms since 1970. */
export function testRequest(
  { namespace, stream, group }: Tested,
  target: PushTarget,
  id: string,
  now: number,
): PushRequest {
  const event = {
    specversion: "1.0",
    id,
    source: `/v1/${namespace}/streams/${stream}/groups/${group}`,
    type: "dev.millrace.test",
    time: new Date(now).toISOString(),
  };
  const data = { message: "a test of the receiver; no record, and nothing to do" };
  const headers = {
    ...lowerCase(target.headers),
    "user-agent": "Millrace",
    "millrace-group": group,
    "millrace-attempt": "1",
  };
  if (target.format === "binary") {
    const attributes = Object.entries(event).map(([name, value]) => [`ce-${name}`, encodeHeader(value)]);
    const all = { ...headers, ...Object.fromEntries(attributes), "content-type": "application/json" };
    return { id, headers: all, body: encodeText(JSON.stringify(data)) };
  }
  const whole = { ...event, datacontenttype: "application/json", data };
  const [type, body] = target.format === "batch" ? ["-batch", [whole]] : ["", whole];
  const contentType = `application/cloudevents${type}+json`;
  return { id, headers: { ...headers, "content-type": contentType }, body: encodeText(JSON.stringify(body)) };
}
