/**
 * Data as they came. What the library parses is a value, and no longer the text: numbers above 2^53 are rounded, of equal
 * names one is left, and what is nested deeply cannot be written again. So here an answer has the data of its records
 * replaced by their text, as a string, before the library sees it; what is appended goes out as bytes.
 */
import { Millrace, type MillraceOptions, type SocketLike, type StoredRecord } from "../client/index.ts";
import { RawJson, withSpace } from "../intake/raw-json.ts";
import { decodeText, encodeText } from "../lib/bytes.ts";

/** A record whose data, where they are JSON, are that text. */
export type Exact = StoredRecord<string | undefined>;

/** Where answers and messages have records. */
const lists = new Set(["records", "deliveries", "letters"]);
const [openBracket, openBrace] = [91, 123];

/** The same client, whose records are `Exact`. */
export function exactly(millrace: Millrace): Millrace {
  const { options } = millrace.http;
  const { fetch = globalThis.fetch } = options;
  const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: MillraceOptions["WebSocket"] }).WebSocket;
  return new Millrace({
    ...options,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (!response.ok || !/^application\/json\b/.test(response.headers.get("content-type") ?? "")) return response;
      return new Response(quoted(await response.text()), { status: response.status });
    },
    ...(WebSocket === undefined ? {} : { WebSocket: quoting(WebSocket) }),
  });
}

type Socket = NonNullable<MillraceOptions["WebSocket"]>;

function quoting(WebSocket: Socket): Socket {
  return class extends WebSocket implements SocketLike {
    override addEventListener(type: string, listener: (event: never) => void): void {
      const told = ({ data }: { data: string }) => listener({ data: quoted(data) } as never);
      super.addEventListener(type, type === "message" ? (told as never) : listener);
    }
  };
}

/** A JSON text in which the data of each record are a string, their text. What is no JSON stays as it is. */
export function quoted(text: string): string {
  if (!text.includes('"data"')) return text;
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  const bytes = encodeText(text);
  let [written, done] = ["", 0];
  const quote = (from: number, to: number) => {
    written += decodeText(bytes, done, from) + JSON.stringify(decodeText(bytes, from, to));
    done = to;
  };
  if (firstOf(bytes) !== openBrace) return text;
  new RawJson(bytes).members((name, from) => {
    if (lists.has(name) && bytes[from] === openBracket) eachData(bytes, from, quote);
  });
  return written + decodeText(bytes, done);
}

const firstOf = (bytes: Uint8Array) => bytes.find((byte) => byte > 32);

/** Visits the data of the records in the list at `from`, with the white space that they have around them: the service adds none. */
function eachData(bytes: Uint8Array, from: number, visit: (from: number, to: number) => void): void {
  const reader = new RawJson(bytes);
  reader.at = from;
  reader.elements(() => {
    if (bytes[reader.at] !== openBrace) reader.value();
    else reader.members((name, from, to) => name === "data" && visit(...withSpace(bytes, from, to)));
  });
}

/** JSON has line ends only between its tokens. */
export const oneLine = (json: string): string => json.replaceAll("\n", " ").replaceAll("\r", " ");

/** A record as one line of JSON: what `read --json` prints. */
export function jsonOf({ data, ...fields }: Exact): string {
  const text = JSON.stringify(fields);
  return data === undefined ? text : `${text.slice(0, -1)},"data":${oneLine(data)}}`;
}

/** Data that are a text, as that text. Undefined for all others, and for one that has no UTF-8. */
export function textOf(data: string | undefined): string | undefined {
  if (data === undefined || !/^\s*"/.test(data)) return undefined;
  const text = JSON.parse(data) as string;
  return text.isWellFormed() ? text : undefined;
}
