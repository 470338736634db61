/** JSON whose numbers stay as they are written, where a value would not be written so: of 20 digits, beyond what a double holds, `1.10`. */
interface ExactJson {
  parse(
    text: string,
    reviver: (name: string, value: unknown, context?: { readonly source?: string }) => unknown,
  ): unknown;
  /** Node has it from 22 on, and the browsers since 2024; where it is not, numbers are what `JSON.parse` makes of them. */
  rawJSON?(text: string): object;
}
const json = JSON as unknown as ExactJson;

/** A value of which `JSON.stringify` writes the same numbers. Throws as `JSON.parse` does. */
export const parseExactly = (text: string): unknown =>
  json.parse(text, (_, value, { source } = {}) =>
    typeof value === "number" && source !== undefined && String(value) !== source && json.rawJSON !== undefined
      ? json.rawJSON(source)
      : value,
  );
