/** A stream's partitions as a Worker that fans in sees them: sockets that open when they are told to, and break. */
import { scheduler } from "node:timers/promises";
import { ok, type Refusal } from "../../schemas/errors.ts";
import { streamDefaults } from "../../schemas/stream.ts";
import { firstMap } from "../../src/catalog/map.ts";
import { Fan } from "../../src/http/live/fan.ts";
import type { Part, Sink } from "../../src/http/live/sink.ts";
import { recordsMessage } from "../../src/log/message.ts";
import type { Env } from "../../src/objects/stubs.ts";

Object.assign(globalThis, { scheduler });

type Said = { readonly type: string; readonly id: number; readonly from?: number; readonly credits?: number };

/** The Worker's end of a socket to a partition. */
export class Inner {
  binaryType = "";
  readonly said: Said[] = [];
  closed = false;
  broken = false;
  readonly #listeners = new Map<string, ((event: object) => void)[]>();

  constructor(readonly partition: number) {}

  addEventListener(type: string, listener: (event: object) => void): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  accept(): void {}

  send(text: string): void {
    if (this.broken || this.closed) throw new Error("the socket is closed");
    this.said.push(JSON.parse(text));
  }

  close(): void {
    this.closed = true;
  }

  break(type: "close" | "error" = "close"): void {
    this.broken = true;
    this.#tell(type, { code: 1006 });
  }

  /** The partition sends one record to a subscription. */
  record(id: number, next: number, upToDate = true): void {
    const header = { partition: this.partition, upToDate, cost: 1, next };
    const message = recordsMessage(header, []);
    new DataView(message.buffer).setUint32(4, id, true);
    this.#tell("message", { data: message.buffer });
  }

  #tell(type: string, event: object): void {
    for (const listener of this.#listeners.get(type) ?? []) listener(event);
  }

  of(type: string): Said[] {
    return this.said.filter((one) => one.type === type);
  }
}

let count = 0;

export class Upstreamed {
  readonly sockets: Inner[] = [];
  readonly parts: Part[] = [];
  readonly refusals: Refusal[] = [];
  readonly snapshots: unknown[] = [];
  /** Partitions that are slow to open: what lets them. */
  readonly slow = new Map<number, Promise<void>>();
  /** The catalog does not answer. */
  away = false;
  /** What the partitions answer. */
  order: (partition: number, name: string, position: unknown) => unknown = () => ok(0);
  readonly fan: Fan;
  readonly logId: string;

  constructor(partitions: number) {
    const name = `fan${count++}`;
    this.logId = count.toString(16).padStart(20, "0");
    const config = { ...streamDefaults, partitions };
    const stream = { name, logId: this.logId, version: 1, config, map: firstMap(partitions), created: 0, updated: 0 };
    const partition = (number: number) => ({
      order: async (name: string, position: unknown) => this.order(number, name, position),
      fetch: async () => {
        await this.slow.get(number);
        const webSocket = new Inner(number);
        this.sockets.push(webSocket);
        return { status: 101, webSocket };
      },
    });
    const env = {
      CATALOG: {
        getByName: () => ({
          stream: async () => {
            if (this.away) throw new Error("away");
            return ok(stream);
          },
        }),
      },
      PARTITION: { getByName: (name: string) => partition(Number(name.split("/")[1])) },
    };
    this.fan = new Fan(env as unknown as Env, "default", name, this.#sink());
  }

  /** The sockets of a partition that are neither broken nor closed. */
  open(partition: number): Inner[] {
    return this.sockets.filter((one) => one.partition === partition && !one.broken && !one.closed);
  }

  #sink(): Sink {
    return {
      room: Number.POSITIVE_INFINITY,
      heldMax: Number.POSITIVE_INFINITY,
      records: (_id, part) => void this.parts.push(part),
      heartbeat: () => {},
      lost: () => {},
      snapshot: (snapshot) => void this.snapshots.push(snapshot),
      end: () => {},
      refused: (_id, refusal) => void this.refusals.push(refusal),
      failed: (refusal) => void this.refusals.push(refusal),
    };
  }
}
