import { known, type MillraceError, network, otherwise, problemOf } from "./error.ts";
import { demand, jsonOf, nothing } from "./json.ts";
import { endless, type RetryOptions, retrying } from "./retry.ts";
import { fits, placed, type Shape } from "./shapes.ts";

/** A WebSocket, as far as this library uses it. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: string, listener: (event: never) => void): void;
}

/** How to reach the service. */
export interface MillraceOptions {
  /** Where it is: `https://millrace.example.com`, or with a path before `/v1`. */
  url?: string;
  /**
   * Several doors of one deployment, instead of `url`. Where one does not answer the next one is asked from then on; what may
   * have been done already is not sent to it, unless doing it twice is as once.
   */
  urls?: readonly string[];
  /** A token, or what gives one. */
  token?: string | (() => string | Promise<string>);
  /** A ticket instead, where there should be no token: in a browser. Asked for anew whenever a connection is made. */
  ticket?: string | (() => string | Promise<string>);
  /** Default `default`. */
  namespace?: string;
  retry?: RetryOptions;
  /** Reads what the service sends, whole answers and messages, instead of `JSON.parse`: `withText` of `millrace/options`, or your own. */
  parse?: (text: string) => unknown;
  /** Instead of the global ones; `gzipping` of `millrace/options` makes a `fetch` that compresses. */
  fetch?: (input: string, init?: RequestInit) => Promise<Response>;
  WebSocket?: new (url: string, protocols?: string[]) => SocketLike;
}

export interface Call {
  query?: Record<string, string | number | boolean | readonly string[] | undefined>;
  /** JSON, unless it is bytes. */
  body?: unknown;
  /** JSON that is written already, instead. */
  json?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Doing it twice is as once: it is repeated although the first attempt may have been done. Default for all but POST. */
  safe?: boolean;
  /** An answer has verdicts on so many records, or it is none. */
  records?: number | undefined;
  /** Of an answer whose body is anything: the header that has its JSON. */
  header?: string;
  /** Its answer has begun, and goes on: set by `json`. */
  begun?: boolean;
  /** The last answer: set by `json`. */
  response?: Response;
}

/** Requests to one namespace of one service. */
export class Http {
  /** Doors, the one that is asked first. */
  readonly #bases: string[];

  constructor(readonly options: MillraceOptions) {
    const { url, urls, namespace = "default", token, ticket, retry = {}, parse, fetch, WebSocket, ...left } = options;
    const { attempts, initialMs, maxMs, onRetry, ...others } = retry;
    nothing({ ...left, ...others });
    this.#bases = [urls?.length ? urls : url].flat().map((one) => {
      const base = `${one}`.replace(/\/+$/, "");
      if (!/^https?:\/\/[^/?#@]+(\/[^?#]*)?$/.test(base) || !URL.canParse(base))
        throw new TypeError(`url, urls: must be http(s)://host:port/path, not '${one}'`);
      return `${base}/v1/${encodeURIComponent(namespace)}`;
    });
  }

  /** Where it is asked now. */
  get base(): string {
    return this.#bases[0];
  }

  /** It did not answer there: another door is next, unless somebody else has turned to it. */
  turn(base: string): void {
    if (base === this.base) this.#bases.push(this.#bases.shift() as string);
  }

  /**
   * Sends it until it is answered, as far as that is safe, and gives the answer's JSON. What has not the shape (`shapes.ts`) is
   * no answer; without one that is 204.
   */
  json<T>(method: string, path: string, shape: Shape, call: Call = {}): Promise<T> {
    const { safe = method !== "POST", signal } = call;
    const may = (error: MillraceError) => {
      // It may have been done: what the next attempt does not find any more is no mistake.
      if (!error.clean) call.headers = { ...call.headers, "millrace-repeat": "true" };
      return this.mayPass(error) && (safe || error.clean);
    };
    return retrying(() => this.jsonOnce<T>(method, path, shape, call), this.options.retry, signal, may);
  }

  /** Deletes what may have been deleted, which is answered with this code. */
  async gone(path: string, code: string, call?: Call): Promise<void> {
    await this.json("DELETE", path, undefined, call).catch((error) => {
      if (error.code !== code) throw error;
    });
  }

