/** Between importers and the service: what is lost, late, and who dies at which append. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Round } from "../frame/round.ts";
import { eventually, Later, sleep } from "../frame/time.ts";
import type { Mishap } from "./plan.ts";

/** What a mishap does, beside what it does to the request. */
export type Befall = (mishap: Mishap) => void;

export class Wire {
  readonly #server = createServer((asked, answer) => {
    this.#under++;
    this.#take(asked, answer)
      .catch(() => answer.destroy())
      .finally(() => {
        this.#under--;
      });
  });
  /** Requests that the service may still carry out. */
  #under = 0;
  #mishaps: readonly Mishap[] = [];
  #befall: Befall = () => {};
  /** Since the last `expect`. */
  appends = 0;

  private constructor(readonly round: Round) {}

  static async to(round: Round): Promise<Wire> {
    const wire = new Wire(round);
    await new Promise<void>((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    return wire;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What is to happen to the next importer. */
  expect(mishaps: readonly Mishap[], befall: Befall): void {
    this.#mishaps = mishaps;
    this.#befall = befall;
    this.appends = 0;
  }

  /** Nothing that was asked is still being done. */
  async quiet(): Promise<void> {
    await eventually(() => this.#under === 0, this.round.patient(30_000), 5);
  }

  end(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #take(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of asked) parts.push(part as Buffer);
    const append = asked.method === "POST" ? ++this.appends : 0;
    if (append > 0) this.round.operations++;
    const of = (at: Mishap["at"]) => this.#mishaps.filter((one) => one.append === append && one.at === at);
    const [before, after] = [of("asked"), of("answered")];
    if (await this.#meet(before, answer)) return;
    const came = await this.#forward(asked, Buffer.concat(parts));
    if (await this.#meet(after, answer)) return;
    answer.writeHead(came.status, { "content-type": came.type, "content-length": String(came.body.length) });
    answer.end(came.body);
  }

  /** Whether the request, or the answer, is lost. */
  async #meet(mishaps: readonly Mishap[], answer: ServerResponse): Promise<boolean> {
    for (const mishap of mishaps) {
      this.round.history.note([], () => `append ${mishap.append} is ${mishap.at}: ${mishap.kind}`);
      if (mishap.kind === "late") await sleep(mishap.ms, this.round.stopped);
      else if (mishap.kind !== "lost") this.#befall(mishap);
      if (mishap.kind === "lost") {
        answer.destroy();
        return true;
      }
    }
    return false;
  }

  #forward(asked: IncomingMessage, body: Buffer): Promise<{ status: number; type: string; body: Buffer }> {
    const { connection: _, host: __, "transfer-encoding": ___, ...headers } = asked.headers;
    const done = new Later<{ status: number; type: string; body: Buffer }>();
    const sent = request(this.round.service.origin + asked.url, {
      method: asked.method,
      agent: false,
      headers: { ...headers, "content-length": String(body.length) },
    });
    sent.on("error", done.reject);
    sent.on("response", async (coming) => {
      try {
        const parts: Buffer[] = [];
        for await (const part of coming) parts.push(part as Buffer);
        const type = coming.headers["content-type"] ?? "";
        done.resolve({ status: coming.statusCode as number, type, body: Buffer.concat(parts) });
      } catch (error) {
        done.reject(error as Error);
      }
    });
    sent.end(body);
    return done.promise;
  }
}
