/** Appends that come by socket: small ones are gathered into the commit that is next, and answered together. */
import { ok, type Refusal, type Result } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { hashSpace } from "../catalog/map.ts";
import { Gathering, sizeOf } from "../intake/gathering.ts";
import { batchOf, type Checked, notOneKey, ofOneKey } from "../intake/intake.ts";
import { type MessageAppend, type MessageTerms, packedOf } from "../intake/message.ts";
import type { IntakeConfig } from "../intake/record.ts";
import { encodeText } from "../lib/bytes.ts";
import { murmur3 } from "../lib/hash.ts";
import { batchSum } from "../log/batch-sum.ts";
import type { Log } from "../log/log.ts";
import type { Rec } from "../log/record.ts";
import type { Run, Terms } from "../log/sequence.ts";
import type { Batch } from "../log/spec.ts";
import { type Client, sayError } from "./clients.ts";
import type { History } from "./history.ts";
import { post } from "./socket.ts";

/** A batch that is made when its time has come; until then it may grow. */
export interface Growing {
  readonly batch: () => Batch;
  /** Records so far. */
  readonly count: number;
}

/** A batch, or one that is made when it is committed. */
export type Ask = Batch | Growing;

/** What the sockets need of the partition around them. */
export interface LiveHost {
  readonly log: Log | undefined;
  /** Commits with what else is to be committed; a batch may be made when its time has come. */
  readonly commit: { add(ask: Ask): Promise<Result<readonly Run[]>> };
  readonly history: Pick<History, "locate" | "blobs">;
}

/** Too much waits for its turn. */
export const crowded: Refusal = {
  code: "overloaded",
  detail: "very many refused appends wait for their turn; connect again, and wait for answers before sending more",
};

interface Refused {
  readonly socket: WebSocket;
  readonly id: number;
  readonly refusal: Refusal;
}

export class Appends {
  /** The gathering that still takes appends: the commit has not taken it. */
  #open: Gathering<WebSocket> | undefined;
  /** Bytes of records that no commit has taken yet. */
  #pending = 0;
  /** Answers that are due, and the newest of them: each waits for the one before it. */
  #due = 0;
  #last: Promise<void> = Promise.resolve();
  /** Refusals that wait for their turn, while nothing was asked after them. */
  #refused: Refused[] | undefined;
  /** All refusals that wait. */
  #refusals = 0;

  constructor(readonly host: LiveHost) {}

  /** Says why something is not done, behind the answers to what was asked before it. Too many may not wait for their turn. */
  refuse(socket: WebSocket, id: number, refusal: Refusal): Refusal | undefined {
    if (this.#due === 0) sayError(socket, refusal, id);
    else if (this.#refusals >= limits.refusalsWaitingMax) return crowded;
    else {
      this.#refusals++;
      (this.#refused ?? this.#refuseLater()).push({ socket, id, refusal });
    }
    return undefined;
  }

  #refuseLater(): Refused[] {
    const refused: Refused[] = [];
    const say = () => {
      this.#refusals -= refused.length;
      for (const { socket, id, refusal } of refused) sayError(socket, refusal, id);
    };
    // What comes after it must be answered after it.
    this.#open = undefined;
    this.#answer(Promise.resolve(ok([])), say, say);
    this.#refused = refused;
    return refused;
  }

  /** Answers later, or says why it does not take the append. */
  take(socket: WebSocket, client: Client, message: MessageAppend, log: Log): Refusal | undefined {
    const { id, terms } = message;
    const config = { recordBytesMax: limits.recordBytesMax, ...log.spec };
    if ("records" in message && terms === undefined) {
      const { records } = message;
      const bytes = sizeOf(records, config);
      const stray = strayOf(client, () => records.map(hashOf), log);
      if (stray !== undefined) return stray;
      if (bytes.ok) return this.#gather(socket, id, records, bytes.value, config);
    }
    const packed = packedOf(message, config, Date.now());
    if (!packed.ok) return packed.refusal;
    const { taken: frames, refused } = packed.value;
    const refusal =
      strayOf(client, () => frames.flatMap(({ keys }) => [...keys]), log) ?? contradiction(frames, terms, log);
    if (refusal !== undefined) return refusal;
    // What comes after it must be committed after it.
    this.#open = undefined;
    this.#answer(
      this.host.commit.add({ ...batchOf(frames), terms: { ...termsOf(terms, frames), ...(refused && { refused }) } }),
      (runs) => answers(socket, [runText(id, runs, log)]),
      (refusal) => sayError(socket, refusal, id),
    );
    return undefined;
  }

  #gather(
    socket: WebSocket,
    id: number,
    records: readonly Rec[],
    bytes: number,
    config: IntakeConfig,
  ): Refusal | undefined {
    if (this.#pending > 0 && this.#pending + bytes > limits.pendingBytesMax) {
      const detail = "more is waiting to be written than the partition may hold; try again in a moment";
      return { code: "overloaded", detail };
    }
    // One that is begun has something in it.
    const gathering = this.#open?.fits(records) ? this.#open : this.#begin(config);
    gathering.add(socket, id, records, bytes);
    this.#pending += bytes;
    return undefined;
  }

