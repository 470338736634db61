/** A liar that does not understand what passes: for what is said outside of HTTP, or breaks it. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Service } from "../frame/service.ts";

export interface Passed {
  readonly bytes: Buffer;
  /** So much later. */
  readonly afterMs?: number;
}

export interface WireLie {
  /** What the service says on a connection, after the client has said all that. */
  passes(said: Buffer, asked: Buffer): Passed;
}

const askedMax = 16_384;

export class WireLiar {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#pass(client));

  private constructor(
    readonly service: Service,
    readonly lie: WireLie,
  ) {}

  static async before(service: Service, lie: WireLie): Promise<WireLiar> {
    const liar = new WireLiar(service, lie);
    await new Promise<void>((resolve) => liar.#server.listen(0, "127.0.0.1", resolve));
    return liar;
  }

  /** The service as the program is to see it. */
  get seen(): Service {
    const origin = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return new Proxy(this.service, {
      get(service, name) {
        if (name === "origin") return origin;
        const value = Reflect.get(service, name, service);
        return typeof value === "function" ? value.bind(service) : value;
      },
    });
  }

  end(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(client: Socket): void {
    const service = connect({ port: this.service.port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    let asked = Buffer.alloc(0);
    for (const socket of [client, service]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
    }
    client.on("data", (bytes) => {
      asked = Buffer.concat([asked, bytes]).subarray(-askedMax);
      service.write(bytes);
    });
    client.on("end", () => service.end());
    client.on("close", () => service.destroy());
    service.on("data", (said) => {
      const { bytes, afterMs = 0 } = this.lie.passes(said, asked);
      if (afterMs === 0) client.write(bytes);
      else setTimeout(() => client.write(bytes), afterMs).unref();
    });
    service.on("end", () => client.end());
    service.on("close", () => this.#sockets.delete(service));
    client.on("close", () => this.#sockets.delete(client));
  }
}
