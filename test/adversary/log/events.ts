/** Follows by server-sent events, with `Last-Event-ID` after every interruption. */
import type { IncomingMessage } from "node:http";
import { Lost } from "../frame/http.ts";
import { Follower } from "./follower.ts";
import { queryText } from "./model.ts";
import { readRecord } from "./read.ts";

interface Event {
  readonly type: string;
  readonly id: string | undefined;
  readonly data: string;
}

/** Events of a stream of bytes, as the standard has them. */
export async function* eventsOf(body: AsyncIterable<Buffer>): AsyncGenerator<Event> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const event = eventOf(rest.slice(0, end).split(/\r\n|\r|\n/));
      rest = rest.slice(end + 2);
      if (event !== undefined) yield event;
    }
  }
}

function eventOf(lines: readonly string[]): Event | undefined {
  const fields: Record<string, string[]> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const name = colon < 0 ? line : line.slice(0, colon);
    fields[name] ??= [];
    fields[name].push(colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, ""));
  }
  const { data, event, id } = fields;
  return data && { type: event?.at(-1) ?? "", id: id?.at(-1), data: data.join("\n") };
}

export class EventFollower extends Follower {
  protected async connect(signal: AbortSignal): Promise<boolean> {
    const { round } = this.run;
    const headers = { accept: "text/event-stream", ...(this.cursor !== undefined && { "last-event-id": this.cursor }) };
    const path = `${this.run.stream}/records${queryText([...this.query, ["from", this.start.from]])}`;
    try {
      const answer = await round.http.open("GET", path, { headers, signal });
      if (answer.statusCode === 503) {
        answer.resume();
        return false;
      }
      round.checks.that("accepted", answer.statusCode === 200, () => `${this.name} was answered ${answer.statusCode}`);
      return await this.#read(answer);
    } catch (error) {
      if (error instanceof Lost) return false;
      throw error;
    }
  }

  async #read(answer: IncomingMessage): Promise<boolean> {
    const events = eventsOf(answer);
    for (;;) {
      let step: IteratorResult<Event>;
      try {
        step = await events.next();
      } catch {
        return false; // The connection broke.
      }
      if (step.done || this.left) return false;
      if (this.#event(step.value)) return true;
    }
  }

  #event({ type, id, data }: Event): boolean {
    if (type === "") this.take(readRecord(data, true));
    if (type === "snapshot") this.takeSnapshot(JSON.parse(data));
    if (type === "lost") this.takeLost(JSON.parse(data).lost);
    if (id !== undefined) this.cursor = id;
    if (type === "heartbeat" && JSON.parse(data).upToDate) this.ready.resolve();
    if (type === "end") this.ready.resolve();
    if (type === "problem") {
      const { code } = JSON.parse(data);
      const passing = ["unavailable", "overloaded"].includes(code);
      this.run.round.checks.that("accepted", passing, () => `${this.name} was ended with ${data}`);
    }
    return type === "end";
  }
}
