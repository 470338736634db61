/** Follows by a socket with credits, whose records are JSON or packed frames. */
import { Violation } from "../frame/checks.ts";
import type { Json } from "../frame/http.ts";
import { type RecordsMessage, recordsIn } from "../frame/packed.ts";
import { Later, onAbort, sleep } from "../frame/time.ts";
import { Refused, WebSocketClient } from "../frame/web-socket.ts";
import { Follower } from "./follower.ts";
import { elements, members } from "./json-text.ts";
import { filterQuery } from "./model.ts";
import { fromFrame, type Read, readRecord } from "./read.ts";
import type { ScriptRun } from "./script.ts";

/** The messages of a text: several may come as one, each on a line of its own. */
export async function openSocket(
  run: ScriptRun,
  partition: number | null,
  onMessage: (type: string, message: Json, text: string) => void,
  onClose: (code: number, reason: string) => void,
  onBinary?: (bytes: Buffer) => void,
): Promise<WebSocketClient | undefined> {
  const url = `${run.round.service.origin}${run.stream}/live${partition === null ? "" : `?partition=${partition}`}`;
  try {
    return await WebSocketClient.open(url, {
      protocols: [onBinary === undefined ? "millrace.v1" : "millrace.v1.binary"],
      headers: { Authorization: `Bearer ${run.round.service.token}` },
      onText: (text) => {
        const message = JSON.parse(text);
        onMessage(message.type, message, text);
      },
      onClose,
      ...(onBinary && { onBinary }),
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof Refused) {
      const passing = error.status === 503;
      run.round.checks.that("accepted", passing, () => `a socket was refused: ${error.message}`);
      return undefined;
    }
    if (code === undefined && !/hang up|not answered/.test((error as Error).message)) throw error;
    return undefined;
  }
}

export class SocketFollower extends Follower {
  #balance = 0;
  #owed = 0;
  #socket: WebSocketClient | undefined;
  #finished = false;
  /** The present connection has ended. */
  #closed: Later | undefined;
  #error: unknown;
  /** Where frames go on, by what the messages of this connection said. */
  readonly #next = new Map<number, number>();

  protected async connect(signal: AbortSignal): Promise<boolean> {
    const closed = new Later();
    this.#closed = closed;
    const { partition } = this.start;
    const { run } = this;
    const socket = await openSocket(
      run,
      partition,
      (type, message, text) => this.#guarded(() => this.#message(type, message, text)),
      (code, reason) => {
        run.note([], () => `${this.name} was closed with ${code} ${reason}`);
        closed.resolve();
      },
      ...(this.#packed ? [(bytes: Buffer) => this.#guarded(() => this.#frames(bytes))] : []),
    );
    if (socket === undefined) {
      await sleep(50, signal);
      return false;
    }
    this.#socket = socket;
    const cut = () => {
      socket.cut();
      closed.resolve();
    };
    // Each of these may have come while the connection was made.
    const watched = [signal, run.round.stopped].map((one) => onAbort(one, cut));
    if (this.#finished) cut();
    if (socket.open) this.#subscribe(socket);
    await closed.promise;
    for (const unwatch of watched) unwatch();
    if (this.#error !== undefined) throw this.#error;
    return this.#finished;
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#error ??= error;
      this.#socket?.cut();
      this.run.failed(error);
      this.leave();
    }
  }

  #subscribe(socket: WebSocketClient): void {
    const { window, filter } = this.plan;
    this.#balance = window;
    this.#owed = 0;
    this.#next.clear();
    if (this.#packed) this.rewind();
    const pairs = filterQuery(filter);
    const all = (name: string) => pairs.filter(([one]) => one === name).map(([, value]) => value);
    const [key] = all("key");
    const asked = {
      ...(key !== undefined && { key }),
      ...(all("type").length > 0 && { types: all("type") }),
      ...(all("tag").length > 0 && { tags: all("tag") }),
      ...(filter.match !== undefined && { match: filter.match }),
    };
    const from = this.cursor ?? this.start.from;
    const { partition } = this.start;
    const message = {
      type: "subscribe",
      id: 1,
      from,
      credits: window,
      ...(partition !== null && { partition }),
      ...(pairs.length > 0 && { filter: asked }),
    };
    socket.send(JSON.stringify(message));
  }

  #message(type: string, message: Json, text: string): void {
    const { checks } = this.run.round;
    if (type === "records") this.#records(message, text);
    if (type === "lost" && this.#packed) for (const { partition, to } of message.lost) this.#next.set(partition, to);
    if (type === "snapshot") this.takeSnapshot(message);
    if (type === "lost") this.takeLost(message.lost);
    if (message.cursor !== undefined) this.goOnAt(message.cursor);
    if ((type === "heartbeat" || type === "records") && message.upToDate) this.ready.resolve();
    // Of the whole stream nothing ends: a split follows, and it goes on from the cursor.
    if (type === "end" && this.start.partition !== null) {
      this.#finished = true;
      this.ready.resolve();
      this.#socket?.close();
      // There is nothing to wait for, whatever becomes of the connection.
      this.#closed?.resolve();
    }
    if (type !== "error") return;
    const passing = ["unavailable", "overloaded", "sealed"].includes(message.code);
    checks.that("accepted", passing, () => `${this.name} was told ${text}`);
    // One that is cut is told of nothing more.
    this.#socket?.cut();
    this.#closed?.resolve();
  }

  get #packed(): boolean {
    return this.plan.kind === "frames";
  }

  #records(message: Json, text: string): void {
    this.run.round.checks.that("frames", !this.#packed, () => `${this.name} takes frames, and was sent ${text}`);
    const records = elements(members(text).get("records") as string);
    this.#taken(
      records.map((record) => readRecord(record, false)),
      message.cost,
    );
  }

  /** What such a message says of itself; whoever follows one partition goes on by the place in it. */
  #frames(bytes: Buffer): void {
    const { id, cost, partition, next, upToDate, records } = this.#unpacked(bytes);
    const before = this.#next.get(partition) ?? 0;
    const within = records.every(({ offset }) => offset >= before && offset < next);
    const words = () =>
      `${this.name} got frames of subscription ${id}, partition ${partition}, from ${before} up to ${next}, with ${records.map(({ offset }) => offset)}`;
    const only = this.start.partition ?? partition;
    const right = id === 1 && partition === only && records.length > 0 && next > before && within;
    this.run.round.checks.that("frames", right, words);
    this.#next.set(partition, next);
    this.#taken(
      records.map((record) => fromFrame(record, partition)),
      cost,
    );
    if (this.start.partition !== null) this.goOnAt(String(next));
    if (upToDate) this.ready.resolve();
  }

  #unpacked(bytes: Buffer): RecordsMessage {
    try {
      return recordsIn(bytes);
    } catch (error) {
      throw new Violation("frames", `${this.name}: ${(error as Error).message}`);
    }
  }

  #taken(records: readonly Read[], cost: number): void {
    const { checks } = this.run.round;
    // One that costs more than is left goes nevertheless, and is owed.
    // So does a message of one of several partitions, which share them.
    const most = this.start.partition === null && this.run.model.partitions.size > 1 ? this.plan.window : this.#balance;
    const covered = this.#balance > 0 && (cost <= most || cost > records.length);
    checks.that(
      "credits",
      covered && cost >= records.length,
      () => `${this.name} had ${this.#balance} credits, and got ${records.length} records for ${cost}`,
    );
    this.#balance -= cost;
    this.#owed += cost;
    for (const record of records) this.take(record);
    if (this.#owed < this.plan.window / 4) return;
    this.#socket?.send(JSON.stringify({ type: "credit", id: 1, credits: this.#owed }));
    this.#balance += this.#owed;
    this.#owed = 0;
  }
}
