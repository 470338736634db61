import { type MillraceError, network, problemOf } from "./error.ts";
import { type RetryOptions, retrying } from "./retry.ts";

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
  url: string;
  /** A token, or what gives one. */
  token?: string | (() => string | Promise<string>);
  /** A ticket instead, where there should be no token: in a browser. Asked for anew whenever a connection is made. */
  ticket?: string | (() => string | Promise<string>);
  /** Default `default`. */
  namespace?: string;
  retry?: RetryOptions;
  /** Instead of the global ones. */
  fetch?: (input: string, init?: RequestInit) => Promise<Response>;
  WebSocket?: new (url: string, protocols?: string[]) => SocketLike;
}

export interface Call {
  query?: Record<string, string | number | boolean | readonly string[] | undefined>;
  /** JSON, unless it is bytes. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Doing it twice is as once: it is repeated although the first attempt may have been done. Default for all but POST. */
  safe?: boolean;
}

const jsonType = "application/json";

/** Requests to one namespace of one service. */
export class Http {
  readonly base: string;

  constructor(readonly options: MillraceOptions) {
    const url = options.url.replace(/\/+$/, "");
    if (!/^https?:\/\//.test(url)) throw new TypeError(`url: '${options.url}' does not begin with http:// or https://`);
    this.base = `${url}/v1/${encodeURIComponent(options.namespace ?? "default")}`;
  }

  /** Sends it until it is answered, as far as that is safe. */
  send(method: string, path: string, call: Call = {}): Promise<Response> {
    return this.#retrying(() => this.once(method, path, call), method, call);
  }

  /** The same, with the answer's JSON. */
  json<T>(method: string, path: string, call: Call = {}): Promise<T> {
    return this.#retrying(() => this.jsonOnce<T>(method, path, call), method, call);
  }

  /** The same may succeed later; also where it was the ticket, and another is to be had. */
  mayPass({ retryable, code }: MillraceError): boolean {
    return retryable || (code === "ticket-expired" && typeof this.options.ticket === "function");
  }

  #retrying<T>(attempt: () => Promise<T>, method: string, { safe = method !== "POST", signal }: Call): Promise<T> {
    const may = (error: MillraceError) => this.mayPass(error) && (safe || error.clean);
    return retrying(attempt, this.options.retry, signal, may);
  }

  /** Everything of a list, page by page. */
  async *list<T>(path: string, name: string, query?: Call["query"]): AsyncGenerator<T, void, undefined> {
    for (let after: string | undefined; ; ) {
      const page = await this.json<Record<string, unknown>>("GET", path, { query: { ...query, after } });
      yield* page[name] as T[];
      if (page.after === undefined) return;
      after = page.after as string;
    }
  }

  /** One attempt. An answer that is cut off is none. */
  async jsonOnce<T>(method: string, path: string, call: Call): Promise<T> {
    const response = await this.once(method, path, call);
    try {
      return (await response.json()) as T;
    } catch (error) {
      call.signal?.throwIfAborted();
      throw network(error);
    }
  }

  /** One attempt. */
  async once(method: string, path: string, { query, body, headers, signal }: Call): Promise<Response> {
    const { fetch = globalThis.fetch } = this.options;
    const bytes = body instanceof Uint8Array || body instanceof Blob;
    // What is no JSON is the caller's mistake, and not the network's.
    const sent = bytes ? body : JSON.stringify(body);
    const [name, secret] = await this.credentials();
    let response: Response;
    try {
      response = await fetch(this.base + path + queryText(query), {
        method,
        headers: {
          ...(name === undefined ? {} : { authorization: `Bearer ${secret}` }),
          ...(body === undefined || bytes ? {} : { "content-type": jsonType }),
          ...headers,
        },
        body: sent as BodyInit | null,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw network(error);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }

  async credentials(): Promise<readonly ["token" | "ticket", string] | readonly [undefined, undefined]> {
    for (const name of ["ticket", "token"] as const) {
      const given = this.options[name];
      if (given !== undefined) return [name, typeof given === "string" ? given : await given()];
    }
    return [undefined, undefined];
  }

  /** A socket that is about to open; undefined where this place has none. */
  async socket(path: string, protocols: readonly string[]): Promise<SocketLike | undefined> {
    const WebSocket = this.options.WebSocket ?? (globalThis as { WebSocket?: MillraceOptions["WebSocket"] }).WebSocket;
    if (WebSocket === undefined) return undefined;
    const [name, secret] = await this.credentials();
    const auth = name === undefined ? [] : [`millrace.${name}.${name === "token" ? base64Url(secret) : secret}`];
    try {
      return new WebSocket(this.base.replace(/^http/, "ws") + path, [...protocols, ...auth]);
    } catch (error) {
      throw network(error);
    }
  }
}

function queryText(query: Call["query"] = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

function base64Url(text: string): string {
  const binary = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
