/** Appends over a socket, one at a time; a socket that a message ended is opened again. */
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { eventually } from "../frame/time.ts";
import { WebSocketClient } from "../frame/web-socket.ts";
import { isProblemSaid, type Reply, replyOfMessage } from "./reply.ts";

const answerMs = 30_000;

interface Heard {
  messages: string[];
  closed?: readonly [code: number, reason: string];
}

export class SocketDoor {
  #client: WebSocketClient | undefined;
  #id = 0;
  #heard: Heard = { messages: [] };

  constructor(
    readonly round: Round,
    readonly path: string,
    readonly binary: boolean,
  ) {}

  async #open(): Promise<WebSocketClient> {
    if (this.#client?.open) return this.#client;
    // What an earlier socket says at its end is not for this one.
    const heard: Heard = { messages: [] };
    this.#heard = heard;
    const { service } = this.round;
    this.#client = await WebSocketClient.open(`${service.origin}${this.path}/live`, {
      headers: { authorization: `Bearer ${service.token}` },
      protocols: [this.binary ? "millrace.v1.binary" : "millrace.v1"],
      onText: (text) => heard.messages.push(text),
      onClose: (code, reason) => {
        heard.closed = [code, reason];
      },
    });
    return this.#client;
  }

  async append(message: (id: number) => Buffer): Promise<Reply> {
    const client = await this.#open();
    // An id rises on its socket alone, but one number for all tells late answers apart.
    const id = ++this.#id;
    this.#heard.messages = [];
    this.round.operations++;
    if (this.binary) client.sendBinary(message(id));
    else client.sendTextBytes(message(id));
    const boundMs = this.round.patient(answerMs);
    const reply = await eventually(() => this.#reply(id), boundMs, 1);
    const silent = () => `an append on a socket was not answered in ${boundMs} ms`;
    this.round.checks.that("answered", reply !== undefined, silent);
    if (reply?.refusal !== undefined && reply.refusal.status !== 400) this.close();
    return reply as Reply;
  }

  #reply(id: number): Reply | undefined {
    for (const text of this.#heard.messages) {
      for (const line of text.split("\n")) {
        const message = JSON.parse(line);
        const reply = replyOfMessage(message, id);
        if (reply !== undefined) return reply;
        if (message.type !== "error" || message.fatal !== true) continue;
        const { code, detail, clean } = message;
        return { refusal: { status: 1008, code, detail, clean, formed: isProblemSaid(message) } };
      }
    }
    if (this.#heard.closed === undefined) return undefined;
    const [code, reason] = this.#heard.closed;
    if (code === 1006 || code === 1005) throw new Lost(`the socket was closed with ${code}, without a word`);
    return { refusal: { status: code, code: `${code}`, detail: reason, clean: undefined, formed: code === 1009 } };
  }

  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}
