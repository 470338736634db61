/** Followers that are far behind: what lies before them is in the archive, and comes without holding up those at the tail. */
import { ok, type Result } from "../../schemas/errors.ts";
import { type Portion, portionOfPage, portionTerms } from "../log/follow.ts";
import type { Position } from "../log/read.ts";
import type { ReadCall } from "./answer.ts";
import type { LiveHost } from "./appends.ts";
import type { Client, Subscription } from "./clients.ts";
import { readThrough } from "./cold.ts";
import { answerOf } from "./reading.ts";

/** What is done with the subscriptions. */
export interface Server {
  /** True while somebody still wants it. */
  wanted(socket: WebSocket, client: Client, sub: Subscription): boolean;
  /** Sends a portion, and moves the subscription behind it. */
  show(socket: WebSocket, client: Client, sub: Subscription, portion: Portion): void;
  /** Goes on with what is hot. */
  go(): void;
}

/** How long a follower waits for an archive that could not be read. */
const retryMs = 2_000;

export class Thaw {
  readonly #busy = new Set<Subscription>();

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

  /** Finds a subscription's place in the archive, and lets it go. */
  find(socket: WebSocket, client: Client, sub: Subscription, position: Position): void {
    const found = (offset: Result<number>) => {
      if (sub.held === undefined || !this.server.wanted(socket, client, sub)) return;
      if (offset.ok) sub.next = sub.said = offset.value;
      sub.credits = sub.held;
      delete sub.held;
      client.keep(socket);
      this.server.go();
    };
    void this.host.history.locate(position).then(found);
  }

  async #read(socket: WebSocket, client: Client, sub: Subscription): Promise<void> {
    const filter = client.filterOf(sub);
    for (;;) {
      const { log } = this.host;
      if (log === undefined || sub.credits <= 0 || !this.server.wanted(socket, client, sub)) return;
      if (log.segments.isHot(Math.max(sub.next, log.span.head))) return;
      const { logId, partition } = log.spec;
      const { next, credits } = sub;
      const call: ReadCall = { ...portionTerms(log, next, credits, filter), waitMs: 0 };
      const where = { logId, partition, blobs: this.host.history.blobs };
      const page = await readThrough(where, call, async (call) => {
        const page = log.read(call);
        return page.ok ? ok(answerOf(log, page.value, 0)) : page;
      });
      if (!page.ok) {
        console.error("archive:", "refusal" in page ? page.refusal.detail : "the log went away");
        await scheduler.wait(retryMs);
        continue;
      }
      if (!this.server.wanted(socket, client, sub)) return;
      this.server.show(socket, client, sub, portionOfPage(page.value, log, next, credits, filter));
    }
  }
}
