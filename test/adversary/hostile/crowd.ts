/** Many slow and absent clients at once: what they hold of the service's memory is bounded, and nobody else is forgotten. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { sleep } from "../frame/time.ts";
import { bomb } from "./forms.ts";
import type { CrowdAttack, Crowding } from "./plan.ts";
import { dial } from "./raw.ts";
import type { Siege } from "./siege.ts";

/**
 * So much more than before they came, however many they are: the service itself decides how much it takes in and gives out at a
 * time, in what an isolate of the platform has, 128 MiB. To that comes what bare workerd has not freed yet: measured, up to twice as much.
 */
const isolateBytes = 128 << 20;
const growthMax = 3 * isolateBytes;

const sampleMs = 100;
const recordBytes = 900_000;
const mebibyte = 1 << 20;
const kibibyte = 1 << 10;
/** Of bodies that are small, one client of a crowd has so many. */
const crumbsEach = 16;
const letters = Buffer.alloc(7 * mebibyte, 0x61);
const mebibytesOf = (bytes: number) => Math.round(bytes / mebibyte);

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
    /** Of the stream that they are at. */
    readonly path: string,
  ) {}

  #head(method: string, path: string, ...headers: string[]): string {
    const lines = [`${method} ${path} HTTP/1.1`, "Host: a", `Authorization: ${this.siege.bearer}`, ...headers];
    return `${lines.join("\r\n")}\r\n\r\n`;
  }

  #append(length: number, ...headers: string[]): string {
    const typed = "Content-Type: application/octet-stream";
    return this.#head("POST", `${this.path}/records`, typed, `Content-Length: ${length}`, ...headers);
  }

  #get(query: string, ...headers: string[]): string {
    return this.#head("GET", `${this.path}/records?${query}`, ...headers);
  }

  #dial(): Socket {
    const socket = dial(this.siege.round.service.origin);
    this.#clients.push({ socket });
    return socket;
  }

  /** A body that lacks its last KiB. */
  #crumb(socket: Socket): void {
    socket.write(this.#append(256 * kibibyte));
    socket.write(letters.subarray(0, 255 * kibibyte));
  }

  #chunk(socket: Socket, bytes: number): void {
    socket.write(`${bytes.toString(16)}\r\n`);
    socket.write(letters.subarray(0, bytes));
    socket.write("\r\n");
  }

  come(number: number): void {
    const socket = this.#dial();
    const client = this.#clients[this.#clients.length - 1];
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
        socket.write(letters);
        break;
      case "crumbs":
        this.#crumb(socket);
        for (let i = 1; i < crumbsEach; i++) this.#crumb(this.#dial());
        break;
      case "pieces":
        socket.write(
          this.#head("PUT", `${this.path}/snapshots/0?partition=${number % 2}`, "Transfer-Encoding: chunked"),
        );
        for (const bytes of [7 * mebibyte, 900 * kibibyte]) this.#chunk(socket, bytes);
        client.each = () => this.#chunk(socket, 1);
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
      case "framed":
        socket.pause();
        socket.write(this.#get(`maxBytes=all&partition=${number % 2}`, "Accept: application/vnd.millrace.frames"));
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
    socket.write(this.#head("GET", `${this.path}/live`, ...upgrade, key, "Sec-WebSocket-Protocol: millrace.v1"));
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

/** A stream that is much larger than what a connection holds by itself. */
async function wide(siege: Siege, who: Crowding, mebibytes: number): Promise<string> {
  const { ground, round } = siege;
  const type = who === "pages" ? "application/octet-stream" : "text/plain";
  const path = `/v1/${ground.namespace}/streams/wide-${who === "pages" ? "bytes" : "text"}`;
  await ground.must("PUT", path, { partitions: 2 });
  const there = await ground.must("GET", `${path}/records?limit=1&from=earliest`);
  if (there.records.length > 0) return path;
  const body = Buffer.from(randomBytes(recordBytes / 2).toString("hex"));
  for (let i = 0; i < (mebibytes * mebibyte) / recordBytes; i++) {
    const answer = await round.call("POST", `${path}/records?key=k${i}`, { headers: { "content-type": type }, body });
    const said = () => `a record of ${recordBytes} bytes was answered ${answer.status}: ${answer.body.toString()}`;
    round.checks.that("accepted", answer.status === 201, said);
  }
  return path;
}

export async function crowd(siege: Siege, { who, count, ms, mebibytes }: CrowdAttack): Promise<void> {
  const { round } = siege;
  const words = `${count} ${who}`;
  siege.beside.amid = words;
  await siege.watch(true);
  const path = await wide(siege, who, mebibytes);
  await siege.changed(undefined);
  if (who === "bombs") bomb(256);
  const before = round.service.memory("workerd");
  let most = before;
  const people = new Crowd(siege, who, path);
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
  const grown = () => `${words}: workerd went from ${mebibytesOf(before)} MiB to ${mebibytesOf(most)} MiB`;
  round.history.note([words], grown);
  round.checks.that("memory", most - before <= growthMax, grown, [words]);
  siege.refused(words);
}
