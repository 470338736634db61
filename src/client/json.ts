import { anyText } from "../../schemas/unicode.ts";
import { known } from "./error.ts";

/**
 * JSON of a value, as `JSON.stringify` has it. What that would turn into something else without a word (NaN into null, a Map
 * or a promise into {}) is refused, by its path from `path` on.
 */
export function jsonOf(value: unknown, path: string): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`${path}: must be JSON`);
  // What was turned shows in the text. Most have neither, and are not gone through.
  const turned = text.includes("null") || text.includes("{}") ? turnedIn(value) : "";
  if (turned) throw known("invalid", `${path}${turned}, which JSON does not have`);
  return text;
}

/** What is turned, and the path to it; empty where nothing is. */
function turnedIn(value: unknown): string {
  if (typeof value === "number") return Number.isFinite(value) ? "" : ` is ${value}`;
  if (!value || typeof value !== "object" || "toJSON" in value) return "";
  const names = Object.keys(value);
  for (const name of names) {
    const turned = turnedIn(value[name as keyof typeof value]);
    if (turned) return `.${name}${turned}`;
  }
  if (names.length > 0 || Array.isArray(value)) return "";
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  return kind === "Object" ? "" : ` is a ${kind}`;
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
