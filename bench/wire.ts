/**
 * One keep-alive HTTP/1.1 connection that spends as little of the processor as it can: the client shares it with the
 * server that is measured. Requests are bytes made beforehand; of an answer the status and the head are kept, and the
 * body is counted, and kept where it is asked for.
 */
import net from "node:net";

export interface Answer {
  readonly status: number;
  readonly head: string;
  /** Length of the body. */
  readonly bytes: number;
  /** The beginning of the body, where the status is 400 or above. */
  readonly text: string;
  /** The body, where it was to be kept. */
  readonly body: Buffer | undefined;
}

const headBytesMax = 16_384;
const receiveBytes = 262_144;
/** Longer than the longest long-poll. Nothing may hang. */
const silenceMs = 45_000;

type State = "head" | "body" | "size" | "last";

export class Connection {
  readonly #socket: net.Socket;
  #state: State = "head";
  #carry = "";
  #left = 0;
  #chunked = false;
  #status = 0;
  #head = "";
  #bytes = 0;
  #text = "";
  #kept: Buffer[] | undefined;
  #resolve: ((answer: Answer) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  #broken: Error | undefined;

  private constructor(port: number) {
    // One buffer for all that is received: a stream of megabytes makes no garbage.
    const buffer = Buffer.allocUnsafe(receiveBytes);
    const callback = (size: number) => {
      this.#receive(buffer, size);
      return true;
    };
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer, callback } });
    this.#socket.setTimeout(silenceMs, () => this.#socket.destroy(new Error(`no answer within ${silenceMs} ms`)));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  static async open(port: number): Promise<Connection> {
    const connection = new Connection(port);
    await new Promise<void>((resolve, reject) => {
      connection.#socket.once("connect", resolve);
      connection.#socket.once("error", reject);
    });
    return connection;
  }

  /** Sends a request and resolves with its answer. One at a time. */
  ask(request: Uint8Array, keep = false): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== undefined) return reject(this.#broken);
      this.#kept = keep ? [] : undefined;
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#resolve = this.#reject = undefined;
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    this.#broken ??= error;
    this.#reject?.(this.#broken);
    this.#resolve = this.#reject = undefined;
  }

  #receive(buffer: Buffer, size: number): void {
    let at = 0;
    while (at < size) {
      if (this.#state === "body") at = this.#body(buffer, at, size);
      else {
        const end = this.#state === "head" ? "\r\n\r\n" : "\r\n";
        const text = this.#carry + buffer.toString("latin1", at, Math.min(size, at + headBytesMax));
        const found = text.indexOf(end);
        if (found < 0) {
          if (text.length > headBytesMax) return void this.#socket.destroy(new Error("the answer is not HTTP"));
          this.#carry = text;
          return;
        }
        at += found + end.length - this.#carry.length;
        this.#carry = "";
        this.#line(text.slice(0, found));
      }
    }
  }

  #body(buffer: Buffer, at: number, size: number): number {
    const to = Math.min(size, at + this.#left);
    if (this.#status >= 400 && this.#text.length < 500)
      this.#text += buffer.toString("latin1", at, Math.min(to, at + 500));
    this.#left -= to - at;
    // Not the line end that was counted in after a chunk.
    const end = this.#chunked ? to - Math.max(0, 2 - this.#left) : to;
    if (end > at) this.#kept?.push(Buffer.from(buffer.subarray(at, end)));
    if (this.#left === 0) {
      if (this.#chunked) this.#state = "size";
      else this.#done();
    }
    return to;
  }

  /** A head, the size of a chunk, or the empty line after the last chunk. */
  #line(line: string): void {
    if (this.#state === "head") this.#begin(line);
    else if (this.#state === "last") this.#done();
    else {
      const size = Number.parseInt(line, 16);
      this.#bytes += size;
      // A chunk's line end is passed over with its body.
      this.#left = size + 2;
      this.#state = size === 0 ? "last" : "body";
    }
  }

  #begin(head: string): void {
    this.#head = head;
    this.#status = Number(head.slice(9, 12));
    this.#text = "";
    this.#bytes = 0;
    this.#left = Number(header(head, "content-length") ?? 0);
    this.#chunked = header(head, "transfer-encoding") === "chunked";
    if (this.#chunked) this.#state = "size";
    else {
      this.#bytes = this.#left;
      if (this.#left === 0) this.#done();
      else this.#state = "body";
    }
  }

  #done(): void {
    this.#state = "head";
    const resolve = this.#resolve;
    this.#resolve = this.#reject = undefined;
    const body = this.#kept === undefined ? undefined : Buffer.concat(this.#kept);
    resolve?.({ status: this.#status, head: this.#head, bytes: this.#bytes, text: this.#text, body });
  }
}

/** The value of a header in an answer's head. */
export function header(head: string, name: string): string | undefined {
  const lower = head.toLowerCase();
  const at = lower.indexOf(`\r\n${name}:`);
  if (at < 0) return undefined;
  const end = head.indexOf("\r\n", at + 2);
  return head.slice(at + name.length + 3, end < 0 ? undefined : end).trim();
}

/** The bytes of a request. */
export function request(method: string, path: string, headers: Record<string, string>, body?: Uint8Array): Uint8Array {
  const lines = [`${method} ${path} HTTP/1.1`, "host: 127.0.0.1"];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== undefined) lines.push(`content-length: ${body.length}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body ?? new Uint8Array(0)]);
}
