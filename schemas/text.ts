/**
 * What the texts of a record may hold, decided once for every door: the schemas, the inspection of packed frames and the
 * intake of events ask here. A rule answers what is wrong with a text, or nothing. Limits in bytes are in `limits`.
 *
 * Nothing is ever replaced. A key and a tag are the user's own, and any Unicode is carried; attributes keep to the type
 * system of CloudEvents, because receivers may refuse what does not; and what becomes a header, a media type or a URI later
 * is one when it is accepted.
 */
import { timeProblem } from "./time.ts";
import { anyText, type Rule } from "./unicode.ts";

/** A String of CloudEvents: no control characters, and no noncharacters. */
export const attributeText: Rule = (text) => {
  if (/^[ -~]*$/.test(text)) return undefined;
  for (const char of text) {
    const code = char.codePointAt(0) as number;
    if (isControl(code)) return `must have no control characters; it has U+${hex(code)}`;
    if (isNoncharacter(code)) return `must have no noncharacters; it has U+${hex(code)}`;
  }
  return anyText(text);
};

const isControl = (code: number) => code < 32 || (code > 126 && code < 160);
const isNoncharacter = (code: number) => (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
const hex = (code: number) => code.toString(16).toUpperCase().padStart(4, "0");

/** What may stand in a URI, read widely: plain words are references, and so is what only an IRI may hold. */
export const uriReference: Rule = (text) =>
  attributeText(text) ??
  (text.includes(" ") ? "must be a URI-reference; it has a space, which is written %20" : undefined);

export const absoluteUri: Rule = (text) =>
  uriReference(text) ??
  (/^[A-Za-z][A-Za-z0-9+.-]*:./.test(text)
    ? undefined
    : "must be a URI with its scheme, such as https://example.com/order");

/** Where a request can go. What a URL's reader takes away in silence (spaces around it, line ends within) is refused. */
export const webUrl: Rule = (text) =>
  uriReference(text) ??
  (URL.canParse(text) && /^https?:/i.test(text) ? undefined : "must be a URL such as https://example.com/hook");

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = '"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t\\x20-\\x7e])*"';
const media = new RegExp(`^${token}/${token}(?:[ \\t]*;(?:[ \\t]*${token}=(?:${token}|${quoted}))?)*$`);

/** A media type with its parameters, as a Content-Type header has it (RFC 9110). */
export const mediaType: Rule = (text) =>
  media.test(text) ? undefined : "must be a media type such as application/json or text/csv; charset=utf-8";

/** True for `application/json` and every type that is JSON by its suffix. */
export const isJsonType = (type: string): boolean => /^[^;]*[/+]json\s*(;|$)/i.test(type);

/** The rules of a record's text fields. */
export const fieldRules = {
  key: anyText,
  id: attributeText,
  source: uriReference,
  type: attributeText,
  subject: attributeText,
  time: timeProblem,
  datacontenttype: mediaType,
  dataschema: absoluteUri,
} as const satisfies Record<string, Rule>;

/** Attributes of an event as it goes out: no extension may speak for them. */
const ofEvent = new Set([
  "id",
  "source",
  "specversion",
  "type",
  "subject",
  "time",
  "datacontenttype",
  "dataschema",
  "data",
  "partitionkey",
  "tags",
]);
/** Names of a record's place, which it has beside its attributes. */
const ofPlace = new Set(["key", "partition", "offset", "timestamp"]);

/** True for the name of an attribute that an event of Millrace's may have: CloudEvents' own, and what a push adds. */
export const isEventAttribute = (name: string): boolean => ofEvent.has(name) || name.startsWith("millrace");

const name = /^[a-z0-9]{1,64}$/;

/** Of an extension. */
export const extensionName: Rule = (text) => {
  if (!name.test(text)) return "must be 1 to 64 lower-case letters and digits";
  if (isEventAttribute(text) || ofPlace.has(text)) {
    return "is a name of CloudEvents' or Millrace's own; give the extension another";
  }
  return undefined;
};
