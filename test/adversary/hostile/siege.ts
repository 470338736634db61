/** What all attacks of a round share: who is asked, what holds of every answer, and what must not have changed. */
import { type Answer, Lost } from "../frame/http.ts";
import type { Round } from "../frame/round.ts";
import { sleep } from "../frame/time.ts";
import type { Beside } from "./beside.ts";
import type { Ground } from "./ground.ts";
import { difference, type Look, look } from "./look.ts";
import type { Operation, Reference } from "./reference.ts";
import { type Asked, judge } from "./refusal.ts";
import { ask, type Sent } from "./wire.ts";

/** So many requests that must change nothing come between two looks. */
const unseenMax = 8;

/** A refusal that says "again" is over by then, where it was true. */
const againMs = 20_000;
const silenceMs = 60_000;

/** Accepted calls of these leave what is attacked as good as it was; of others, for a while. */
const harmless = /\/(records|receive|extend|tickets|verify)$/;
const passable = /\/(ack|nack|release|pause|resume|seek|skip|redrive|discard|fence|lease)$|\/snapshots\//;
const passableMax = 6;

export class Siege {
  #before: Look | undefined;
  #unseen: string[] = [];
  #passed = 0;

  constructor(
    readonly round: Round,
    readonly known: Reference,
    readonly ground: Ground,
    readonly beside: Beside,
  ) {}

  get token(): string {
    return this.round.service.token;
  }

  get bearer(): string {
    return `Bearer ${this.token}`;
  }

  wait(ms: number): Promise<void> {
    return ms > 0 ? sleep(ms, this.round.stopped) : Promise.resolve();
  }

  /** Sends it, and asserts what holds of every answer. */
  async ask(sent: Sent, asked: Asked): Promise<Answer> {
    const { round } = this;
    const end = performance.now() + round.patient(againMs);
    for (;;) {
      const answer = await this.#once(sent, asked);
      round.history.note([asked.words], () => `${asked.words}: ${answer.status} ${answer.json?.code ?? ""}`);
      judge(round, this.known, asked, answer);
      if (answer.status !== 503) return answer;
      const said = () => `${asked.words}: ${answer.body.subarray(0, 300).toString()}, each time again`;
      round.checks.that("again", performance.now() < end, said, [asked.words]);
      await this.wait(200);
    }
  }

  async #once(sent: Sent, asked: Asked): Promise<Answer> {
    const { round } = this;
    this.beside.amid = asked.words;
    round.operations++;
    try {
      return await ask(round.service.origin, sent, round.patient(silenceMs));
    } catch (error) {
      const { died } = round.service;
      round.checks.that("alive", died === undefined, () => died ?? "");
      if (!(error instanceof Lost) || round.stopped.aborted) throw error;
      round.checks.that("answered", false, () => `${asked.words}: ${error.message}`, [asked.words]);
      throw error;
    }
  }

  /** What was asked must have changed nothing; looked at soon. */
  refused(words: string): void {
    this.#unseen.push(words);
  }

  /** What was asked may have changed something. */
  async changed(operation: Operation | undefined): Promise<void> {
    this.#before = undefined;
    if (operation === undefined || harmless.test(operation.path)) return;
    if (passable.test(operation.path) && ++this.#passed < passableMax) return;
    this.#passed = 0;
    await this.ground.make();
  }

  /** A look, where it is time for one. */
  async watch(now = false): Promise<void> {
    if (this.#before === undefined) {
      // What was refused since cannot be told from what was not.
      this.#unseen = [];
      this.#before = await look(this.ground);
      return;
    }
    if (this.#unseen.length === 0 || (!now && this.#unseen.length < unseenMax)) return;
    const unseen = this.#unseen;
    this.#unseen = [];
    const after = await look(this.ground);
    const differs = difference(this.#before, after);
    const words = () => `${differs}, after ${unseen.join("; ")}`;
    this.round.checks.that("changes-nothing", differs === undefined, words, unseen);
    this.#before = after;
  }
}
