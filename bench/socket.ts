/**
 * A WebSocket that spends as little of the processor as it can, and does not offer compression: see `Connection`. Messages
 * are text; a client's frames are masked with zeros, which leaves them as they are.
 */
import { randomBytes } from "node:crypto";
import net from "node:net";
import { request } from "./wire.ts";

const openMsMax = 10_000;
const [text, close, ping] = [1, 8, 9];
/** Goes back as it is. */
const confirm = Buffer.from('{"type":"confirm"');

export class Socket {
  readonly #socket: net.Socket;
  #received = Buffer.alloc(0);
  #parts: Buffer[] = [];
  #bytes = 0;
  #open = false;
  #ended = false;
  onMessage: (message: Buffer) => void = () => {};
  onEnd: (error: Error) => void = () => {};

  private constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  static async open(port: number, path: string, headers: Record<string, string>): Promise<Socket> {
    const tcp = net.connect({ port, host: "127.0.0.1", noDelay: true });
    const socket = new Socket(tcp);
    const opened = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => tcp.destroy(new Error("the socket did not open")), openMsMax);
      tcp.on("error", (error) => {
        clearTimeout(timer);
        reject(error);
        socket.#end(error);
      });
      tcp.on("close", () => {
        reject(new Error("the socket was closed"));
        socket.#end(new Error("the socket was closed"));
      });
      tcp.on("data", (data) => {
        if (socket.#open) return socket.#take(data);
        socket.#received = Buffer.concat([socket.#received, data]);
        const end = socket.#received.indexOf("\r\n\r\n");
        if (end < 0) return;
        clearTimeout(timer);
        const head = socket.#received.toString("latin1", 0, end);
        if (!head.startsWith("HTTP/1.1 101")) return tcp.destroy(new Error(socket.#received.toString("latin1")));
        const rest = socket.#received.subarray(end + 4);
        socket.#received = Buffer.alloc(0);
        socket.#open = true;
        resolve();
        // Whoever opened it listens by then.
        setImmediate(() => socket.#take(rest));
      });
    });
    const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
    const key = randomBytes(16).toString("base64");
    tcp.write(request("GET", path, { ...headers, ...upgrade, "sec-websocket-key": key }));
    await opened;
    return socket;
  }

  send(message: object): void {
    this.write(textFrame(JSON.stringify(message)));
  }

  /** Frames that are made already. */
  write(frames: Buffer): void {
    this.#socket.write(frames);
  }

  close(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #take(data: Buffer): void {
    this.#parts.push(data);
    this.#bytes += data.length;
    while (this.#bytes >= 2) {
      if (this.#parts[0].length < 10 && this.#parts.length > 1) this.#parts = [Buffer.concat(this.#parts)];
      const [head] = this.#parts;
      const short = head[1] & 0x7f;
      const from = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (head.length < from) return;
      const length = short === 127 ? Number(head.readBigUInt64BE(2)) : short === 126 ? head.readUInt16BE(2) : short;
      if (this.#bytes < from + length) return;
      const all = this.#parts.length === 1 ? head : Buffer.concat(this.#parts);
      this.#parts = [all.subarray(from + length)];
      this.#bytes -= from + length;
      this.#frame(all[0], all.subarray(from, from + length));
    }
  }

  #frame(first: number, body: Buffer): void {
    const opcode = first & 0x0f;
    if (first === (0x80 | text) && body.subarray(0, confirm.length).equals(confirm))
      this.write(textFrame(body.toString()));
    else if (first === (0x80 | text)) this.onMessage(body);
    else if (opcode === close) this.#end(new Error(`the socket was closed: ${body.toString("utf8", 2)}`));
    else if (opcode !== ping) this.#end(new Error(`a frame of kind ${first} is not understood`));
  }

  #end(error: Error): void {
    if (this.#ended) return;
    this.close();
    this.onEnd(error);
  }
}

/** A message of text as it goes over the wire. */
export function textFrame(message: string): Buffer {
  const body = Buffer.from(message);
  const long = body.length >= 65_536;
  const head = Buffer.alloc(body.length < 126 ? 6 : long ? 14 : 8);
  head[0] = 0x80 | text;
  head[1] = 0x80 | (body.length < 126 ? body.length : long ? 127 : 126);
  if (long) head.writeBigUInt64BE(BigInt(body.length), 2);
  else if (body.length >= 126) head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, body]);
}
