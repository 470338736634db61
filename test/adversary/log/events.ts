/** Follows by server-sent events, with `Last-Event-ID` after every interruption. */
import type { IncomingMessage } from "node:http";
import { type Event, eventsOf } from "../frame/events.ts";
import { Lost } from "../frame/http.ts";
import { Follower } from "./follower.ts";
import { queryText } from "./model.ts";
import { readRecord } from "./read.ts";

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
