/** That the service is away is said by a command that waits for it, and no more than once a minute. */
import type { MillraceError, MillraceOptions } from "../client/index.ts";
import { inOneLine } from "./output.ts";

const minuteMs = 60_000;
/** For so long nobody asks why nothing is said. */
const graceMs = 2_000;
type Fetch = NonNullable<MillraceOptions["fetch"]>;

export class Absence {
  #saidAt = Number.NEGATIVE_INFINITY;
  /** The last failure, and the first one of those that followed each other. */
  #failedAt = Number.NEGATIVE_INFINITY;
  #since = 0;

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

  /** As `onRetry`: hears of what fails, whoever answers, and says it of what goes on failing. */
  readonly retried = ({ message }: MillraceError): void => {
    const now = performance.now();
    if (now - this.#failedAt > minuteMs) this.#since = now;
    this.#failedAt = now;
    if (now - this.#since >= graceMs) this.#tell(`${inOneLine(message)}; trying again`);
  };

  #away(why: string): void {
    this.#tell(`the service did not answer: ${why}; trying again until it does`);
  }

  #tell(what: string): void {
    const now = performance.now();
    if (now - this.#saidAt < minuteMs) return;
    this.#saidAt = now;
    this.say(`millrace: ${what}`);
  }
}
