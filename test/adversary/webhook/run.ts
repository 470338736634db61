/** Carries a round out: receivers change their habits in time, the stream and the groups change beside, and at last all is good. */
import type { Json } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { Stalls } from "../frame/stalls.ts";
import { sleep } from "../frame/time.ts";
import { attemptsAreTold, ended } from "./ended.ts";
import type { Beat, Sent, WebhookPlan } from "./plan.ts";
import { drawn } from "./records.ts";
import { secretOf } from "./signatures.ts";
import { afterPhase } from "./themes.ts";
import { type Stream, Watch } from "./watch.ts";

/** An update reaches what is under way within this time; until then the old terms are right too. */
const updateMs = 2000;

export async function runWebhooks(plan: WebhookPlan, round: Round): Promise<void> {
  const stalls = new Stalls();
  const empty = { records: new Map(), byKey: new Map(), kills: [], appending: 0 };
  const stream: Stream = { round, path: "/streams/s", stalls, ...empty };
  const watches = plan.groups.map((group, number) => new Watch(stream, group, number));
  const run = new WebhookRun(plan, round, stream, watches);
  try {
    await run.run();
  } catch (error) {
    for (const watch of watches) watch.rethrow();
    throw error;
  } finally {
    for (const watch of watches) watch.receiver.close();
    stalls.end();
  }
}

class WebhookRun {
  #appended = 0;
  #partitions: number;
  /** Between kills requests may go; a kill waits for none. */
  #up: Promise<void> = Promise.resolve();

  constructor(
    readonly plan: WebhookPlan,
    readonly round: Round,
    readonly stream: Stream,
    readonly watches: readonly Watch[],
  ) {
    this.#partitions = plan.partitions;
  }

  async run(): Promise<void> {
    const { round, watches, plan } = this;
    await round.surely("PUT", this.stream.path, { body: { partitions: plan.partitions } });
    for (const watch of watches) await watch.start();
    await Promise.all([this.#beats(), ...watches.map((watch) => watch.own(this.#phases(watch)))]);
    this.#check();
    await Promise.all(watches.map((watch) => watch.own(ended(watch, () => this.#up))));
    this.#check();
    if (plan.idleMs > 0 || plan.killAtEnd) await this.#afterwards();
  }

  #check(): void {
    for (const watch of this.watches) {
      watch.judge();
      watch.rethrow();
    }
  }

  async #phases(watch: Watch): Promise<void> {
    for (const phase of watch.plan.phases) {
      watch.change(phase.habit);
      await sleep(phase.ms, this.round.stopped);
      await this.#up;
      watch.rethrow();
      await afterPhase(watch, phase);
    }
    watch.change({ kind: "good" });
  }

  async #beats(): Promise<void> {
    for (const beat of this.plan.beats) {
      await sleep(beat.afterMs, this.round.stopped);
      if (this.round.stopped.aborted) return;
      await this.#beat(beat);
    }
  }

  async #beat(beat: Beat): Promise<void> {
    const watch = "group" in beat ? this.watches[beat.group] : undefined;
    switch (beat.do) {
      case "append":
        return this.#append(beat.records);
      case "grow":
        this.#partitions += beat.by;
        await this.round.surely("PUT", this.stream.path, { body: { partitions: this.#partitions } });
        this.round.history.note([], () => `the stream grew to ${this.#partitions} partitions`);
        return;
      case "kill":
        return this.#kill(beat.how);
      case "pause":
        return watch && this.#pause(watch, beat.ms);
      case "rotate":
        return watch && this.#rotate(watch);
      case "retarget":
        return watch && this.#retarget(watch);
    }
  }

  /** Other requests of the round wait for it: what a kill does to them is another program's. */
  #kill(how: "kill" | "term"): Promise<void> {
    this.stream.kills.push(this.round.now());
    this.#up = this.round.kill(how).then(() => {
      this.stream.kills.push(this.round.now());
    });
    return this.#up;
  }

  async #append(records: readonly Sent[]): Promise<void> {
    const { round, stream } = this;
    const sent = records.map((record) => drawn(this.#appended++, record));
    stream.appending++;
    const body = `{"records":[${sent.map(({ text }) => text).join(",")}]}`;
    const path = `/v1/${round.name}${stream.path}/records`;
    const answer = await round.call("POST", path, { headers: { "content-type": "application/json" }, body });
    round.checks.that(
      "accepted",
      answer.status === 201,
      () => `an append was answered ${answer.status}: ${answer.body}`,
    );
    for (const [i, { partition, offset }] of (answer.json.verdicts as Json[]).entries()) {
      const record = { ...(sent[i] as (typeof sent)[0]), partition, offset, appendedAt: round.now() };
      stream.records.set(`${partition}.${offset}`, record);
      const { key } = record;
      if (key !== undefined) stream.byKey.set(key, [...(stream.byKey.get(key) ?? []), record]);
      for (const watch of this.watches) {
        watch.note([`${partition}.${offset}`, key ?? "no key"], () => `appended ${partition}.${offset} (${key})`);
      }
    }
    stream.appending--;
    this.#check();
  }

  async #pause(watch: Watch, ms: number): Promise<void> {
    await this.round.surely("POST", `${watch.path}/pause`, { body: {} });
    watch.pausedAt = this.round.now();
    watch.note([], () => "paused");
    await sleep(ms, this.round.stopped);
    watch.pausedAt = undefined;
    watch.updatedAt = this.round.now();
    await this.round.surely("POST", `${watch.path}/resume`, { body: {} });
    watch.note([], () => "resumed");
  }

  /** As the guide says: the new secret beside the old one, then the old one goes. */
  async #rotate(watch: Watch): Promise<void> {
    const old = watch.secrets.at(-1) ?? [];
    const fresh = secretOf(100 + 10 * watch.number + this.#appended);
    for (const set of [[...old, fresh].slice(-4), [fresh]]) {
      watch.secrets = [...watch.secrets, set];
      await watch.put(watch.push());
      watch.note([], () => `the group has ${set.length} secrets now`);
      await sleep(updateMs, this.round.stopped);
      watch.secrets = [set];
    }
  }

  async #retarget(watch: Watch): Promise<void> {
    const path = `/hook-${watch.paths.length}-${this.#appended}`;
    watch.paths = [...watch.paths, path];
    await watch.put(watch.push());
    watch.note([], () => `the group pushes to ${path} now`);
    await sleep(updateMs, this.round.stopped);
    watch.paths = [path];
  }

  /** Some time later, and after a kill, the attempts are told all the same. */
  async #afterwards(): Promise<void> {
    await sleep(this.plan.idleMs, this.round.stopped);
    for (const watch of this.watches) await watch.own(attemptsAreTold(watch, "some seconds later"));
    if (!this.plan.killAtEnd) return;
    await this.#kill("kill");
    for (const watch of this.watches) await watch.own(attemptsAreTold(watch, "after a kill"));
  }
}