  #begin(config: IntakeConfig): Gathering<WebSocket> {
    const gathering = new Gathering<WebSocket>(config);
    this.#open = gathering;
    const batch = () => {
      if (this.#open === gathering) this.#open = undefined;
      this.#pending -= gathering.bytes;
      return gathering.batch(Date.now());
    };
    const growing: Growing = {
      batch,
      get count() {
        return gathering.count;
      },
    };
    this.#answer(
      this.host.commit.add(growing),
      (runs) => {
        const { log } = this.host;
        const bySocket = new Map<WebSocket, string[]>();
        gathering.answer(runs, (socket, id, own) => {
          const text = runText(id, own, log as Log);
          const texts = bySocket.get(socket);
          if (texts === undefined) bySocket.set(socket, [text]);
          else texts.push(text);
        });
        for (const [socket, texts] of bySocket) answers(socket, texts);
      },
      (refusal) => gathering.each((socket, id) => sayError(socket, refusal, id)),
    );
    return gathering;
  }

  /** Answers when the answers to what was asked before are out: a refusal may be known sooner than they are. */
  #answer(
    added: Promise<Result<readonly Run[]>>,
    good: (runs: readonly Run[]) => void,
    bad: (refusal: Refusal) => void,
  ): void {
    this.#refused = undefined;
    this.#due++;
    const before = this.#last;
    const answered = async () => {
      const answer = await added.catch((error) => ({ ok: false as const, refusal: failed(error) }));
      await before;
      this.#due--;
      if (answer.ok) good(answer.value);
      else bad(answer.refusal);
    };
    this.#last = answered().catch((error) => bad(failed(error)));
  }
}

function failed(error: unknown): Refusal {
  console.error("append:", (error as Error).message);
  return { code: "internal", detail: "the append failed for a reason that is ours; it may have been done" };
}

const hashOf = ({ key }: Rec): number => (key === undefined ? -1 : murmur3(encodeText(key)));

/** Why a key does not belong here, if one does not. The hashes are made only where one may not. */
function strayOf({ hello: { from, to } }: Client, hashes: () => readonly number[], log: Log): Refusal | undefined {
  if (from === 0 && to === hashSpace) return undefined;
  const record = hashes().findIndex((hash) => hash >= 0 && (hash < from || hash >= to));
  if (record < 0) return undefined;
  const detail = `record ${record} has a key of another partition than ${log.spec.partition}; connect without partition`;
  return { code: "wrong-partition", detail, facts: { record } };
}

function contradiction(
  frames: readonly Checked[],
  terms: MessageTerms | undefined,
  { spec }: Log,
): Refusal | undefined {
  if (terms?.partition !== undefined && terms.partition !== spec.partition) {
    return { code: "partition-not-found", detail: `the socket is one of partition ${spec.partition}` };
  }
  return terms?.expectedKeyOffset === undefined || ofOneKey(frames) ? undefined : notOneKey;
}

function termsOf(terms: MessageTerms = {}, frames: readonly Checked[]): Terms {
  const { partition: _, producer, ...rest } = terms;
  if (producer === undefined) return rest;
  // Every record comes here, so that a number that is missing was lost.
  return { ...rest, producer: { ...producer, contiguous: true, sum: batchSum(frames.map(({ frame }) => frame)) } };
}

function runText(id: number, runs: readonly Run[], { spec }: Log): string {
  const shown = runs.map((run) =>
    run.verdict === "rejected"
      ? JSON.stringify({ partition: spec.partition, ...run })
      : `{"verdict":"${run.verdict}","partition":${run.partition ?? spec.partition},"offset":${run.offset},"count":${run.count}}`,
  );
  return `{"id":${id},"runs":[${shown.join(",")}]}`;
}

function answers(socket: WebSocket, texts: readonly string[]): void {
  post(socket, `{"type":"verdicts","answers":[${texts.join(",")}]}`);
}
