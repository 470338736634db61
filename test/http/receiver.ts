/** A receiver of webhooks, which answers as it is told and keeps what came. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Call {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at: number;
}

/** Answers one call; the number says how many came before it. */
type Behaviour = (response: ServerResponse, call: Call, before: number) => void;

export class Receiver {
  readonly calls: Call[] = [];
  /** Calls that wait for their answer now, and the most that ever did. */
  open = 0;
  mostOpen = 0;

  private constructor(
    readonly server: Server,
    readonly url: string,
  ) {}

  static async open(behaviour: Behaviour = (response) => response.writeHead(204).end(), port = 0): Promise<Receiver> {
    const server = createServer();
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const receiver = new Receiver(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`);
    server.on("request", (request, response) => {
      const parts: Buffer[] = [];
      receiver.mostOpen = Math.max(receiver.mostOpen, ++receiver.open);
      response.once("close", () => receiver.open--);
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        const body = Buffer.concat(parts).toString();
        const call = {
          method: String(request.method),
          url: String(request.url),
          headers: request.headers,
          body,
          at: Date.now(),
        };
        receiver.calls.push(call);
        behaviour(response, call, receiver.calls.length - 1);
      });
    });
    return receiver;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Data of the calls in binary mode, in the order in which they came. */
  get data(): unknown[] {
    return this.calls.filter(({ method }) => method === "POST").map(({ body }) => JSON.parse(body));
  }

  /** Resolves when it is closed, connections and all. */
  async close(): Promise<void> {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close").catch(() => {});
  }
}
