/**
 * Scripts that run side by side die together: the service is killed when all of them stand at the same step. So each meets
 * the same kills, whichever others there are.
 */
import type { Round } from "./round.ts";
import { Later, onAbort, sleep } from "./time.ts";

/** Before the step of this number of every script, or amid it. */
export interface Kill {
  readonly step: number;
  readonly how: "kill" | "term";
  /** So long after the steps have begun; undefined: before them. */
  readonly amidMs?: number;
}

interface Meeting {
  readonly kill: Kill;
  readonly all: Later;
  readonly over: Later;
  arrived: number;
}

export class Gate {
  readonly #meetings: Meeting[];

  constructor(
    readonly parties: number,
    kills: readonly Kill[],
    readonly round: Round,
  ) {
    const sorted = [...kills].sort((a, b) => a.step - b.step);
    this.#meetings = sorted.map((kill) => ({ kill, all: new Later(), over: new Later(), arrived: 0 }));
  }

  /** Runs the step, and the deaths that come before it or amid it. `died` is told of each. */
  async step(number: number, run: () => Promise<void>, died: () => Promise<void>): Promise<void> {
    const amid: Meeting[] = [];
    for (const meeting of this.#meetings.filter(({ kill }) => kill.step === number)) {
      await this.#arrive(meeting);
      if (meeting.kill.amidMs !== undefined) {
        amid.push(meeting);
        continue;
      }
      await meeting.over.promise;
      await died();
    }
    await run();
    for (const { over } of amid) {
      await over.promise;
      await died();
    }
  }

  /** The steps are over; what deaths are left come one after another. */
  async rest(from: number, died: () => Promise<void>): Promise<void> {
    for (const meeting of this.#meetings.filter(({ kill }) => kill.step >= from)) {
      await this.#arrive(meeting);
      await meeting.over.promise;
      await died();
    }
  }

  async #arrive(meeting: Meeting): Promise<void> {
    meeting.arrived++;
    if (meeting.arrived === this.parties) {
      meeting.all.resolve();
      this.#kill(meeting).then(meeting.over.resolve, meeting.over.reject);
    }
    const stopped = new Later();
    const unwatched = onAbort(this.round.stopped, stopped.resolve);
    await Promise.race([meeting.all.promise, stopped.promise]);
    unwatched();
    if (this.round.stopped.aborted) throw new Error("the round was stopped");
  }

  async #kill({ kill }: Meeting): Promise<void> {
    if (kill.amidMs !== undefined) await sleep(kill.amidMs);
    await this.round.kill(kill.how);
  }
}
