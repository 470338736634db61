/** Sockets of which it is known when they are closed: what was said on them before has come to the service then. */
import type { MillraceOptions } from "../client/index.ts";

export class Sockets {
  readonly #open = new Set<Promise<unknown>>();

  /** For a client whose sockets these are. Empty where there are none. */
  get options(): Pick<MillraceOptions, "WebSocket"> {
    const { WebSocket } = globalThis;
    if (WebSocket === undefined) return {};
    const open = this.#open;
    class Watched extends WebSocket {
      constructor(url: string, protocols?: string[]) {
        super(url, protocols);
        const closed = new Promise<void>((resolve) => this.addEventListener("close", () => resolve()));
        open.add(closed);
        void closed.then(() => open.delete(closed));
      }
    }
    return { WebSocket: Watched as unknown as NonNullable<MillraceOptions["WebSocket"]> };
  }

  /** Resolves when none is open: a process that ends before may take with it what it said last. */
  async closed(): Promise<void> {
    await Promise.all(this.#open);
  }
}
