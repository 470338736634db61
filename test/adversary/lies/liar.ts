/**
 * Stands between a program and the service, and between the service and its receivers, and breaks one promise: a check that
 * does not find that is worth nothing.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Json } from "../frame/http.ts";
import type { Service } from "../frame/service.ts";
import { eventsOf, toldMessages } from "./pieces.ts";

/** A request of the program's. */
export interface Asked {
  readonly method: string;
  path: string;
  readonly headers: IncomingHttpHeaders;
  /** Undefined where it is no JSON. */
  readonly body: Json;
  /** The body as it came: for what JSON cannot say, or what is none. */
  bytes: Buffer;
}

export interface Told {
  status: number;
  /** Undefined where it is no JSON. */
  body: Json;
  /** Those of JSON where a lie that answers itself gives none. */
  headers?: IncomingHttpHeaders;
}

/** An answer, byte for byte. */
export interface Came {
  /** 0: it does not arrive. */
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A request of the service's to a receiver. */
export interface Push {
  path: string;
  readonly headers: IncomingHttpHeaders;
  body: Buffer;
  /** It arrives so often. */
  times: number;
}

/** Each may change what it is given. */
export interface Lie {
  /** Answers in the service's place, if it gives anything. */
  asks?(asked: Asked): Told | "silence" | undefined;
  tells?(asked: Asked, told: Told): void;
  /** The same, for answers that are no JSON, or whose very bytes matter. */
  shows?(asked: Asked, came: Came): void;
  /** An event, or a message of a socket, to the client; what it gives goes there instead. */
  says?(asked: Pick<Asked, "method" | "path">, said: Buffer): Buffer;
  /** Answers in the receiver's place with a status, if it gives one. */
  pushes?(push: Push): number | undefined;
  /** What the receiver answered. */
  answers?(answer: { status: number; readonly headers: IncomingHttpHeaders }): void;
  /** What the machine says of the service. */
  readonly machine?: Partial<Pick<Service, "cpuMs" | "died" | "folder" | "memory" | "memoryOf">>;
}

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Attributes of a pushed event are headers, each as long as it may be. */
const headBytesMax = 1 << 20;

export class Liar {
  readonly #server = createServer({ maxHeaderSize: headBytesMax }, (asked, answer) => {
    this.#take(asked, answer).catch(() => answer.destroy());
  });
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly service: Service,
    readonly lie: Lie,
  ) {
    this.#server.on("connection", (socket) => this.#keep(socket));
    this.#server.on("upgrade", (asked, socket, head) => this.#pipe(asked, socket as Socket, head));
  }

  static async before(service: Service, lie: Lie): Promise<Liar> {
    const liar = new Liar(service, lie);
    await new Promise<void>((resolve) => liar.#server.listen(0, "127.0.0.1", resolve));
    return liar;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The service as the program is to see it. */
  get seen(): Service {
    const changed: Record<PropertyKey, unknown> = { origin: this.origin, ...this.lie.machine };
    return new Proxy(this.service, {
      get(service, name) {
        if (Object.hasOwn(changed, name)) return changed[name];
        const value = Reflect.get(service, name, service);
        return typeof value === "function" ? value.bind(service) : value;
      },
    });
  }

  end(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #take(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = asked;
    const sent = { method, url, headers, body: await bodyOf(asked) };
    if (url.startsWith("/to/")) return this.#push(sent, answer);
    const body = jsonOf(sent.body);
    const known: Asked = { method, path: url, headers, body, bytes: sent.body };
    const before = written(body);
    this.#receiveHere(body);
    const own = this.lie.asks?.(known);
    if (own === "silence") return;
    const after = written(body);
    const bytes = after !== undefined && after !== before ? Buffer.from(after) : known.bytes;
    const forwarded = { ...sent, url: known.path, body: bytes };
    const came = own === undefined ? await this.#ask(known, forwarded, answer) : ownAnswer(own);
    if (came === undefined) return;
    this.#tell(known, came);
    this.lie.shows?.(known, came);
    if (came.status === 0) return void answer.destroy();
    answer.writeHead(came.status, { ...came.headers, "content-length": String(came.body.length) });
    answer.end(came.body);
  }

  #tell(asked: Asked, came: Came): void {
    if (this.lie.tells === undefined) return;
    const told: Told = { status: came.status, body: jsonOf(came.body), headers: came.headers };
    const before = written(told.body);
    this.lie.tells(asked, told);
    came.status = told.status;
    came.headers = told.headers ?? came.headers;
    const after = written(told.body);
    if (after !== undefined && after !== before) came.body = Buffer.from(after);
  }

  /** Undefined where the answer went on by itself. */
  async #ask(asked: Asked, sent: Sent, answer: ServerResponse): Promise<Came | undefined> {
    const coming = await open(this.service.origin, sent.url, sent);
    if (coming.headers["content-type"] !== "text/event-stream") return cameOf(coming);
    answer.on("close", () => coming.destroy());
    answer.writeHead(coming.statusCode as number, { "content-type": "text/event-stream" });
    for await (const event of eventsOf(coming)) answer.write(this.lie.says?.(asked, event) ?? event);
    answer.end();
    return undefined;
  }

  /** Pushes come by here. */
  #receiveHere(body: Json): void {
    const url = body?.push?.url;
    if (typeof url !== "string" || !URL.canParse(url) || url.startsWith(this.origin)) return;
    const { port, pathname } = new URL(url);
    body.push.url = `${this.origin}/to/${port}${pathname}`;
  }

  async #push(sent: Sent, answer: ServerResponse): Promise<void> {
    const [, , port, ...path] = sent.url.split("/");
    const push: Push = { path: `/${path.join("/")}`, headers: sent.headers, body: sent.body, times: 1 };
    const own = sent.method === "OPTIONS" ? undefined : this.lie.pushes?.(push);
    if (own !== undefined) {
      answer.writeHead(own).end();
      return;
    }
    let came: Came | undefined;
    for (let i = 0; i < push.times; i++) {
      const again = { ...sent, body: push.body };
      came = await forward(`http://127.0.0.1:${port}`, push.path, again);
    }
    if (came === undefined) return;
    this.lie.answers?.(came);
    answer.writeHead(came.status, came.headers).end(came.body);
  }

  #pipe(asked: IncomingMessage, socket: Socket, head: Buffer): void {
    const service = connect(this.service.port, "127.0.0.1");
    this.#keep(service);
    const lines = [`${asked.method} ${asked.url} HTTP/1.1`];
    for (let i = 0; i < asked.rawHeaders.length; i += 2)
      lines.push(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}`);
    service.write(`${lines.join("\r\n")}\r\n\r\n`);
    service.write(head);
    socket.pipe(service);
    const { says } = this.lie;
    const { method = "", url: path = "" } = asked;
    if (says === undefined) service.pipe(socket);
    else
      service.on(
        "data",
        toldMessages((said) => says({ method, path }, said), socket),
      );
    service.on("close", () => socket.destroy());
    socket.on("close", () => service.destroy());
  }
}

function ownAnswer({ status, body, headers }: Told): Came {
  return {
    status,
    headers: headers ?? { "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(body)),
  };
}

function open(origin: string, path: string, { method, headers, body }: Sent): Promise<IncomingMessage> {
  const { connection: _, "transfer-encoding": __, ...kept } = headers;
  return new Promise((done, fail) => {
    const asking = request(origin + path, {
      method,
      agent: false,
      headers: { ...kept, "content-length": String(body.length) },
    });
    asking.on("error", fail);
    asking.on("response", done);
    asking.end(body);
  });
}

async function cameOf(coming: IncomingMessage): Promise<Came> {
  const { connection: _, "transfer-encoding": __, ...headers } = coming.headers;
  return { status: coming.statusCode as number, headers, body: await bodyOf(coming) };
}

const forward = async (origin: string, path: string, sent: Sent): Promise<Came> =>
  cameOf(await open(origin, path, sent));

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function jsonOf(body: Buffer): Json {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Undefined where there is nothing, or it is nested too deep to be written. */
function written(body: Json): string | undefined {
  try {
    return JSON.stringify(body);
  } catch {
    return undefined;
  }
}