  /** The same may succeed later; also where it was the ticket, and another is to be had. */
  readonly mayPass = ({ retryable, code }: MillraceError): boolean =>
    retryable || (code === "ticket-expired" && typeof this.#given === "function");

  /** Everything of a list, page by page. */
  async *list<T>(path: string, name: string, query?: Call["query"]): AsyncGenerator<T, void, undefined> {
    let after: string | undefined;
    do {
      const page = await this.json<Record<string, never>>(
        "GET",
        path,
        { [name]: [{}] },
        { query: { ...query, after } },
      );
      yield* page[name] as T[];
      after = page.after;
    } while (after);
  }

  /** One attempt. An answer that is cut off is none, nor is one of something in between. */
  async jsonOnce<T>(method: string, path: string, shape: Shape, call: Call): Promise<T> {
    const { parse } = this.options;
    const { header, signal } = call;
    const response = await this.once(method, path, call);
    call.response = response;
    call.begun = true;
    // biome-ignore lint/suspicious/noExplicitAny: what came may be anything.
    let answer: any;
    let text: string | null | undefined;
    try {
      text = header ? response.headers.get(header) : await response.text();
      if (response.status !== 204) answer = (parse ?? JSON.parse)(text as string);
    } catch (error) {
      signal?.throwIfAborted();
      // What a reader of the caller's own does not understand it will not the next time.
      throw parse && text ? error : network(error);
    } finally {
      call.begun = false;
    }
    // What is in between may answer anything, and nobody knows what was done.
    let { records: left } = call;
    if (!fits(answer, shape)) left = 1;
    else if (left)
      for (const name in shape)
        for (const one of answer[name])
          left -= fits(one, /^[ad]/.test(one.verdict) ? placed : { reason: "" }) ? (one.count ?? 1) : endless;
    if (left) throw network(otherwise);
    return answer;
  }

  /** One attempt. */
  async once(method: string, path: string, call: Call): Promise<Response> {
    const { body, json, headers, signal } = call;
    const { fetch = globalThis.fetch } = this.options;
    const bytes = body instanceof Uint8Array || body instanceof Blob;
    // What is no JSON is the caller's mistake, and not the network's.
    const whole = json ?? (bytes || body === undefined ? body : jsonOf(body, "body"));
    const secret = await this.credentials();
    const sent = {
      ...(secret !== undefined && { authorization: `Bearer ${secret}` }),
      ...(typeof whole === "string" && { "content-type": "application/json" }),
      ...headers,
    };
    // Nor is what no header can carry.
    for (const [name, value] of Object.entries(sent))
      if (/[^\t -~]/.test(value)) throw known("invalid", `${name}: must be visible ASCII`);
    const url = path + queryText(call.query);
    const { base } = this;
    // A URL takes them for steps, which lead out of what was asked for.
    if (/\/\.\.?(\/|$)/.test(base.slice(8) + path)) throw known("invalid", `${path}: '.' and '..' are no names`);
    let response: Response;
    try {
      response = await fetch(base + url, {
        method,
        headers: sent,
        body: whole as BodyInit | null,
        signal: signal as AbortSignal | null,
      });
    } catch (error) {
      signal?.throwIfAborted();
      this.turn(base);
      throw network(error);
    }
    // It is away behind a proxy, or cannot answer there.
    if (response.status > 501) this.turn(base);
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  get #given() {
    return this.options.ticket ?? this.options.token;
  }

  async credentials(): Promise<string | undefined> {
    const given = this.#given;
    // From a file it comes with the end of its line.
    return (typeof given === "function" ? await given() : given)?.trim();
  }

  /** A socket that is about to open; undefined where this place has none. */
  async socket(path: string): Promise<SocketLike | undefined> {
    const { WebSocket = (globalThis as Pick<MillraceOptions, "WebSocket">).WebSocket } = this.options;
    if (WebSocket === undefined) return undefined;
    const secret = await this.credentials();
    const protocols = ["millrace.v1"];
    // A ticket may stand under this name, too.
    if (secret !== undefined) protocols.push(`millrace.token.${base64Url(secret)}`);
    return new WebSocket(this.base.replace(/^http/, "ws") + path, protocols);
  }
}

/** Behind a path: what is given. */
export function queryText(query: Call["query"] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value ?? []].flat()) {
      demand(name, String(one));
      parameters.append(name, String(one));
    }
  }
  const text = parameters.toString();
  return text && `?${text}`;
}

function base64Url(text: string): string {
  const binary = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
