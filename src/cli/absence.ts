/** That the service is away is said at once, and no more than once a minute, by a command that waits for it. */
import type { MillraceOptions } from "../client/index.ts";

const minuteMs = 60_000;
type Fetch = NonNullable<MillraceOptions["fetch"]>;

export class Absence {
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(readonly say: (line: string) => void = (line) => console.error(line)) {}

  /** Asks as `fetch` does, and hears whether there is an answer. */
  hearing(fetch: Fetch = globalThis.fetch): Fetch {
    return async (url, init) => {
      try {
        const answer = await fetch(url, init);
        // Behind a proxy it is away too; and one that lets no socket through is told by who asks why it did not open.
        if (answer.status >= 500) this.#away(`${answer.status} ${answer.statusText}`.trim());
        else if (answer.status === 426) this.#away("a socket does not open, though the address is right");
        return answer;
      } catch (error) {
        const { message, cause } = error as Error & { cause?: Error & { code?: string } };
        if (!init?.signal?.aborted) this.#away(cause?.message || cause?.code || message);
        throw error;
      }
    };
  }

  #away(why: string): void {
    const now = performance.now();
    if (now - this.#saidAt < minuteMs) return;
    this.#saidAt = now;
    this.say(`millrace: the service did not answer: ${why}; trying again until it does`);
  }
}
