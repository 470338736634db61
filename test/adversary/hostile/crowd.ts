/** Many slow and absent clients at once: what they hold of the service's memory is bounded, and nobody else is forgotten. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { sleep } from "../frame/time.ts";
import { bomb } from "./forms.ts";
import type { CrowdAttack, Crowding } from "./plan.ts";
import { dial } from "./raw.ts";
import type { Siege } from "./siege.ts";

/**
 * So much more than before they came: three times the 128 MiB that an isolate of the platform has. By the limits one request
 * may hold 8 MiB, and bare workerd frees what is over when it pleases; what grows with the crowd, or with what there is to
 * read, soon has more.
 */
export const growthMaxBytes = 384 << 20;

const sampleMs = 100;
const recordBytes = 900_000;
const mebibyte = 1 << 20;

interface Client {
  readonly socket: Socket;
  /** What it does each second. */
  each?: () => void;
}

class Crowd {
  readonly #clients: Client[] = [];

  constructor(
    readonly siege: Siege,
    readonly who: Crowding,
  ) {}

  get #wide(): string {
    return `/v1/${this.siege.ground.namespace}/streams/wide`;
  }

  #head(method: string, path: string, ...headers: string[]): string {
    const lines = [`${method} ${path} HTTP/1.1`, "Host: a", `Authorization: ${this.siege.bearer}`, ...headers];
    return `${lines.join("\r\n")}\r\n\r\n`;
  }

  #append(length: number, ...headers: string[]): string {
    const typed = "Content-Type: application/octet-stream";
    return this.#head("POST", `${this.#wide}/records`, typed, `Content-Length: ${length}`, ...headers);
  }

  #get(query: string, ...headers: string[]): string {
    return this.#head("GET", `${this.#wide}/records?${query}`, ...headers);
  }

  come(number: number): void {
    const socket = dial(this.siege.round.service.origin);
    const client: Client = { socket };
    this.#clients.push(client);
    const dripping = () => socket.write("x");
    switch (this.who) {
      case "heads":
        socket.write("GET /v1 HTTP/1.1\r\nHost: a\r\nX: ");
        client.each = dripping;
        break;
      case "drips":
        socket.write(this.#append(1000));
        client.each = dripping;
        break;
      case "stalls":
        socket.write(this.#append(8 * mebibyte));
        socket.write(Buffer.alloc(7 * mebibyte, 0x61));
        break;
      case "bombs":
        socket.write(this.#append(bomb(256).length, "Content-Encoding: gzip"));
        socket.write(bomb(256));
        break;
      case "events":
        socket.pause();
        socket.write(this.#get("from=earliest", "Accept: text/event-stream"));
        break;
      case "wholes":
        socket.pause();
        socket.write(this.#get("maxBytes=all", ...(number % 2 === 0 ? [] : ["Accept: application/x-ndjson"])));
        break;
      case "pages":
        socket.resume();
        socket.write(this.#get(`maxBytes=8388608&partition=${number % 2}`));
        break;
      case "sockets":
      case "creditors":
        this.#subscribe(client);
        break;
      case "waiters":
        socket.write(this.#get("from=latest&wait=30"));
        client.each = () => socket.resetAndDestroy();
        break;
    }
  }

  /** Reads the handshake, and nothing after that. */
  #subscribe(client: Client): void {
    const { socket } = client;
    const upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    const key = `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`;
    socket.write(this.#head("GET", `${this.#wide}/live`, ...upgrade, key, "Sec-WebSocket-Protocol: millrace.v1"));
    socket.once("data", () => {
      socket.pause();
      socket.write(text({ type: "subscribe", id: 1, from: "earliest", credits: 1000 }));
      if (this.who === "creditors") client.each = () => socket.write(text({ type: "credit", id: 1, credits: 10_000 }));
    });
  }

  each(): void {
    for (const { socket, each } of this.#clients) {
      if (!socket.destroyed) each?.();
    }
  }

  leave(): void {
    for (const { socket } of this.#clients) socket.destroy();
  }
}

/** A message as a client sends it: masked, with zeros. */
function text(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  return Buffer.concat([Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]), body]);
}

/** A stream of binary records that is much larger than what a connection holds by itself. */
async function wide(siege: Siege, mebibytes: number): Promise<void> {
  const { ground, round } = siege;
  const path = `/v1/${ground.namespace}/streams/wide`;
  await ground.must("PUT", path, { partitions: 2 });
  const { json } = await round.call("GET", `${path}/records?limit=1&from=earliest`);
  if ((json?.records ?? []).length > 0) return;
  const bytes = randomBytes(recordBytes);
  for (let i = 0; i < (mebibytes * mebibyte) / recordBytes; i++) {
    const headers = { "content-type": "application/octet-stream" };
    const answer = await round.call("POST", `${path}/records?key=k${i}`, { headers, body: bytes });
    const said = () => `a record of ${recordBytes} bytes was answered ${answer.status}: ${answer.body.toString()}`;
    round.checks.that("accepted", answer.status === 201, said);
  }
}

export async function crowd(siege: Siege, { who, count, ms, mebibytes }: CrowdAttack): Promise<void> {
  const { round } = siege;
  const words = `${count} ${who}`;
  siege.beside.amid = words;
  await siege.watch(true);
  await wide(siege, mebibytes);
  await siege.changed(undefined);
  if (who === "bombs") bomb(256);
  const before = round.service.memory("workerd");
  let most = before;
  const people = new Crowd(siege, who);
  try {
    for (let i = 0; i < count; i++) people.come(i);
    const end = performance.now() + ms;
    for (let told = 0; performance.now() < end && !round.stopped.aborted; ) {
      await sleep(sampleMs, round.stopped);
      most = Math.max(most, round.service.memory("workerd"));
      if (performance.now() - told < 1000) continue;
      told = performance.now();
      people.each();
      siege.beside.rethrow();
    }
  } finally {
    people.leave();
  }
  const grown = () => `${words}: workerd went from ${before >> 20} MiB to ${most >> 20} MiB`;
  round.history.note([words], grown);
  round.checks.that("memory", most - before <= growthMaxBytes, grown, [words]);
  siege.refused(words);
}
