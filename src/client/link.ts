import { type MillraceError, network, otherwise } from "./error.ts";
import type { Http, SocketLike } from "./http.ts";
import { fits, messageShapes } from "./shapes.ts";

/** A socket that says nothing is asked, and given up for lost when it does not answer. */
const lookMs = 10_000;
const quietMs = 20_000;
const openMsMax = 15_000;
const lostMs = 30_000;

/** The last message: why a socket ended. */
export interface Ended {
  readonly type: "ended";
  readonly code: number;
  readonly reason: string;
}

/** Why a socket is to be followed by another. Nothing that it was asked was done behind its end. */
export const lost = (why: unknown): MillraceError => network(`its socket: ${why}`, true);

/** An open socket: messages in, messages out, and one end, which is the last of those that are heard. */
export class Link {
  #timer: ReturnType<typeof setInterval> | undefined;
  #heardAt = Date.now();
  #asked = false;
  #ended = false;

  /** Told of messages, once it is open. */
  // biome-ignore lint/suspicious/noExplicitAny: each kind of socket has messages of its own.
  #heard: ((message: any) => void) | undefined;

  private constructor(
    readonly http: Http,
    readonly socket: SocketLike,
  ) {}

  /**
   * Opens it. Nobody is told why a socket did not open: the same path is asked by HTTP, and the reason thrown. Undefined
   * where this place has no sockets. `signal` ends the opening, not what was opened.
   */
  static async open(
    http: Http,
    path: string,
    // biome-ignore lint/suspicious/noExplicitAny: as above.
    heard: (message: any) => void,
    signal?: AbortSignal,
  ): Promise<Link | undefined> {
    const { base } = http;
    const socket = await http.socket(path);
    if (socket === undefined) return undefined;
    const link = new Link(http, socket);
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", settle);
        resolve();
      };
      const timer = setTimeout(settle, openMsMax);
      signal?.addEventListener("abort", settle);
      socket.addEventListener("open", () => {
        link.#heard = heard;
        link.#watch(lookMs, quietMs);
        settle();
      });
      socket.addEventListener("error", settle);
      socket.addEventListener("close", ({ code, reason }: Ended) => {
        settle();
        link.close(code, reason);
      });
      socket.addEventListener("message", ({ data }: { data: string }) => link.#take(data));
    });
    if (link.#heard) return link;
    link.close();
    signal?.throwIfAborted();
    await http.once("GET", path, { signal }).catch((error) => {
      // It finds nothing wrong but that it is no socket's.
      if (error.status !== 426) throw error;
    });
    http.turn(base);
    throw lost("it did not open");
  }

  send(message: object): void {
    if (!this.#ended && this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  close(code = 0, reason = ""): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#timer);
    this.#heard?.({ type: "ended", code, reason });
    try {
      this.socket.close();
    } catch {
      // It was never open.
    }
  }

  #take(data: string): void {
    this.#heardAt = Date.now();
    this.#asked = false;
    if (this.#ended || data === "pong") return;
    const message = this.#parsed(data);
    if (!fits(message, messageShapes[message?.type] ?? { type: "" })) this.close(1006, otherwise);
    // It lies behind all that came before it: it goes back as it is, whatever the reader is busy with.
    else if (message.type === "confirm") this.socket.send(data);
    // What a later service says besides is not for this library.
    else if (message.type in messageShapes) {
      this.#heard?.(message);
      if (message.fatal) this.close();
    }
    // A member that says nothing for a heartbeat is taken for gone, whatever it hears.
    if (message?.heartbeatMs > 0) this.#watch(Math.min(lookMs, message.heartbeatMs / 3), 0);
  }

  /** What is not understood would not be the next time: whoever listens is told, as of what the service finds wrong. */
  #parsed(data: string) {
    const { parse } = this.http.options;
    try {
      return (parse ?? JSON.parse)(data);
    } catch (error) {
      // Without a reader of the caller's own it is of something in between.
      if (!parse) return undefined;
      return { type: "error", code: "invalid", detail: String(error), fatal: true };
    }
  }

  /** Looks so often whether it has been quiet for so long. */
  #watch(everyMs: number, quietMs: number): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => {
      const silent = Date.now() - this.#heardAt;
      if (this.#asked && silent > lostMs) this.close(1006, "it fell silent");
      if (silent < quietMs || this.socket.readyState !== 1) return;
      this.#asked = true;
      this.socket.send("ping");
    }, everyMs);
  }
}
