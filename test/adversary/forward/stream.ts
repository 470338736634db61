/** The stream as readers have it, with the very bytes of its records. */
import { Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { elements, members } from "../log/json-text.ts";
import { named } from "./contents.ts";

const name = "/streams/s";

/** Of a record. */
export interface Shown {
  readonly key: string | undefined;
  readonly form: "json" | "text" | "binary";
  /** JSON as it came, or the bytes of a text. What JSON shows of a text that a JSON text may also be. */
  readonly bytes: Buffer;
  /** The JSON of data that are a string: nobody knows whether it was a text. */
  readonly quoted: string | undefined;
}

export class Stream {
  /** Which lines somebody has seen in it: numbers by log. */
  readonly seen = new Map<number, Set<number>>();
  #cursor: string | undefined;

  constructor(readonly round: Round) {}

  /** Everything that is there, in the merged order. */
  async all(): Promise<Shown[]> {
    const found: Shown[] = [];
    let from = "earliest";
    for (;;) {
      const { shown, next, upToDate } = await this.#page(from);
      found.push(...shown);
      if (upToDate) return found;
      from = next;
    }
  }

  /** Looks for what has come. */
  async look(): Promise<void> {
    for (;;) {
      const { shown, next, upToDate } = await this.#page(this.#cursor ?? "earliest");
      for (const { bytes } of shown) {
        const line = named(bytes.toString("latin1"));
        if (line === undefined) continue;
        const numbers = this.seen.get(line.log) ?? new Set();
        this.seen.set(line.log, numbers.add(line.number));
      }
      this.#cursor = next;
      if (upToDate) return;
    }
  }

  /** The same; whatever is away now is there another time. */
  async glance(): Promise<void> {
    try {
      await this.look();
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
    }
  }

  async #page(from: string): Promise<{ shown: Shown[]; next: string; upToDate: boolean }> {
    const path = `${name}/records?from=${encodeURIComponent(from)}&limit=10000&maxBytes=8388608`;
    for (;;) {
      const { deaths } = this.round;
      try {
        const answer = await this.round.ask("GET", path);
        this.round.checks.that("accepted", answer.status === 200, () => `GET ${path}: ${answer.body}`);
        const page = members(answer.body.toString());
        const shown = elements(page.get("records") as string).map(shownIn);
        return { shown, next: answer.json.cursor, upToDate: answer.json.upToDate };
      } catch (error) {
        if (!(error instanceof Lost) || this.round.deaths === deaths) throw error;
      }
    }
  }

  async put(config: object): Promise<void> {
    await this.round.surely("PUT", name, { body: config });
  }
}

function shownIn(text: string): Shown {
  const record = members(text);
  const key = record.has("key") ? (JSON.parse(record.get("key") as string) as string) : undefined;
  const base64 = record.get("data_base64");
  const data = record.get("data");
  if (base64 !== undefined)
    return { key, form: "binary", bytes: Buffer.from(JSON.parse(base64), "base64"), quoted: undefined };
  if (data?.startsWith('"')) return { key, form: "text", bytes: Buffer.from(JSON.parse(data) as string), quoted: data };
  return { key, form: "json", bytes: Buffer.from(data ?? ""), quoted: undefined };
}
