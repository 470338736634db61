/** A client of server-sent events, and what it was sent. */
import { expect } from "vitest";
import { token } from "./service.ts";

export interface Event {
  readonly event: string;
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service sends.
  readonly data: any;
}

/** A reader of events, by the rules of the HTML standard. */
export class EventReader {
  readonly events: Event[] = [];
  lastId = "";
  retry = "";
  comments = 0;
  ended = false;
  readonly #abort = new AbortController();

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
    const reader = new EventReader();
    const response = await fetch(url, {
      headers: { authorization: `Bearer ${token}`, accept: "text/event-stream", ...headers },
      signal: reader.#abort.signal,
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    void reader.#read(response.body as ReadableStream<Uint8Array>);
    return reader;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    let [event, data] = ["", [] as string[]];
    try {
      for await (const bytes of body) {
        text += decoder.decode(bytes, { stream: true });
        const lines = text.split(/\r\n|\r|\n/);
        text = lines.pop() as string;
        for (const line of lines) {
          const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line) as RegExpExecArray;
          if (line === "") {
            if (data.length > 0) this.events.push({ event, id: this.lastId, data: JSON.parse(data.join("\n")) });
            [event, data] = ["", []];
          } else if (field === "") this.comments++;
          else if (field === "id") this.lastId = value;
          else if (field === "retry") this.retry = value;
          else if (field === "event") event = value;
          else if (field === "data") data.push(value);
        }
      }
      this.ended = true;
    } catch {
      // Closed by the test.
    }
  }

  of(event: string): Event[] {
    return this.events.filter((one) => one.event === event);
  }

  async until(count: number, event = ""): Promise<Event[]> {
    await expect.poll(() => this.of(event).length, { timeout: 10_000 }).toBeGreaterThanOrEqual(count);
    return this.of(event);
  }

  close(): void {
    this.#abort.abort();
  }
}
