/** A member of a group that holds a socket, and what it was sent. */
import { expect } from "vitest";
import { type Service, token } from "./service.ts";

export interface Delivered {
  partition: number;
  offset: number;
  key?: string;
  data: unknown;
  receipt: string;
  attempt: number;
}

interface Message {
  type: string;
  deliveries?: Delivered[];
  code?: string;
  refused?: { code: string }[];
  member?: string;
}

export class Member {
  readonly messages: Message[] = [];
  readonly deliveries: Delivered[] = [];
  /** It sends back what it is asked to. */
  confirms = true;
  closed: { code: number; reason: string } | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.addEventListener("message", ({ data }) => {
      if (data === "pong") return void this.messages.push({ type: "pong" });
      const message = JSON.parse(String(data)) as Message;
      if (message.type === "confirm" && this.confirms) socket.send(String(data));
      this.messages.push(message);
      this.deliveries.push(...(message.deliveries ?? []));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
  }

  static async open(millrace: Service, path: string, by = token, query = ""): Promise<Member> {
    const url = `${millrace.url.replace("http", "ws")}${path}/live${query}`;
    // Node's WebSocket takes headers, which the type of browsers does not know.
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${by}` } } as unknown as string[]);
    const member = new Member(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("the socket did not open")));
    });
    return member;
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  async until(count: number): Promise<Delivered[]> {
    await expect.poll(() => this.deliveries.length, { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(count);
    return this.deliveries;
  }

  ack(...deliveries: Delivered[]): void {
    this.send({ type: "ack", receipts: deliveries.map(({ receipt }) => receipt) });
  }
}
