import { anyText } from "../../schemas/unicode.ts";
import { known } from "./error.ts";

/**
 * JSON of a value, as `JSON.stringify` has it. What that cannot say, or would turn into something else without a word (NaN and
 * what is undefined in an array into null, a Map or a promise into {}), is refused, by its path from `path` on.
 */
export function jsonOf(value: unknown, path: string): string {
  let text: string;
  let turned: string;
  try {
    text = JSON.stringify(value);
    turned = turnedIn(value);
  } catch (error) {
    throw known("invalid", `${path}: ${error}`);
  }
  if (turned) throw known("invalid", `${path}${turned}, which JSON does not have`);
  return text;
}

/** `Object`, `Array`, `String`, `Number`, `Boolean`, `Null`; or the class. */
export const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** What is turned, and the path to it; empty where nothing is. Members that are undefined are left out, as ever. */
// biome-ignore lint/suspicious/noExplicitAny: it may be anything.
function turnedIn(given: any): string {
  const writes = typeof given?.toJSON === "function" && !ArrayBuffer.isView(given);
  const value = writes ? given.toJSON("") : given;
  const type = typeof value;
  if (type === "number") return Number.isFinite(value) ? "" : ` is ${value}`;
  if (value === null) return given instanceof Date ? " is an invalid Date" : "";
  if (type !== "object") return /^[fu]|ym/.test(type) ? ` is ${type}` : "";
  const isList = Array.isArray(value);
  const items = isList ? Array.from(value) : value;
  const names = Object.keys(items);
  const kind = kindOf(value);
  if ((names.length > 0 ? /^Error|.Array/ : /^(?!(Object|Array)$)/).test(kind)) return ` is a ${kind}`;
  for (const name of names) {
    const item = items[name];
    const turned = isList || item !== undefined ? turnedIn(item) : "";
    if (turned) return `.${name}${turned}`;
  }
  return "";
}

/** A packed field, or a URL, would have something else for what has no UTF-8. Everything else the service tells. */
export function demand(name: string, text: unknown): void {
  const problem = typeof text === "string" ? anyText(text) : "must be a string";
  if (problem !== undefined) throw known("invalid", `${name}: ${problem}`);
}

/** What is left of options when those that there are have been taken: a slip of the pen. */
export function nothing(left: object): void {
  for (const name in left) throw new TypeError(`there is no option '${name}'`);
}

/** Bytes of a text in base64; undefined where it is none. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  } catch {
    return undefined;
  }
}
