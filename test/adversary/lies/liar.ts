/**
 * Stands between a program and the service, and between the service and its receivers, and breaks one promise: a check that
 * does not find that is worth nothing.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Json } from "../frame/http.ts";
import type { Service } from "../frame/service.ts";

/** A request of the program's. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** Undefined where it is no JSON. */
  readonly body: Json;
}

export interface Told {
  status: number;
  body: Json;
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
  /** Answers in the receiver's place with a status, if it gives one. */
  pushes?(push: Push): number | undefined;
  /** What the receiver answered. */
  answers?(answer: { status: number; readonly headers: IncomingHttpHeaders }): void;
  /** What the machine says of the service. */
  readonly machine?: Partial<Pick<Service, "cpuMs" | "died">>;
}

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export class Liar {
  readonly #server = createServer((asked, answer) => {
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
    const known: Asked = { method, path: url, body };
    const before = JSON.stringify(body);
    this.#receiveHere(body);
    const own = this.lie.asks?.(known);
    if (own === "silence") return;
    const changed = JSON.stringify(body) !== before;
    const forwarded = changed ? { ...sent, body: Buffer.from(JSON.stringify(body)) } : sent;
    const came = own ?? (await this.#ask(forwarded));
    const told: Told = { status: came.status, body: Buffer.isBuffer(came.body) ? jsonOf(came.body) : came.body };
    const told0 = JSON.stringify(told.body);
    this.lie.tells?.(known, told);
    const untouched = Buffer.isBuffer(came.body) && JSON.stringify(told.body) === told0;
    answer.writeHead(told.status, { "content-type": "application/json" });
    answer.end(untouched ? came.body : JSON.stringify(told.body));
  }

  #ask(sent: Sent): Promise<{ status: number; body: Buffer }> {
    return forward(this.service.origin, sent.url, sent);
  }

  /** Pushes come by here. */
  #receiveHere(body: Json): void {
    if (typeof body?.push?.url !== "string" || body.push.url.startsWith(this.origin)) return;
    const { port, pathname } = new URL(body.push.url);
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
    service.pipe(socket).pipe(service);
    service.on("close", () => socket.destroy());
    socket.on("close", () => service.destroy());
  }
}

interface Came {
  status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function forward(origin: string, path: string, { method, headers, body }: Sent): Promise<Came> {
  const { connection: _, "transfer-encoding": __, ...kept } = headers;
  return new Promise((done, fail) => {
    const asking = request(origin + path, {
      method,
      agent: false,
      headers: { ...kept, "content-length": String(body.length) },
    });
    asking.on("error", fail);
    asking.on("response", (answer) => {
      const { connection: _, "transfer-encoding": __, ...rest } = answer.headers;
      bodyOf(answer).then((came) => done({ status: answer.statusCode as number, headers: rest, body: came }), fail);
    });
    asking.end(body);
  });
}

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
