/** Requests over connections that are kept, with everything a caller may do to one: end it, stall it, leave it. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON; undefined where it is none. */
  readonly json: Json;
}

// biome-ignore lint/suspicious/noExplicitAny: an answer of unknown shape; what is asserted about it is asserted by hand.
export type Json = any;

/** There was no answer: whether the request was carried out is not known. */
export class Lost extends Error {
  constructor(readonly why: string) {
    super(`no answer: ${why}`);
    this.name = "Lost";
  }
}

export interface Call {
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  /** The caller goes away. */
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export const silenceMs = 60_000;

/** Idle connections are given up before the service does so: a request that meets its end would be lost for no fault. */
const agent = () => new Agent({ keepAlive: true, maxSockets: 256, timeout: 3000 });

export class Http {
  #agent = agent();

  constructor(
    readonly origin: () => string,
    readonly token: string,
  ) {}

  async call(method: string, path: string, call: Call = {}): Promise<Answer> {
    const answer = await this.open(method, path, call);
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of answer) chunks.push(chunk as Buffer);
    } catch (error) {
      throw new Lost(`${method} ${path}: ${(error as Error).message}`);
    }
    const body = Buffer.concat(chunks);
    return { status: answer.statusCode as number, headers: answer.headers, body, json: jsonOf(body) };
  }

  /** The head of the answer; the body is the caller's to read, or to leave. */
  open(method: string, path: string, call: Call): Promise<IncomingMessage> {
    return new Promise((done, fail) => {
      const { origin } = this;
      const sent = request(origin() + path, {
        method,
        agent: this.#agent,
        headers: { authorization: `Bearer ${this.token}`, ...call.headers },
        ...(call.signal && { signal: call.signal }),
        timeout: call.timeoutMs ?? silenceMs,
      });
      sent.on("response", done);
      sent.on("error", (error) => fail(new Lost(`${method} ${path}: ${error.message}`)));
      sent.on("timeout", () => sent.destroy(new Error(`silent for ${call.timeoutMs ?? silenceMs} ms`)));
      sent.end(call.body);
    });
  }

  /** Connections to a service that was killed are of no use. */
  forget(): void {
    this.#agent.destroy();
    this.#agent = agent();
  }
}

function jsonOf(body: Buffer): Json {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
