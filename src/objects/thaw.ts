/** Followers that are far behind: what lies before them is in the archive, and comes without holding up those at the tail. */
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type Portion, portionOfPage, portionTerms } from "../log/follow.ts";
import type { Position } from "../log/read.ts";
import type { Answer, PageAnswer, ReadCall } from "./answer.ts";
import type { LiveHost } from "./appends.ts";
import { type Client, canTake, type Subscription } from "./clients.ts";
import { readThrough } from "./cold.ts";
import { findNewest } from "./newest.ts";
import { answerOf } from "./reading.ts";

/** What is done with the subscriptions. */
export interface Server {
  /** True while somebody still wants it. */
  wanted(socket: WebSocket, client: Client, sub: Subscription): boolean;
  /** Bytes that a client may be sent. */
  room(socket: WebSocket, client: Client): number;
  /** Sends a portion, and moves the subscription behind it. */
  show(socket: WebSocket, client: Client, sub: Subscription, portion: Portion): void;
  /** Goes on with what is hot. */
  go(): void;
}

/** How long a follower waits for an archive that could not be read. */
const retryMs = 2_000;

export class Thaw {
  readonly #busy = new Set<Subscription>();
  /** Subscriptions of a client read in turn: what one is about to be sent is not there for the next. */
  readonly #turns = new WeakMap<Client, Promise<unknown>>();

  constructor(
    readonly host: LiveHost,
    readonly server: Server,
  ) {}

  /** Reads for one subscription until it has come to what is hot, or has no credits. */
  read(socket: WebSocket, client: Client, sub: Subscription): void {
    if (this.#busy.has(sub)) return;
    this.#busy.add(sub);
    void this.#read(socket, client, sub).finally(() => {
      this.#busy.delete(sub);
      this.server.go();
    });
  }

  /** Finds the place of a subscription that waits for it, and lets it go; or says why there is none. */
  find(socket: WebSocket, client: Client, sub: Subscription): void {
    if (sub.sought !== undefined) void this.#find(socket, client, sub, sub.sought.position);
  }

  async #find(socket: WebSocket, client: Client, sub: Subscription, position: Position): Promise<void> {
    const place = await this.#locate(client, sub, position);
    const { sought } = sub;
    if (sought === undefined || !this.server.wanted(socket, client, sub)) return;
    if (place.ok) {
      sub.next = sub.said = place.value;
      sub.credits = sought.credits;
      delete sub.sought;
      client.keep(socket);
    } else client.end(socket, sub.id, place.refusal);
    this.server.go();
  }

  async #locate(client: Client, sub: Subscription, position: Position): Promise<Result<number>> {
    const filter = client.filterOf(sub);
    const { log } = this.host;
    if (position.at !== "last" || filter === undefined || log === undefined) return this.host.history.locate(position);
    const { partition } = log.spec;
    const newest = await findNewest(position.count, [partition], filter, async (_, call) => {
      const page = await this.#page(call);
      // Many pages are walked: others have a turn in between.
      await scheduler.wait(0);
      return page;
    });
    if (newest.ok) return ok(newest.value.places(false).get(partition) as number);
    return "refusal" in newest ? newest : refuse("stream-not-found", "the stream was deleted");
  }

  async #read(socket: WebSocket, client: Client, sub: Subscription): Promise<void> {
    for (;;) {
      const before = this.#turns.get(client) ?? Promise.resolve();
      const turn = before.then(() => this.#portion(socket, client, sub));
      this.#turns.set(client, turn);
      const pauseMs = await turn;
      if (pauseMs === undefined) return;
      if (pauseMs > 0) await scheduler.wait(pauseMs);
    }
  }

  /** Sends the next portion. Resolves to how long to wait before another, or to undefined where there is none to be had. */
  async #portion(socket: WebSocket, client: Client, sub: Subscription): Promise<number | undefined> {
    const filter = client.filterOf(sub);
    const { log } = this.host;
    if (log === undefined || !canTake(sub) || !this.server.wanted(socket, client, sub)) return undefined;
    if (log.segments.isHot(Math.max(sub.next, log.span.head))) return undefined;
    const room = this.server.room(socket, client);
    if (room <= 0) return undefined;
    const { next, credits } = sub;
    const terms = portionTerms(log, next, credits, filter, room);
    client.owed?.promise(terms.bytesMax);
    try {
      const page = await this.#page({ ...terms, waitMs: 0 });
      if (!page.ok) {
        // Overtaken by a trim: what is there now begins at the head.
        if ("refusal" in page && page.refusal.code === "trimmed") return 0;
        console.error("archive:", "refusal" in page ? page.refusal.detail : "the log went away");
        return retryMs;
      }
      if (!this.server.wanted(socket, client, sub)) return undefined;
      this.server.show(socket, client, sub, portionOfPage(page.value, next, credits, filter, room));
      return 0;
    } catch (error) {
      console.error("archive:", (error as Error).message);
      return retryMs;
    } finally {
      client.owed?.promise(0);
    }
  }

  /** A page of the log, wherever it lies. */
  async #page(call: ReadCall): Promise<Answer<PageAnswer>> {
    const { log } = this.host;
    if (log === undefined) return { ok: false, moved: 0 };
    const { logId, partition } = log.spec;
    return readThrough({ logId, partition, blobs: this.host.history.blobs }, call, async (call) => {
      const page = log.read(call);
      return page.ok ? ok(answerOf(log, page.value, 0)) : page;
    });
  }
}
