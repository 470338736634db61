/** A group's socket, as PROTOCOL has it: what is sent, and what comes. */
import type { Json } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { WebSocketClient } from "../frame/web-socket.ts";

export interface GroupSocketOptions {
  /** Below the namespace. */
  readonly group: string;
  readonly member: string;
  /** Says that it is alive so often; never, where it is left out. */
  readonly pingMs?: number;
  onMessage(message: Json): void;
  onClose(code: number): void;
}

export class GroupSocket {
  #socket: WebSocketClient | undefined;
  #pings: NodeJS.Timeout | undefined;

  constructor(
    readonly round: Round,
    readonly options: GroupSocketOptions,
  ) {}

  async open(): Promise<void> {
    const { round, options } = this;
    const { origin, token } = round.service;
    const url = `${origin}/v1/${round.name}${options.group}/live?member=${options.member}`;
    this.#socket = await WebSocketClient.open(url, {
      headers: { authorization: `Bearer ${token}` },
      onText: (text) => {
        if (text !== "pong") options.onMessage(JSON.parse(text));
      },
      onClose: (code) => {
        clearInterval(this.#pings);
        options.onClose(code);
      },
    });
    if (options.pingMs !== undefined) this.#pings = setInterval(() => this.#socket?.send("ping"), options.pingMs);
  }

  send(message: Json): void {
    this.round.operations++;
    this.#socket?.send(JSON.stringify(message));
  }

  /** Goes away, with a word or without. */
  leave(politely: boolean): void {
    clearInterval(this.#pings);
    if (politely) this.#socket?.close();
    else this.#socket?.cut();
  }
}
