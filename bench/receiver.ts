/** Receives webhooks in this process: finds the offsets of the records in them, and agrees to what it is told to. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

const inBatch = '"millraceoffset":"';
const inHead = "ce-millraceoffset";

/** Is told of a record by its offset; false refuses it, where it came alone. */
export type Take = (offset: number) => unknown;

export class Receiver {
  readonly #server: Server;
  #byPath = new Map<string, Take>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<Receiver> {
    const server = createServer((incoming, answer) => {
      const took = receiver.#byPath.get(incoming.url as string);
      const one = incoming.headers[inHead];
      const parts: Buffer[] = [];
      incoming.on("data", (part) => parts.push(part));
      incoming.on("end", () => {
        let refused = false;
        if (one !== undefined) refused = took?.(Number(one)) === false;
        else eachAfter(Buffer.concat(parts), inBatch, (text) => took?.(Number(text)));
        answer.writeHead(refused ? 500 : 204).end();
      });
    });
    const receiver = new Receiver(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return receiver;
  }

  /** An address, and who is to be told of what comes there. */
  target(name: string, took: Take): string {
    this.#byPath.set(`/${name}`, took);
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Calls back with each text between `before` and the next quotation mark. */
export function eachAfter(body: Buffer, before: string, found: (text: string) => void): void {
  const all = body.toString("latin1");
  for (let at = all.indexOf(before); at >= 0; at = all.indexOf(before, at)) {
    const from = at + before.length;
    at = all.indexOf('"', from);
    found(all.slice(from, at));
  }
}
