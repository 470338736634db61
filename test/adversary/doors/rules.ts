/** Which values the documents allow in which field. `either`: they do not say. */
import type { Field, TextField, Way } from "./plan.ts";
import { badTimes, goodTimes } from "./times.ts";
import { byteLength, plain, type Value } from "./values.ts";

export type Verdict = "yes" | "no" | "either";

/** What `GET /v1/config` says; these are asked for and compared when a round begins. */
export const limitsKnown = {
  keyBytesMax: 1024,
  attributeBytesMax: 4096,
  tagBytesMax: 128,
  tagsMax: 32,
  extensionsMax: 64,
  recordBytesMax: 1_000_000,
  producerIdBytesMax: 128,
  fenceBytesMax: 64,
  memberBytesMax: 128,
  reasonBytesMax: 1024,
  nameCharsMax: 128,
} as const;

/** Names that no extension may have, and what begins with `millrace`. */
export const reserved = new Set(
  (
    "id source specversion type subject time datacontenttype dataschema data partitionkey tags key partition offset " +
    "timestamp"
  ).split(" "),
);

const isControl = (code: number) => code < 0x20 || (code >= 0x7f && code < 0xa0);

const isNoncharacter = (code: number) => (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;

/** A String of CloudEvents. */
function isString(text: string): boolean {
  const codes = [...text].map((char) => char.codePointAt(0) as number);
  return text.isWellFormed() && !codes.some((code) => isControl(code) || isNoncharacter(code));
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t \\x21-\\x7e])*"';
const mediaType = new RegExp(`^${token}/${token}(?:[ \\t]*;[ \\t]*(?:${token}=(?:${token}|${quoted}))?)*$`);
/** Of RFC 9110 too, but few would miss it: octets above ASCII in quotes, and blanks at the ends. */
const isOdderMediaType = (text: string) => [...text].some((char) => char > "\x7f") || /^\s|\s$|;\s*(;|$)/.test(text);

export function textVerdict(field: Exclude<Field, "name">, text: string): Verdict {
  if (field === "key" || field === "tags") return text.isWellFormed() ? "yes" : "no";
  if (!isString(text)) return "no";
  switch (field) {
    case "source":
      return text.includes(" ") ? "no" : /\s/.test(text) ? "either" : "yes";
    case "dataschema":
      return !/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) || text.includes(" ") ? "no" : /\s/.test(text) ? "either" : "yes";
    case "time":
      return (goodTimes as readonly string[]).includes(text) ? "yes" : "no";
    case "datacontenttype":
      if (isOdderMediaType(text)) return text.includes("/") ? "either" : "no";
      return mediaType.test(text) ? "yes" : "no";
    default:
      return "yes";
  }
}

const most = (field: TextField | "value") =>
  field === "key"
    ? limitsKnown.keyBytesMax
    : field === "tags"
      ? limitsKnown.tagBytesMax
      : limitsKnown.attributeBytesMax;

function nameVerdict(value: Value): Verdict {
  const name = plain(value);
  if (name === undefined || !/^[a-z0-9]+$/.test(name)) return "no";
  if (reserved.has(name) || name.startsWith("millrace")) return "no";
  return name.length > 20 ? "either" : "yes";
}

/** A literal of JSON, where an extension's value stands: a boolean or an integer of 32 bits. */
function literalVerdict(json: string): Verdict {
  if (json === "true" || json === "false") return "yes";
  if (json === "null") return "either";
  if (!/^-?\d/.test(json)) return "no";
  const number = Number(json);
  if (!Number.isInteger(number) || Math.abs(number) > 2 ** 31) return "no";
  return number === 2 ** 31 ? "no" : /^-?\d+$/.test(json) && json !== "-0" ? "yes" : "either";
}

export function verdict(field: Field, value: Value, way: Way): Verdict {
  if (field === "name") return nameVerdict(value);
  if (value.json !== undefined) return field === "value" ? literalVerdict(value.json) : "no";
  // The platform puts U+FFFD there before anybody can refuse it.
  if (value.bytes !== undefined) return way === "socket" ? "either" : "no";
  if (byteLength(value) === 0) return "no";
  if (byteLength(value) > most(field)) return "no";
  return textVerdict(field, plain(value) as string);
}

/** Every time that is tried has its place in one of the lists. */
export const timeValues: readonly Value[] = [...goodTimes, ...badTimes].map((text) => ({ name: text, text }));
