/** Stands between the program and a service that keeps its promises, and breaks one of them. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface Question {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Lie {
  /** What the service is asked instead; undefined: nothing, and the caller gets no answer. */
  ask?(question: Question): Question | undefined | Promise<Question | undefined>;
  answer?(question: Question, reply: Reply): Reply;
  /** Events of a stream, by what comes in the place of one. */
  event?(text: string): string[];
  /** Bytes of sockets, in pieces as they come; their length must stay. */
  toService?(text: string): string;
  toClient?(text: string): string;
}

async function whole(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export class Liar {
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();

  private constructor(
    readonly service: string,
    readonly lie: Lie,
  ) {
    this.#server = createServer((asked, answer) => {
      this.#pass(asked, answer).catch(() => asked.socket.destroy());
    });
    this.#server.on("connection", (socket) => this.#sockets.add(socket));
    this.#server.on("upgrade", (asked, socket, head) => this.#upgrade(asked, socket as Socket, head));
  }

  static async start(service: string, lie: Lie): Promise<Liar> {
    const liar = new Liar(service, lie);
    await new Promise<void>((done) => liar.#server.listen(0, "127.0.0.1", done));
    return liar;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method, url, headers } = asked;
    const question = { method: method as string, path: url as string, headers, body: await whole(asked) };
    const changed = this.lie.ask === undefined ? question : await this.lie.ask(question);
    if (changed === undefined) return void asked.socket.destroy();
    const real = await this.#ask(changed, answer);
    if (real.headers["content-type"] === "text/event-stream") return this.#events(real, answer);
    const reply = { status: real.statusCode as number, headers: real.headers, body: await whole(real) };
    const told = this.lie.answer?.(question, reply) ?? reply;
    const { "transfer-encoding": _, ...rest } = told.headers;
    answer.writeHead(told.status, { ...rest, "content-length": String(told.body.length) });
    answer.end(told.body);
  }

  #ask({ method, path, headers, body }: Question, answer: ServerResponse): Promise<IncomingMessage> {
    const { "transfer-encoding": _, ...rest } = headers;
    return new Promise((done, fail) => {
      const sent = request(this.service + path, {
        method,
        agent: false,
        headers: { ...rest, connection: "close", ...(body.length > 0 && { "content-length": String(body.length) }) },
      });
      sent.on("response", done);
      sent.on("error", fail);
      answer.on("close", () => sent.destroy());
      sent.end(body);
    });
  }

  async #events(real: IncomingMessage, answer: ServerResponse): Promise<void> {
    answer.writeHead(real.statusCode as number, { "content-type": "text/event-stream" });
    let rest = "";
    for await (const chunk of real) {
      rest += chunk.toString();
      const events = rest.split("\n\n");
      rest = events.pop() as string;
      for (const text of events) for (const told of this.lie.event?.(text) ?? [text]) answer.write(`${told}\n\n`);
    }
    answer.end();
  }

  #upgrade(asked: IncomingMessage, socket: Socket, head: Buffer): void {
    const { hostname, port } = new URL(this.service);
    const real = connect(Number(port), hostname);
    this.#sockets.add(real);
    const lines = asked.rawHeaders.flatMap((name, i, all) => (i % 2 === 0 ? [`${name}: ${all[i + 1]}`] : []));
    real.write(`GET ${asked.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    real.write(head);
    const told = (chunk: Buffer, change: ((text: string) => string) | undefined) =>
      change === undefined ? chunk : Buffer.from(change(chunk.toString("latin1")), "latin1");
    socket.on("data", (chunk) => real.write(told(chunk, this.lie.toService)));
    real.on("data", (chunk) => socket.write(told(chunk, this.lie.toClient)));
    for (const [one, other] of [
      [socket, real],
      [real, socket],
    ] as const) {
      one.on("close", () => other.destroy());
      one.on("error", () => other.destroy());
    }
  }
}
