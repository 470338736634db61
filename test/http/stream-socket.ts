/** A client of a stream's socket, and what it was sent. */
import { expect } from "vitest";
import type { StreamMessage } from "../../schemas/frames.ts";
import type { Verdict } from "../../schemas/record.ts";
import { openFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";

export interface Shown {
  readonly partition: number;
  readonly offset: number;
  readonly key?: string;
  readonly data: unknown;
}

export interface Batch {
  readonly id: number;
  readonly cost: number;
  readonly cursor?: string;
  readonly next?: number;
  readonly upToDate: boolean;
  readonly records: readonly Shown[];
}

type Of<T extends StreamMessage["type"]> = Extract<StreamMessage, { type: T }>;
export type VerdictRun = Verdict & { count: number };

/** Node's WebSocket takes headers, which the type of browsers does not know. */
interface Options {
  readonly headers?: Record<string, string>;
  readonly protocols?: readonly string[];
}

export class StreamSocket {
  readonly messages: StreamMessage[] = [];
  readonly batches: Batch[] = [];
  readonly answers: { id: number; runs: VerdictRun[] }[] = [];
  pongs = 0;
  /** It sends back what it is asked to. */
  confirms = true;
  closed: { code: number; reason: string } | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => this.#take(data));
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
  }

  static async open(url: string, options: Options): Promise<StreamSocket> {
    const socket = new WebSocket(url.replace("http", "ws"), options as unknown as string[]);
    const client = new StreamSocket(socket);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error("the socket did not open")));
    });
    return client;
  }

  #take(data: unknown): void {
    if (data === "pong") this.pongs++;
    else if (typeof data === "string") {
      const message = JSON.parse(data) as StreamMessage;
      if (message.type === "confirm" && this.confirms) this.socket.send(data);
      this.messages.push(message);
      if (message.type === "records") this.batches.push(message as unknown as Batch);
      if (message.type === "verdicts") this.answers.push(...(message.answers as typeof this.answers));
    } else this.batches.push(binaryBatch(data as ArrayBuffer));
  }

  send(message: object | string): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  of<T extends StreamMessage["type"]>(type: T): Of<T>[] {
    return this.messages.filter((message): message is Of<T> => message.type === type);
  }

  records(id?: number): Shown[] {
    return this.batches.filter((batch) => id === undefined || batch.id === id).flatMap(({ records }) => records);
  }

  async until(what: () => boolean | number, more = 1): Promise<void> {
    await expect.poll(() => Number(what()), { timeout: 10_000, interval: 5 }).toBeGreaterThanOrEqual(more);
  }

  /** The records of a subscription, once there are so many. */
  async untilRecords(count: number, id?: number): Promise<Shown[]> {
    await this.until(() => this.records(id).length, count);
    return this.records(id);
  }

  async untilOf<T extends StreamMessage["type"]>(type: T, count = 1): Promise<Of<T>[]> {
    await this.until(() => this.of(type).length, count);
    return this.of(type);
  }

  async untilClosed(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined);
    return this.closed as { code: number; reason: string };
  }

  /** Resolves when what was sent so far has been dealt with: a socket keeps its order. */
  async settled(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** The bytes are described in docs/PROTOCOL.md. */
function binaryBatch(buffer: ArrayBuffer): Batch {
  const view = new DataView(buffer);
  expect(view.getUint8(0)).toBe(2);
  const partition = view.getUint32(12, true);
  const records: Shown[] = [];
  const frames = openFrames(new Uint8Array(buffer, 24));
  if (!frames.ok) throw new Error(frames.refusal.detail);
  for (const frame of frames.value) {
    decodeFrame(frame, ({ key, data }, offset) =>
      records.push({
        partition,
        offset,
        data: JSON.parse(new TextDecoder().decode(data)),
        ...(key === undefined ? {} : { key }),
      }),
    );
  }
  return {
    id: view.getUint32(4, true),
    cost: view.getUint32(8, true),
    next: view.getFloat64(16, true),
    upToDate: view.getUint8(1) === 1,
    records,
  };
}
