/**
 * What a client has been sent, and has not shown that it has read. A socket says nothing of what waits behind it in memory, and
 * credits are words: whoever gives them without reading would be sent the whole log. So a client is asked now and then to send
 * a word back that lies behind the bytes, which nobody can who has not read them.
 *
 *     ──── confirmed ────┬──── asked about ────┬──── sent since ────▶ bytes
 *                        └────────── at most `window` ──────────┘
 *
 * The window begins small and doubles with each answer: one that never reads costs little, one that reads is not held up. All
 * clients of one log in one place share a pool; when that runs full, only those that owe nothing are sent more.
 */
import { limits } from "../../schemas/limits.ts";

/** In a crowd a client is sent so many bytes at a time. */
const crowdedBytes = 16_384;
const crowdedMs = 1_000;
/** A size that came once is half forgotten after seventy that are smaller. */
const forgets = 0.99;

/** How large what comes has been: soon as large as the largest, and smaller again when nothing such came for a while. */
export class Expected {
  bytes = 0;

  saw(bytes: number): void {
    this.bytes = Math.max(bytes, this.bytes * forgets);
  }
}

/** Bytes that the clients of one log owe together. */
export class Pool {
  owed = 0;
  readonly expected = new Expected();

  get crowded(): boolean {
    return this.owed >= limits.unconfirmedBytesOfAllMax / 2;
  }

  get full(): boolean {
    return this.owed >= limits.unconfirmedBytesOfAllMax;
  }
}

/** Those that what others owe holds up: nobody tells them that there is room again, so that they look. */
export class Crowd {
  #looking = false;

  constructor(readonly goOn: () => void) {}

  async lookLater(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    await scheduler.wait(crowdedMs);
    this.#looking = false;
    this.goOn();
  }
}

/** Plain, because it lies in a socket's attachment while the object sleeps. */
export interface Account {
  window: number;
  /** Bytes sent and not confirmed. */
  unread: number;
  /** The question that is open: the word, the bytes that it lies behind, and when it was asked. */
  asked?: { readonly nonce: string; readonly bytes: number; readonly at: number };
}

export const newAccount = (): Account => ({ window: limits.unconfirmedBytesFirst, unread: 0 });

export class Owed {
  /** Bytes that others were asked for, to be sent. */
  #promised = 0;

  constructor(
    readonly account: Account,
    readonly pool: Pool,
  ) {
    pool.owed += account.unread;
  }

  /** What is on its way to be sent counts for all together: many may ask at once. It replaces what was promised before. */
  promise(bytes: number): void {
    this.pool.owed += bytes - this.#promised;
    this.#promised = bytes;
  }

  /** Bytes that may be sent: a message that has begun may go beyond. */
  get room(): number {
    const { window, unread } = this.account;
    if (this.pool.full) return 0;
    if (this.pool.crowded) return unread === 0 ? Math.min(window, crowdedBytes) : 0;
    // What is left of a window is not worth a message of its own: an answer is on its way.
    return window - unread < window / 8 ? 0 : window - unread;
  }

  /** What waits to be sent to it comes to as much as it may be sent. */
  get heldMax(): number {
    const { window } = this.account;
    return this.pool.crowded ? Math.min(window, crowdedBytes) : window;
  }

  sent(bytes: number): void {
    this.account.unread += bytes;
    this.pool.owed += bytes;
  }

  /** True where it is time to ask: early enough that one who reads is never held up. */
  get due(): boolean {
    const { window, unread, asked } = this.account;
    return asked === undefined && unread > 0 && (unread >= window / 4 || this.pool.crowded);
  }

  ask(nonce: string, now: number): void {
    this.account.asked = { nonce, bytes: this.account.unread, at: now };
  }

  /** False where nothing of the kind was asked: then it says nothing. */
  confirm(nonce: string): boolean {
    const { asked, window } = this.account;
    if (asked?.nonce !== nonce) return false;
    delete this.account.asked;
    const bytes = Math.min(asked.bytes, this.account.unread);
    this.account.unread -= bytes;
    this.pool.owed -= bytes;
    this.account.window = Math.min(limits.unconfirmedBytesMax, window * 2);
    return true;
  }

  /** It has not answered for so long that it is taken not to read. */
  isLate(now: number): boolean {
    const { asked } = this.account;
    return asked !== undefined && now - asked.at >= limits.confirmMsMax;
  }

  /** More is on its way than the service would send of itself: the answers to what somebody says who reads none of them. */
  get isDeaf(): boolean {
    return this.account.unread > 2 * limits.unconfirmedBytesMax;
  }

  /** The socket has ended, and what it owes with it. */
  end(): void {
    this.pool.owed -= this.account.unread;
    this.account.unread = 0;
    this.promise(0);
  }
}
