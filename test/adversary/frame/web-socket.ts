/**
 * A WebSocket client of RFC 6455, small enough to misbehave: it can be cut without a word, stop reading, and send text that
 * is no UTF-8.
 */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface SocketOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
  onText(text: string): void;
  onBinary?(bytes: Buffer): void;
  /** Once: the close code, or 1006 where there was none. */
  onClose(code: number, reason: string): void;
}

const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Why a handshake was refused. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly body: string,
  ) {
    super(`the socket was refused with ${status}: ${body.slice(0, 300)}`);
  }
}

export class WebSocketClient {
  readonly #socket: Socket;
  readonly #options: SocketOptions;
  #input: Buffer = Buffer.alloc(0);
  #pieces: Buffer[] = [];
  #kind = 0;
  #closed = false;

  private constructor(socket: Socket, options: SocketOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on("data", (chunk) => this.#take(chunk));
    socket.on("close", () => this.#ended(1006, ""));
    socket.on("error", () => {});
  }

  static open(url: string, options: SocketOptions): Promise<WebSocketClient> {
    const { hostname, port, pathname, search, host } = new URL(url);
    const key = randomBytes(16).toString("base64");
    const lines = [
      `GET ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${key}`,
      "Sec-WebSocket-Version: 13",
      ...(options.protocols?.length ? [`Sec-WebSocket-Protocol: ${options.protocols.join(", ")}`] : []),
      ...Object.entries(options.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    ];
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    return new Promise((done, fail) => {
      let head = Buffer.alloc(0);
      const onData = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", onData);
        const status = Number(head.subarray(9, 12).toString());
        if (status !== 101) {
          socket.destroy();
          return fail(new Refused(status, head.subarray(end + 4).toString()));
        }
        const client = new WebSocketClient(socket, options);
        done(client);
        client.#take(head.subarray(end + 4));
      };
      socket.on("data", onData);
      socket.on("error", fail);
      socket.on("close", () => fail(new Error("the handshake was not answered")));
      socket.setTimeout(30_000, () => socket.destroy(new Error("the handshake was not answered")));
      socket.once("connect", () => socket.write(`${lines.join("\r\n")}\r\n\r\n`));
      socket.once("data", () => socket.setTimeout(0));
    });
  }

  get open(): boolean {
    return !this.#closed;
  }

  send(text: string): void {
    this.#write(opcodes.text, Buffer.from(text, "utf8"));
  }

  /** Bytes that are called text, whatever they are. */
  sendTextBytes(bytes: Buffer): void {
    this.#write(opcodes.text, bytes);
  }

  sendBinary(bytes: Buffer): void {
    this.#write(opcodes.binary, bytes);
  }

  /** Bytes that need be no frame. */
  sendBytes(bytes: Buffer): void {
    if (!this.#closed) this.#socket.write(bytes);
  }

  /** The polite end. */
  close(code = 1000): void {
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    this.#write(opcodes.close, body);
    setTimeout(() => this.#socket.destroy(), 1000).unref();
  }

  /** Gone without a word. */
  cut(): void {
    this.#closed = true;
    this.#socket.resetAndDestroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #write(opcode: number, body: Buffer): void {
    if (this.#closed) return;
    const long = body.length > 0xffff ? 8 : body.length > 125 ? 2 : 0;
    const head = Buffer.alloc(6 + long);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (long === 8 ? 127 : long === 2 ? 126 : body.length);
    if (long === 2) head.writeUInt16BE(body.length, 2);
    if (long === 8) head.writeBigUInt64BE(BigInt(body.length), 2);
    // A mask of zeros is a mask; what it protects from are proxies of the nineties.
    this.#socket.write(Buffer.concat([head, body]));
  }

  #take(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) this.#frame(frame);
  }

  #next(): { final: boolean; opcode: number; body: Buffer } | undefined {
    const input = this.#input;
    if (input.length < 2) return undefined;
    const short = (input[1] as number) & 0x7f;
    const from = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (input.length < from) return undefined;
    const size = short === 127 ? Number(input.readBigUInt64BE(2)) : short === 126 ? input.readUInt16BE(2) : short;
    if (input.length < from + size) return undefined;
    this.#input = input.subarray(from + size);
    const first = input[0] as number;
    return { final: (first & 0x80) !== 0, opcode: first & 0x0f, body: input.subarray(from, from + size) };
  }

  #frame({ final, opcode, body }: { final: boolean; opcode: number; body: Buffer }): void {
    if (opcode === opcodes.ping) this.#write(opcodes.pong, body);
    if (opcode === opcodes.ping || opcode === opcodes.pong) return;
    if (opcode === opcodes.close) {
      if (!this.#closed) this.#write(opcodes.close, body.subarray(0, 2));
      this.#ended(body.length >= 2 ? body.readUInt16BE(0) : 1005, body.subarray(2).toString());
      this.#socket.end();
      return;
    }
    if (opcode !== 0) this.#kind = opcode;
    this.#pieces.push(body);
    if (!final) return;
    const whole = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces);
    this.#pieces = [];
    if (this.#closed) return;
    if (this.#kind === opcodes.text) this.#text(whole.toString("utf8"));
    else this.#options.onBinary?.(whole);
  }

  /** What is asked to be sent back is; one that is paused reads nothing, and sends none. */
  #text(text: string): void {
    if (text.startsWith('{"type":"confirm"')) this.send(text);
    else this.#options.onText(text);
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose(code, reason);
  }
}
