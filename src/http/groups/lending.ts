/**
 * Credits of one member, lent to the partitions that have something: no more than there are, in even shares; where there is too
 * little, in turn. What is not used comes back.
 */
import type { Expected, Owed } from "../../objects/owed.ts";
import { post, roomOf } from "../../objects/socket.ts";
import { loanBytes } from "./upstream.ts";

/** A socket to a delivery. */
export interface Upstream {
  readonly socket: WebSocket;
  /** Credits that it was lent and has not used. */
  lent: number;
  /** It has something to be had for credits. */
  waiting: boolean;
}

/** Whom the credits are from. */
export interface Lender {
  readonly client: WebSocket;
  readonly owed: Owed;
  /** What a loan brings, of all members of the group. */
  readonly expected: Expected;
  /** It was asked long ago what it has read. */
  slow(): void;
  /** What others owe holds it up. */
  crowded(): void;
}

export class Lending {
  readonly upstreams = new Map<number, Upstream>();
  /** Credits of the member that no partition has used, lent or not. */
  credits = 0;
  #closed = false;

  constructor(readonly lender: Lender) {}

  add(partition: number, socket: WebSocket): Upstream {
    const upstream: Upstream = { socket, lent: 0, waiting: false };
    this.upstreams.set(partition, upstream);
    return upstream;
  }

  drop(partition: number): void {
    this.upstreams.delete(partition);
    this.promise();
  }

  /** So many of a loan were used, or came back. */
  back(upstream: Upstream, credits: number): void {
    upstream.lent -= credits;
    this.promise();
  }

  lend(): void {
    if (this.#closed) return;
    const { client, owed } = this.lender;
    let left = this.credits;
    // Each loan may bring so much, and the first one more than there is room for.
    let room = roomOf(client);
    const loan = this.#loan;
    if (room <= 0 && left > 0 && owed.isLate(Date.now())) {
      this.lender.slow();
      return;
    }
    if (room <= 0) this.lender.crowded();
    for (const { lent } of this.upstreams.values()) {
      left -= lent;
      if (lent > 0) room -= loan;
    }
    const waiting = [...this.upstreams].filter(([, { waiting }]) => waiting);
    for (const [index, [partition, upstream]] of waiting.entries()) {
      if (left <= 0 || room <= 0) return;
      room -= loan;
      const credits = Math.ceil(left / (waiting.length - index));
      left -= credits;
      upstream.lent += credits;
      upstream.waiting = false;
      this.promise();
      // Next time the others come first.
      this.upstreams.delete(partition);
      this.upstreams.set(partition, upstream);
      post(upstream.socket, JSON.stringify({ type: "credit", credits }));
    }
  }

  /** A loan brings one record at least, however large it is. */
  get #loan(): number {
    return Math.max(loanBytes, this.lender.expected.bytes);
  }

  /** What loans may bring counts before it has come. */
  promise(): void {
    if (this.#closed) return;
    let loans = 0;
    for (const { lent } of this.upstreams.values()) if (lent > 0) loans++;
    this.lender.owed.promise(loans * this.#loan);
  }

  /** Nothing is lent any more, and nothing is owed. */
  close(): void {
    this.#closed = true;
    this.lender.owed.end();
  }
}
