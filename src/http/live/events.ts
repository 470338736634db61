/**
 * Server-sent events on the read route: the same subscription as a socket's, held by this Worker over sockets of its own, so
 * that a reader who waits does not keep a partition awake. What the reader has not taken is not asked for.
 */
import type { Refusal } from "../../../schemas/errors.ts";
import type { Subscribe } from "../../../schemas/frames.ts";
import { limits } from "../../../schemas/limits.ts";
import type { ReadQuery } from "../../../schemas/record.ts";
import { encodeText } from "../../lib/bytes.ts";
import { itemsOf } from "../../log/follow.ts";
import { JsonWriter } from "../../log/json.ts";
import { recordsHeaderBytes } from "../../log/message.ts";
import { ticketOver } from "../../objects/socket.ts";
import type { Env } from "../../objects/stubs.ts";
import { problem } from "../problem.ts";
import { heldStream } from "../sending.ts";
import { Untaken } from "../untaken.ts";
import { Ending } from "./ending.ts";
import { Fan } from "./fan.ts";
import type { NewSnapshot } from "./news.ts";
import type { Part, Sink } from "./sink.ts";

export const eventStream = "text/event-stream";

/** Records on their way to a reader who takes none, and their bytes, about. */
const credits = 1_000;
const windowBytes = 262_144;
/** Those whom others hold up are told by nobody that there is room again: they look. */
const lookMs = 1_000;
/** Proxies close what is silent for longer. */
const beatMs = 15_000;
/** When a browser tries again after the connection was lost. */
const retryMs = 1_000;

export async function eventsAnswer(
  env: Env,
  namespace: string,
  name: string,
  query: ReadQuery,
  from: string,
  until: number | undefined,
): Promise<Response> {
  const events = new Events(env, namespace, name, until);
  const refusal = await events.begin({ type: "subscribe", id: 0, from, credits, ...scopeOf(query) });
  if (refusal !== undefined) return problem(refusal);
  return new Response(events.body, {
    headers: {
      "content-type": eventStream,
      "cache-control": "no-store",
      // Asks nginx not to gather it.
      "x-accel-buffering": "no",
    },
  });
}

function scopeOf({ partition, key, type: types, source: sources, tag: tags, match }: ReadQuery): Partial<Subscribe> {
  const filter = {
    ...(key === undefined ? {} : { key }),
    ...(types === undefined ? {} : { types }),
    ...(sources === undefined ? {} : { sources }),
    ...(tags === undefined ? {} : { tags, match }),
  };
  return {
    ...(partition === undefined ? {} : { partition }),
    ...(Object.keys(filter).length === 0 ? {} : { filter }),
  };
}

/** Of all of them, each of which takes at once what it has written: it keeps the memory of the largest. */
const writer = new JsonWriter(true);

class Events implements Sink {
  readonly body: ReadableStream<Uint8Array>;
  readonly #writable: WritableStreamDefaultWriter<Uint8Array>;
  readonly #fan: Fan;
  #refusal: Refusal | undefined;
  /** The reader was told that it is up to date. */
  #current = false;
  #beat: ReturnType<typeof setInterval> | undefined;
  readonly #ending: Ending;
  /** What was written, and the reader has yet to take; and what was asked for besides. */
  #unread = 0;
  #promised = 0;
  readonly #untaken = new Untaken();
  #looks = false;
  #ended = false;

  constructor(env: Env, namespace: string, name: string, until: number | undefined) {
    const { readable, writable } = new IdentityTransformStream();
    this.body = heldStream(readable);
    this.#writable = writable.getWriter();
    this.#fan = new Fan(env, namespace, name, this);
    this.#ending = new Ending(until, () => this.failed(ticketOver));
    this.#untaken.leave = () => this.#leave();
  }

  /** Refused where it cannot begin. */
  async begin(message: Subscribe): Promise<Refusal | undefined> {
    this.#write(`retry: ${retryMs}\n\n`);
    this.#beat = setInterval(() => this.#write(":\n\n"), beatMs);
    await this.#fan.subscribe(message);
    if (this.#refusal !== undefined) this.#close();
    return this.#refusal;
  }

  /** What the reader has not taken is not followed by much more. */
  get room(): number {
    const share = this.#untaken.share(windowBytes);
    if (share < windowBytes) void this.#lookLater();
    return this.#untaken.full ? 0 : share - this.#unread;
  }

  get heldMax(): number {
    return this.#untaken.share(windowBytes);
  }

  promise(bytes: number): void {
    this.#promised += bytes;
    this.#untaken.holds(this.#unread + this.#promised);
  }

  records(id: number, { message, partition, cost, upToDate, cursor, cursorAt }: Part): void {
    for (const item of itemsOf(message.subarray(recordsHeaderBytes))) {
      writer.text(`id: ${cursorAt(item.offset + 1)}\ndata: `);
      writer.record(item, partition);
      writer.text("\n\n");
    }
    this.#send(writer.take(), () => this.#fan.credit(id, Math.min(cost, limits.creditsMax)));
    if (upToDate && !this.#current) this.heartbeat(id, cursor, true);
    this.#current = upToDate;
  }

  heartbeat(_id: number, cursor: string, upToDate: boolean): void {
    this.#current = upToDate;
    this.#write(`event: heartbeat\nid: ${cursor}\ndata: ${JSON.stringify({ upToDate })}\n\n`);
  }

  lost(_id: number, lost: Parameters<Sink["lost"]>[1], cursor: string): void {
    this.#write(`event: lost\nid: ${cursor}\ndata: ${JSON.stringify({ lost })}\n\n`);
  }

  snapshot({ type: _, ...snapshot }: NewSnapshot): void {
    this.#write(`event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`);
  }

  end(_id: number, cursor: string): void {
    this.#write(`event: end\nid: ${cursor}\ndata: {}\n\n`);
    this.#close();
  }

  refused(_id: number, refusal: Refusal): void {
    this.failed(refusal);
  }

  failed(refusal: Refusal): void {
    this.#refusal = refusal;
    this.#write(`event: problem\ndata: ${JSON.stringify(refusal)}\n\n`);
    this.#close();
  }

  #write(text: string): void {
    this.#send(encodeText(text), () => {});
  }

  /** `taken` is called when the reader has it. */
  #send(bytes: Uint8Array, taken: () => void): void {
    const { length } = bytes;
    this.#holds(length);
    const took = () => {
      this.#untaken.took();
      this.#holds(-length);
      taken();
    };
    this.#writable.write(bytes).then(took, () => this.#gone());
  }

  #holds(more: number): void {
    this.#unread += more;
    this.#untaken.holds(this.#unread + this.#promised);
  }

  async #lookLater(): Promise<void> {
    if (this.#looks || this.#ended) return;
    this.#looks = true;
    await scheduler.wait(lookMs);
    this.#looks = false;
    if (!this.#ended) this.#fan.goOn();
  }

  /** It stopped reading, and others have no room: it goes on from the last event that it has. */
  #leave(): void {
    this.#gone();
    this.#writable.abort(new Error("the client takes nothing")).catch(() => {});
  }

  #close(): void {
    this.#end();
    // What it has not read yet is still there.
    this.#writable
      .close()
      .catch(() => {})
      .finally(() => this.#untaken.end());
  }

  #gone(): void {
    this.#end();
    this.#untaken.end();
  }

  #end(): void {
    this.#ended = true;
    clearInterval(this.#beat);
    this.#ending.drop();
    this.#fan.close();
  }
}
