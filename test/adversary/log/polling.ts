/** Follows by a chain of waiting pages. */
import { Lost } from "../frame/http.ts";
import { sleep } from "../frame/time.ts";
import { Follower } from "./follower.ts";
import { queryText } from "./model.ts";
import { readPage } from "./read.ts";

export class PollFollower extends Follower {
  protected async connect(signal: AbortSignal): Promise<boolean> {
    const { round } = this.run;
    // Nobody waits before he knows his place.
    const wait = this.cursor === undefined ? "0" : "2";
    const path = `${this.run.stream}/records${queryText([
      ...this.query,
      ["from", this.cursor ?? this.start.from],
      ["wait", wait],
      ["limit", String(this.plan.window)],
    ])}`;
    try {
      const answer = await round.call("GET", path, { signal });
      if (answer.status === 503) return false;
      const { json } = answer;
      const right = answer.status === 200 || (answer.status === 410 && json.code === "trimmed");
      round.checks.that("accepted", right, () => `${this.name} was answered ${answer.body.toString().slice(0, 500)}`);
      if (answer.status === 410) this.takeLost(json.lost);
      else for (const read of readPage(answer.body.toString())) this.take(read);
      this.cursor = json.cursor;
      if (json.upToDate) this.ready.resolve();
      if (json.ended === true) return true;
      // An answer at once each time would keep the machine busy.
      if (json.upToDate) await sleep(20, signal);
      return false;
    } catch (error) {
      if (error instanceof Lost) return false;
      throw error;
    }
  }
}
