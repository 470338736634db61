/** Requests to a store that speaks S3: signed, sent once, and either done or a fault. */
import { AwsV4Signer } from "aws4fetch";
import { hex } from "../lib/bytes.ts";
import { checkKey } from "./blobs.ts";
import { Fault, messageOf } from "./patience.ts";
import { textOf } from "./s3-xml.ts";
import { sha256 } from "./sha256.ts";

export interface S3Store {
  /** With or without a path. Buckets are addressed by path. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** The way to it, where that is not everybody's. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

export interface S3Request {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** None for a request to the bucket. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | { readonly stream: ReadableStream<Uint8Array>; readonly length: number };
}

/** 400 is what S3 answers where a body did not come in time. */
const passingStatus = [408, 429, 500, 502, 503, 504];
const passingCodes = [
  "ConditionalRequestConflict",
  "InternalError",
  "OperationAborted",
  "RequestTimeout",
  "ServiceUnavailable",
  "SlowDown",
];

export const isPassing = (code: string | undefined): boolean => code !== undefined && passingCodes.includes(code);

/** What sends one request. Resolves with an answer of success, whose body is unread; all else is a Fault. */
export function s3Requests(store: S3Store): (request: S3Request, signal: AbortSignal) => Promise<Response> {
  const { region, accessKeyId, secretAccessKey, fetch: way = (url, init) => fetch(url, init) } = store;
  const root = `${store.endpoint.replace(/\/+$/, "")}/${quoted(store.bucket)}`;
  const cache = new Map<string, ArrayBuffer>();

  return async ({ method, key, query = {}, headers, body }, signal) => {
    const url = `${root}${pathOf(key)}${searchOf(query)}`;
    const content = body === undefined || body instanceof Uint8Array ? body : body.stream;
    // The store checks what is hashed; a stream cannot be, before it is sent.
    const hash =
      content instanceof ReadableStream ? "UNSIGNED-PAYLOAD" : hex(await sha256(content ?? new Uint8Array(0)));
    const signer = new AwsV4Signer({
      method,
      url,
      headers: { ...headers, "x-amz-content-sha256": hash },
      accessKeyId,
      secretAccessKey,
      service: "s3",
      region,
      cache,
    });
    const signed = (await signer.sign()).headers;
    // Not signed, for proxies change it: bytes and their ranges must come as they are.
    signed.set("accept-encoding", "identity");
    let response: Response;
    try {
      response = await way(url, { ...bodyOf(body, signed), method, headers: signed, signal, redirect: "manual" });
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      throw new Fault(`no answer: ${reasonOf(cause)}`, true, { cause });
    }
    if (response.ok) return response;
    throw await refusalOf(response);
  };
}

const quoted = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

function pathOf(key: string | undefined): string {
  if (key === undefined) return "";
  checkKey(key);
  return `/${key.split("/").map(quoted).join("/")}`;
}

function searchOf(query: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${quoted(name)}=${quoted(value)}`);
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

/** A store wants the length beforehand. workerd takes it from the stream, Node from the header. */
function bodyOf(body: S3Request["body"], headers: Headers): RequestInit {
  if (body === undefined || body instanceof Uint8Array) return { body };
  const { stream, length } = body;
  if (length === 0) {
    // Some stacks would send it in chunks after all.
    stream.cancel().catch(() => {});
    return { body: new Uint8Array(0) };
  }
  if (typeof FixedLengthStream !== "undefined") return { body: stream.pipeThrough(new FixedLengthStream(length)) };
  headers.set("content-length", String(length));
  return { body: stream, duplex: "half" } as RequestInit;
}

async function refusalOf(response: Response): Promise<Fault> {
  const { status } = response;
  const said = await response.text().catch(() => "");
  const code = textOf(said, "Code");
  const message = textOf(said, "Message")?.slice(0, 200);
  const why = `${status}${code === undefined ? "" : ` ${code}`}${message === undefined ? "" : `: ${message}`}`;
  return new Fault(why, passingStatus.includes(status) || isPassing(code), { status, code });
}

/** Node says only that it failed, and why in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `${messageOf(error)}: ${cause.message}` : messageOf(error);
}
