/** Follows by a socket with credits. */
import type { Json } from "../frame/http.ts";
import { Later, sleep } from "../frame/time.ts";
import { Refused, WebSocketClient } from "../frame/web-socket.ts";
import { Follower } from "./follower.ts";
import { elements, members } from "./json-text.ts";
import { filterQuery } from "./model.ts";
import { readRecord } from "./read.ts";
import type { ScriptRun } from "./script.ts";

/** The messages of a text: several may come as one, each on a line of its own. */
export async function openSocket(
  run: ScriptRun,
  partition: number | null,
  onMessage: (type: string, message: Json, text: string) => void,
  onClose: (code: number, reason: string) => void,
): Promise<WebSocketClient | undefined> {
  const url = `${run.round.service.origin}${run.stream}/live${partition === null ? "" : `?partition=${partition}`}`;
  try {
    return await WebSocketClient.open(url, {
      protocols: ["millrace.v1"],
      headers: { Authorization: `Bearer ${run.round.service.token}` },
      onText: (text) => {
        const message = JSON.parse(text);
        onMessage(message.type, message, text);
      },
      onClose,
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
  #error: unknown;

  protected async connect(signal: AbortSignal): Promise<boolean> {
    const closed = new Later();
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
    signal.addEventListener("abort", cut, { once: true });
    run.round.stopped.addEventListener("abort", cut, { once: true });
    if (this.left) cut();
    this.#subscribe(socket);
    await closed.promise;
    signal.removeEventListener("abort", cut);
    run.round.stopped.removeEventListener("abort", cut);
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
    if (type === "lost") this.takeLost(message.lost);
    if (message.cursor !== undefined) this.cursor = message.cursor;
    if ((type === "heartbeat" || type === "records") && message.upToDate) this.ready.resolve();
    // Of the whole stream nothing ends: a split follows, and it goes on from the cursor.
    if (type === "end" && this.start.partition !== null) {
      this.#finished = true;
      this.ready.resolve();
      this.#socket?.close();
    }
    if (type !== "error") return;
    const passing = ["unavailable", "overloaded", "sealed"].includes(message.code);
    checks.that("accepted", passing, () => `${this.name} was told ${text}`);
    this.#socket?.cut();
  }

  #records(message: Json, text: string): void {
    const { checks } = this.run.round;
    const records = elements(members(text).get("records") as string);
    const { cost } = message;
    // One that costs more than is left goes nevertheless, and is owed.
    const covered = this.#balance > 0 && (cost <= this.#balance || cost > records.length);
    checks.that(
      "credits",
      covered && cost >= records.length,
      () => `${this.name} had ${this.#balance} credits, and got ${records.length} records for ${cost}`,
    );
    this.#balance -= cost;
    this.#owed += cost;
    for (const record of records) this.take(readRecord(record, false));
    if (this.#owed < this.plan.window / 4) return;
    this.#socket?.send(JSON.stringify({ type: "credit", id: 1, credits: this.#owed }));
    this.#balance += this.#owed;
    this.#owed = 0;
  }
}
