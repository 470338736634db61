/**
 * The baselines, the least that a Worker and an object can do. `Empty` is the round trip alone; `Bare` writes
 * and reads bytes that it does not look at, with the same group commit and the same row size as the product, because
 * both are free to anyone who writes an object. They go by the names of the product's classes, so that they run by the
 * same configuration.
 */
import { DurableObject } from "cloudflare:workers";

interface Env {
  readonly CATALOG: DurableObjectNamespace<Empty>;
  readonly PARTITION: DurableObjectNamespace<Bare>;
}

const encoder = new TextEncoder();
const [crowd, ticksMax] = [16, 12];
const rowBytesMax = 1_048_576;
const answerHeaders = { "content-type": "application/json" };

class Empty extends DurableObject {
  nothing(): number {
    return 0;
  }
}

class Bare extends DurableObject {
  #tail: number;
  #pending: Uint8Array[] = [];
  #ids: number[] = [];
  #texts: Uint8Array[] = [];
  #busy = false;
  #written: Promise<void> | undefined;

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env as never);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS chunk (base INTEGER PRIMARY KEY, body BLOB)");
    const last = ctx.storage.sql.exec("SELECT max(base + length(body)) AS tail FROM chunk").one();
    this.#tail = (last.tail as number | null) ?? 0;
  }

  override async fetch(): Promise<Response> {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    this.ctx.acceptWebSocket(ours);
    return new Response(null, { status: 101, webSocket: theirs });
  }

  /** Parses each line for its id, and answers those that were written together in one message. */
  override async webSocketMessage(socket: WebSocket, message: string): Promise<void> {
    for (const line of message.split("\n")) this.#ids.push((JSON.parse(line) as { id: number }).id);
    this.#texts.push(encoder.encode(message));
    // The platform brings no further message while the handler of one is at work.
    if (!this.#busy) void this.#answer(socket);
  }

  async #answer(socket: WebSocket): Promise<void> {
    this.#busy = true;
    while (this.#ids.length > 0) {
      // Those that are pipelined come over some milliseconds: while they do, they gather.
      for (let seen = -crowd, tick = 0; this.#ids.length - seen >= crowd && tick < ticksMax; tick++) {
        seen = this.#ids.length;
        await scheduler.wait(0);
      }
      const ids = this.#ids;
      const whole = joined(this.#texts);
      this.#ids = [];
      this.#texts = [];
      for (let at = 0; at < whole.length; at += rowBytesMax) this.#insert(whole.subarray(at, at + rowBytesMax));
      // It leaves when the row is durable.
      socket.send(JSON.stringify(ids.map((id) => ({ id }))));
    }
    this.#busy = false;
  }

  async append(body: Uint8Array): Promise<number> {
    this.#pending.push(body);
    this.#written ??= this.#gather();
    await this.#written;
    return this.#tail;
  }

  async #gather(): Promise<void> {
    // Resolves once what was written before is durable: meanwhile the next bodies gather.
    await this.ctx.storage.sync();
    const bodies = this.#pending;
    this.#pending = [];
    this.#written = undefined;
    const whole = bodies.length === 1 ? bodies[0] : joined(bodies);
    for (let at = 0; at < whole.length; at += rowBytesMax) this.#insert(whole.subarray(at, at + rowBytesMax));
  }

  #insert(row: Uint8Array): void {
    this.ctx.storage.sql.exec("INSERT INTO chunk (base, body) VALUES (?, ?)", this.#tail, row);
    this.#tail += row.length;
  }

  /** Whole rows from the byte `from` on, until there are `bytes` of them. */
  read(from: number, bytes: number): { rows: Uint8Array[]; next: number } {
    const rows: Uint8Array[] = [];
    let next = from;
    for (const row of this.ctx.storage.sql.exec("SELECT body FROM chunk WHERE base >= ? ORDER BY base", from)) {
      const body = new Uint8Array(row.body as ArrayBuffer);
      rows.push(body);
      next += body.length;
      if (next - from >= bytes) break;
    }
    return { rows, next };
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** `POST /empty`, `POST /bare/<name>`, `GET /bare/<name>?from=<byte>&bytes=<n>`. */
async function answer(request: Request, env: Env): Promise<Response> {
  const url = new URL(request.url);
  if (url.pathname === "/empty") {
    const nothing = await env.CATALOG.getByName("empty").nothing();
    return new Response(`{"nothing":${nothing}}\n`, { status: 201, headers: answerHeaders });
  }
  const bare = env.PARTITION.getByName(url.pathname);
  if (request.headers.has("upgrade")) return bare.fetch(request);
  if (request.method === "POST") {
    const tail = await bare.append(new Uint8Array(await request.arrayBuffer()));
    return new Response(`{"tail":${tail}}\n`, { status: 201, headers: answerHeaders });
  }
  const from = Number(url.searchParams.get("from"));
  const { rows, next } = await bare.read(from, Number(url.searchParams.get("bytes")));
  return new Response(joined(rows), { headers: { "next-byte": String(next) } });
}

export { Bare as Partition, Empty as Catalog, Empty as Delivery };
export default { fetch: answer } satisfies ExportedHandler<Env>;
