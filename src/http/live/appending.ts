/**
 * Appends of a socket whose stream has several partitions: one batch at a time, so that the client's records keep their
 * order; small ones are gathered meanwhile.
 */
import type { Refusal, Result } from "../../../schemas/errors.ts";
import { limits } from "../../../schemas/limits.ts";
import { Gathering, sizeOf } from "../../intake/gathering.ts";
import type { Checked } from "../../intake/intake.ts";
import { type MessageAppend, type MessageTerms, packedOf } from "../../intake/message.ts";
import type { IntakeConfig } from "../../intake/record.ts";
import type { Run } from "../../log/sequence.ts";
import { crowded } from "../../objects/appends.ts";
import type { Env } from "../../objects/stubs.ts";
import { Append, noTerms } from "../append.ts";
import { lookup } from "../lookup.ts";
import { thrown } from "../problem.ts";
import type { Placed } from "../verdicts.ts";

/** A gathering goes no larger: the batch behind it should not wait for long. */
const gatheredBytesMax = 1_048_576;

/** What is refused when its turn comes. */
interface Refused {
  readonly id: number;
  readonly refusal: Refusal;
}

interface Work {
  readonly bytes: number;
  readonly terms: MessageTerms | undefined;
  /** Why it is not taken, unless it is known. */
  readonly refused?: Refusal | undefined;
  frames(): readonly Checked[];
  answer(outcome: Result<readonly Placed[]>): void;
}

export interface Verdicts {
  readonly id: number;
  readonly runs: readonly Run[];
}

export class Appending {
  readonly #waiting: (Work | Refused)[] = [];
  #open: Gathering<undefined> | undefined;
  #bytes = 0;
  #running = false;

  constructor(
    readonly env: Env,
    readonly namespace: string,
    readonly stream: string,
    readonly answered: (answers: readonly Verdicts[]) => void,
    readonly refused: (id: number, refusal: Refusal) => void,
  ) {}

  /** Says why something is not done, behind the answers to what was asked before it. Too many may not wait for their turn. */
  refuse(id: number, refusal: Refusal): Refusal | undefined {
    if (!this.#running) this.refused(id, refusal);
    else if (this.#waiting.length >= limits.refusalsWaitingMax) return crowded;
    else {
      this.#open = undefined;
      this.#waiting.push({ id, refusal });
    }
    return undefined;
  }

  /** Answers later, or says why it does not take the append. */
  take(message: MessageAppend, config: IntakeConfig): Refusal | undefined {
    if (this.#bytes > limits.pendingBytesMax) {
      return {
        code: "overloaded",
        detail: "more is waiting to be written than a socket may have; send it again later",
      };
    }
    const { id, terms } = message;
    const small = "records" in message && terms === undefined ? message.records : undefined;
    const bytes = small && sizeOf(small, config);
    if (small !== undefined && bytes?.ok) {
      const open = this.#open;
      const gathering = open?.fits(small) && open.bytes < gatheredBytesMax ? open : this.#gather(config);
      gathering.add(undefined, id, small, bytes.value);
      this.#bytes += bytes.value;
    } else {
      const packed = packedOf(message, config, Date.now());
      if (!packed.ok) return packed.refusal;
      const { taken: frames, refused } = packed.value;
      this.#open = undefined;
      const bytes = frames.reduce((sum, { frame }) => sum + frame.to - frame.at, 0);
      this.#bytes += bytes;
      this.#waiting.push({
        bytes,
        terms,
        refused,
        frames: () => frames,
        answer: (outcome) => {
          if (outcome.ok) this.answered([{ id, runs: outcome.value }]);
          else this.refused(id, outcome.refusal);
        },
      });
    }
    if (!this.#running) void this.#run();
    return undefined;
  }

  #gather(config: IntakeConfig): Gathering<undefined> {
    const gathering = new Gathering<undefined>(config);
    this.#open = gathering;
    this.#waiting.push({
      get bytes() {
        return gathering.bytes;
      },
      terms: undefined,
      frames: () => {
        if (this.#open === gathering) this.#open = undefined;
        return gathering.frames(Date.now());
      },
      answer: (outcome) => {
        if (!outcome.ok) {
          const { refusal } = outcome;
          return gathering.each((_, id) => this.refused(id, refusal));
        }
        const answers: Verdicts[] = [];
        gathering.answer(outcome.value, (_, id, runs) => answers.push({ id, runs }));
        this.answered(answers);
      },
    });
    return gathering;
  }

  async #run(): Promise<void> {
    this.#running = true;
    // What has arrived together goes together.
    await scheduler.wait(0);
    for (let work = this.#waiting.shift(); work !== undefined; work = this.#waiting.shift()) {
      if ("refusal" in work) {
        this.refused(work.id, work.refusal);
        continue;
      }
      const frames = work.frames();
      work.answer(await this.#append(frames, work));
      this.#bytes -= work.bytes;
    }
    this.#running = false;
  }

  async #append(frames: readonly Checked[], { terms, refused }: Work): Promise<Result<readonly Placed[]>> {
    try {
      const route = await lookup(this.env, this.namespace, this.stream);
      if (!route.ok) return route;
      const { producer, ...rest } = terms ?? {};
      const asked = terms === undefined ? noTerms : { ...noTerms, ...rest };
      const append = new Append(this.env, route.value, frames, asked, producer, refused);
      const groups = await append.groups();
      if (!groups.ok) return groups;
      await append.run(groups.value);
      return append.outcome();
    } catch (error) {
      return thrown(error);
    }
  }
}
