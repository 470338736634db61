/**
 * A receiver of webhooks on loopback that does to a request whatever a program wants: answers, late or in pieces or not at
 * all, resets the connection, talks nonsense, goes away and comes back on the same port.
 */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { sleep } from "./time.ts";

/** Attributes of events are headers, each as long as it may be. */
const headBytesMax = 1 << 20;

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether whoever asked still waits. */
  open(): boolean;
}

export interface Answering {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Before the first byte. */
  readonly afterMs?: number;
  /** Between the head and the body. */
  readonly bodyAfterMs?: number;
}

/** `reset`: the connection, without a word. `garbage`: what is no HTTP. `hang`: nothing, until the other side gives up. */
export type Reaction = Answering | "reset" | "garbage" | "hang";

export class Receiver {
  port = 0;
  /** So long an idle connection is kept, in ms. */
  idleMs = 60_000;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** `react` decides at once; `answered` is told just before the answer is out. */
  constructor(
    readonly react: (request: Received) => { reaction: Reaction; answered?: () => void },
    readonly failed: (error: unknown) => void,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async open(): Promise<void> {
    const server = createServer({ maxHeaderSize: headBytesMax }, (request, response) => {
      const pieces: Buffer[] = [];
      const { socket } = request;
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("error", () => {});
      response.on("error", () => {});
      request.on("end", () => {
        const { method = "", url = "", headers } = request;
        const received = { method, path: url, headers, body: Buffer.concat(pieces), open: () => !socket.destroyed };
        this.#answer(received, response, socket).catch(this.failed);
      });
    });
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server = server;
    this.#keep(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (server.address() as AddressInfo).port;
  }

  /** From now on idle connections are closed after this time. */
  keepIdle(ms: number): void {
    this.idleMs = ms;
    if (this.#server !== undefined) this.#keep(this.#server);
  }

  #keep(server: Server): void {
    server.keepAliveTimeout = this.idleMs;
    (server as { keepAliveTimeoutBuffer?: number }).keepAliveTimeoutBuffer = 0; // Exactly then, not a second later.
  }

  async #answer(received: Received, response: ServerResponse, socket: Socket): Promise<void> {
    const { reaction, answered } = this.react(received);
    if (reaction === "hang") return;
    if (reaction === "reset" || reaction === "garbage") {
      if (reaction === "garbage") socket.write("220 this is no HTTP\r\n\r\n");
      if (reaction === "reset") socket.resetAndDestroy();
      else socket.destroySoon();
      return;
    }
    if (reaction.afterMs) await sleep(reaction.afterMs);
    if (socket.destroyed) return;
    const body = reaction.body ?? "";
    response.writeHead(reaction.status, { ...reaction.headers, "content-length": Buffer.byteLength(body) });
    if (reaction.bodyAfterMs) {
      response.flushHeaders();
      await sleep(reaction.bodyAfterMs);
    }
    if (socket.destroyed) return;
    answered?.();
    response.end(body);
  }

  /** Gone: the port answers nobody. */
  close(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }
}
