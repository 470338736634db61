/** One run of a plan: the service, and everything that is counted, checked and noted while it lasts. */
import { Checks } from "./checks.ts";
import { History } from "./history.ts";
import { type Answer, type Call, Http, type Json, Lost, silenceMs } from "./http.ts";
import type { Scale } from "./program.ts";
import type { Service } from "./service.ts";
import { sleep } from "./time.ts";

let rounds = 0;

/** For so long a service that was killed may say that something is not there yet. */
const recoveryMs = 20_000;

export interface Ask {
  readonly body?: Json;
  readonly headers?: Call["headers"];
  readonly signal?: AbortSignal;
  /** The caller waits for the answer that long, and says so; what the service may take comes on top. */
  readonly timeoutMs?: number;
}

export class Round {
  /** Of the namespace; no other round has it. */
  readonly name = `r${process.pid}-${rounds++}`;
  readonly checks: Checks;
  readonly history = new History();
  readonly http: Http;
  operations = 0;
  readonly #stop = new AbortController();
  #kills = 0;
  #up: Promise<void> = Promise.resolve();
  /** Of the service. */
  deaths = 0;
  /** When the last kill began. */
  killedAt = 0;

  constructor(
    readonly service: Service,
    readonly scale: Scale,
  ) {
    this.checks = new Checks(scale.tolerated);
    this.http = new Http(() => service.origin, service.token);
    this.stopped.addEventListener("abort", () => this.http.forget());
  }

  /** Whoever waits for something watches this: a promise was broken elsewhere, or the soak ends. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  stop(): void {
    this.#stop.abort();
  }

  /** So long something may take. */
  patient(ms: number): number {
    return ms * (this.scale.patience ?? 1);
  }

  now(): number {
    return this.history.now();
  }

  /** A request, whatever its form. Asserts what holds of every answer. */
  async call(method: string, path: string, call: Call = {}): Promise<Answer> {
    this.operations++;
    let answer: Answer;
    try {
      answer = await this.http.call(method, path, { timeoutMs: this.patient(silenceMs), ...call });
    } catch (error) {
      this.#expectNoSilence(error as Error, call.signal);
      throw error;
    }
    this.checks.that("never-500", answer.status !== 500, () => `${method} ${path}: ${answer.body.toString()}`);
    return answer;
  }

  #expectNoSilence(error: Error, signal?: AbortSignal): void {
    const { died } = this.service;
    this.checks.that("alive", died === undefined, () => died ?? "");
    const cut = signal?.aborted || this.stopped.aborted || this.restarting;
    this.checks.that("answered", cut || !error.message.includes("silent"), () => error.message);
  }

  /**
   * JSON to a path below the round's namespace. What is certainly not done yet, because the service says so, is asked again
   * for a while. Throws `Lost` where nobody knows.
   */
  async ask(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    const call: Call = {
      headers: { ...(ask.body !== undefined && { "content-type": "application/json" }), ...ask.headers },
      ...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
      ...(ask.signal && { signal: ask.signal }),
      ...(ask.timeoutMs && { timeoutMs: ask.timeoutMs }),
    };
    // A port that answers nobody tells nothing.
    while (this.restarting) await this.#up;
    const end = performance.now() + recoveryMs;
    for (;;) {
      const answer = await this.call(method, `/v1/${this.name}${path}`, call);
      if (answer.status !== 503 || performance.now() > end) return answer;
      if (answer.json?.clean !== true && method !== "GET" && method !== "PUT") return answer;
      await sleep(100, this.stopped);
    }
  }

  /** The same, where the documents leave nothing but success. */
  async must(method: string, path: string, ask: Ask = {}): Promise<Json> {
    const answer = await this.ask(method, path, ask);
    const refused = () => `${method} ${path} was answered ${answer.status}: ${answer.body.toString()}`;
    this.checks.that("accepted", answer.status < 300, refused);
    return answer.json;
  }

  /** The same of what may be repeated: where a kill took the answer it is asked for again. */
  async surely(method: string, path: string, ask: Ask = {}): Promise<Json> {
    for (;;) {
      const { deaths } = this;
      try {
        return await this.must(method, path, ask);
      } catch (error) {
        if (!(error instanceof Lost) || this.deaths === deaths) throw error;
      }
    }
  }

  async kill(how: "kill" | "term", meanwhile?: () => void): Promise<void> {
    if (!this.restarting) this.killedAt = this.now();
    this.#kills++;
    this.deaths++;
    this.history.note([], () => (how === "kill" ? "SIGKILL" : "SIGTERM"));
    const killing = this.service.kill(how, meanwhile).finally(() => this.#restarted());
    this.#up = killing.catch(() => {});
    await killing;
    this.history.note([], () => "the service is up again");
  }

  /** Before anybody asks again, who would get a connection of before. */
  #restarted(): void {
    if (--this.#kills === 0) this.http.forget();
  }

  get restarting(): boolean {
    return this.#kills > 0;
  }

  /** Runs, and removes what it made. */
  async during(run: () => Promise<void>): Promise<void> {
    try {
      await this.must("PUT", "");
      await run();
      const { died } = this.service;
      this.checks.that("alive", died === undefined, () => died ?? "");
    } finally {
      this.stop();
      await this.#clean();
    }
  }

  async #clean(): Promise<void> {
    const http = new Http(() => this.service.origin, this.service.token);
    try {
      await http.call("DELETE", `/v1/${this.name}?force=true`, { timeoutMs: 10_000 });
    } catch (error) {
      if (!(error instanceof Lost)) throw error; // The data go with the soak.
    } finally {
      http.forget();
    }
  }
}
