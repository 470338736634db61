/** What a client of a stream sends on its socket: understood, and its records taken in. */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";
import { binaryTerms, type ClientMessage, clientMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { check, partOf } from "../lib/check.ts";
import { appendHeaderBytes, kinds } from "../log/message.ts";
import type { Rec } from "../log/record.ts";
import { type Checked, pack, type Taken, takeFrames, takeKnown } from "./intake.ts";
import { recordList } from "./json.ts";
import { type IntakeConfig, toRecord } from "./record.ts";

type AppendMessage = Extract<ClientMessage, { type: "append" }>;
export type MessageTerms = Omit<AppendMessage, "type" | "id" | "records">;

/** Records in the form in which they came. `terms` are undefined where it has none. */
export type MessageAppend = {
  readonly type: "append";
  readonly id: number;
  readonly terms: MessageTerms | undefined;
  /** Why it is not taken, unless it is known. */
  readonly refused?: Refusal;
} & ({ readonly records: readonly Rec[] } | { readonly frames: readonly Checked[] });

export type Message = Exclude<ClientMessage, AppendMessage> | MessageAppend;

/** Why a message cannot be taken. With an id it is the append that is refused; without one it is no message at all. */
export interface Unfit {
  readonly ok: false;
  readonly refusal: Refusal;
  readonly id?: number;
}

/**
 * Reads what came at once: a binary message, or texts, each on a line of its own. Calls `take` with each, in order, until it
 * says false.
 */
export function readMessages(
  message: string | ArrayBuffer,
  config: IntakeConfig & { readonly batchBytesMax: number },
  now: number,
  take: (read: Result<Message> | Unfit) => boolean,
): void {
  const limit = config.batchBytesMax;
  const length = typeof message === "string" ? message.length : message.byteLength;
  const refused = refuse("body-too-large", `a message has at most ${limit} bytes; send less at a time`);
  if (length > limits.batchBytesMax) take(refused);
  else if (length > limit) {
    const wide = { ...config, batchBytesMax: limits.batchBytesMax };
    readMessages(message, wide, now, (read) =>
      take(isNumbered(read) ? ok({ ...read.value, refused: refused.refusal }) : refused),
    );
  } else if (typeof message !== "string") take(readBinary(new Uint8Array(message), config, now));
  else {
    for (let at = 0, end = 0; end >= 0; at = end + 1) {
      end = message.indexOf("\n", at);
      const line = end < 0 ? message.slice(at) : message.slice(at, end);
      if (line !== "" && !take(readText(line, config, now))) return;
    }
  }
}

/** One that may be the repeat of what was taken before a limit was lowered. */
const isNumbered = (read: Result<Message> | Unfit): read is { readonly ok: true; readonly value: MessageAppend } =>
  read.ok && read.value.type === "append" && read.value.terms?.producer !== undefined;

/** The frames of an append, and, if so, why it is not taken unless it is known. */
export function packedOf(message: MessageAppend, config: IntakeConfig, now: number): Result<Taken<readonly Checked[]>> {
  const packed =
    "frames" in message
      ? ok({ taken: message.frames })
      : takeKnown(config, (rules) => pack(message.records, rules, now));
  if (!packed.ok || message.refused === undefined) return packed;
  return ok({ ...packed.value, refused: message.refused });
}

function readText(text: string, config: IntakeConfig, now: number): Result<Message> | Unfit {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (text.startsWith("\ufeff")) return refuse("bad-json", "the message begins with a byte order mark; leave it out");
    return refuse("bad-json", `the message is not JSON: ${(error as Error).message}`);
  }
  const plain = isPlainAppend(value);
  const checked = plain ? ok(value as ClientMessage) : check(clientMessage, value, "message", "JSON");
  if (!checked.ok) return checked;
  if (checked.value.type !== "append") return checked as Result<Message>;
  const { type, id, records: list, ...terms } = checked.value;
  const records = (plain && canonical(list[0], text, config, now)) || recordList(list, encodeText(text), config, now);
  if (!records.ok) return { ...records, id };
  return ok({ type, id, records: records.value, terms: plain ? undefined : terms });
}

/**
 * The record of a plain append whose text ends as JSON would be printed: then its data's bytes are known without looking for
 * them. Undefined where it does not.
 */
function canonical(value: unknown, text: string, config: IntakeConfig, now: number): Result<Rec[]> | undefined {
  const data = (value as { data?: unknown } | null)?.data;
  if (data === undefined) return undefined;
  const printed = typeof data === "string" ? lastString(text, data) : lastValue(text, data);
  if (printed === undefined) return undefined;
  const record = toRecord(value, encodeText(printed), config, now, "records.0");
  return record.ok ? ok([record.value]) : partOf(record, ["records", 0]);
}

/**
 * The text of data that are a string, where it is the last thing in a message and has no escapes: it is then as long as the
 * string and its quotes, and with anything more beside it, it would be longer.
 */
function lastString(text: string, data: string): string | undefined {
  const at = text.indexOf('"data":"');
  if (at < 0 || !text.endsWith('"}]}')) return undefined;
  const printed = text.slice(at + '"data":'.length, -"}]}".length);
  return printed.length === data.length + 2 ? printed : undefined;
}

/** The text of other data. A name that stands twice is told by its second place, which is the one that JSON.parse takes. */
function lastValue(text: string, data: unknown): string | undefined {
  try {
    const printed = JSON.stringify(data);
    return text.endsWith(`"data":${printed}}]}`) ? printed : undefined;
  } catch {
    // Deeper than the printer goes, which the parser does.
    return undefined;
  }
}

/** An append that asks for nothing besides is passed without the schema's cost. */
function isPlainAppend(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { type, id, records } = value as Partial<AppendMessage>;
  if (type !== "append" || !Array.isArray(records) || records.length !== 1) return false;
  if (typeof id !== "number" || !(id >= 0 && id <= 0xffffffff) || !Number.isInteger(id)) return false;
  return Object.keys(value).length === 3;
}

function readBinary(bytes: Uint8Array, config: IntakeConfig, now: number): Result<Message> | Unfit {
  if (bytes.length < appendHeaderBytes || bytes[0] !== kinds.append || bytes[1] !== 0) {
    return refuse("bad-frame", "a binary message begins with its kind: 1 is an append, and there is no other");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const id = view.getUint32(4, true);
  const from = appendHeaderBytes + view.getUint16(2, true);
  if (from > bytes.length) return refuse("bad-frame", "the terms of the append are cut off");
  const terms = readTerms(bytes.subarray(appendHeaderBytes, from));
  if (!terms.ok) return terms;
  const frames = takeKnown(config, (rules) => takeFrames(bytes.subarray(from), rules, now));
  if (!frames.ok) return { ...frames, id };
  const { taken, ...refused } = frames.value;
  return ok({ type: "append", id, frames: taken, terms: terms.value, ...refused });
}

function readTerms(bytes: Uint8Array): Result<MessageTerms | undefined> {
  if (bytes.length === 0) return ok(undefined);
  let value: unknown;
  try {
    value = JSON.parse(decodeText(bytes));
  } catch (error) {
    return refuse("bad-json", `the terms of the append are not JSON: ${(error as Error).message}`);
  }
  return check(binaryTerms, value, "terms", "JSON");
}
