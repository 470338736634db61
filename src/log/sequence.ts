/**
 * Whether a batch may go in at all: the seal, the fence, the producer's sequence, the expected offset. Pure; the log asks
 * it for each batch of a commit, in order, so that one caller's refusal never fails another.
 */
import { ok, type Refusal, type Result, refuse } from "../../schemas/errors.ts";

/** An idempotent producer's number for a batch. `contiguous`: a missing number is a gap (see docs/PROTOCOL.md). */
export interface ProducerTerms {
  readonly id: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly contiguous: boolean;
  /** Of the whole batch, as it was sent: tells another one of the same number. Absent where the number alone decides. */
  readonly sum?: number;
  /** The number alone tells a repeat: another record of an id that was seen is one of its own. No client may say so. */
  readonly alone?: boolean;
}

/** What an append asks for besides its records. */
export interface Terms {
  readonly producer?: ProducerTerms;
  readonly expectedOffset?: number;
  readonly expectedKeyOffset?: number | "none";
  readonly fence?: string;
  readonly atomic?: boolean;
  /** Why nothing new is taken of it, by a limit that may have been another one before: what is known is answered all the same. */
  readonly refused?: Refusal;
}

/** Verdict of `count` records that follow each other. Offsets of a run are consecutive. */
export type Run =
  | {
      readonly verdict: "appended" | "duplicate";
      readonly offset: number;
      readonly count: number;
      /** The partition that holds the records, where that is one which was split into this one. */
      readonly partition?: number;
    }
  | { readonly verdict: "rejected"; readonly reason: string; readonly detail: string; readonly count: number };

/** What a partition remembers of a batch: its number, its sum, and the answer to this partition's part of it. */
export interface Answered {
  readonly sequence: number;
  readonly sum?: number;
  readonly runs: readonly Run[];
  /** The partition that gave the answer and has it, where that is one which was split into this one; then `runs` is empty. */
  readonly owner?: number;
}

/** What a partition remembers of a producer: its epoch, and the answers to its last batches, oldest first. */
export interface ProducerState {
  readonly epoch: number;
  readonly batches: readonly Answered[];
}

export interface Gate {
  readonly tail: number;
  readonly sealed: boolean;
  readonly fence?: string;
  /** Why nothing is appended at all, if so. */
  readonly shut?: Refusal;
}

type Refused = ReturnType<typeof refuse>;

/** Why nothing new of a batch may go in, if so. */
export function barred(gate: Gate, terms: Terms): Refused | undefined {
  if (gate.sealed) return refuse("sealed", "the partition was split; its map has a newer version");
  const why = gate.shut ?? terms.refused;
  if (why !== undefined) return { ok: false, refusal: why };
  if (terms.fence !== undefined && terms.fence !== (gate.fence ?? terms.fence)) {
    return refuse("fenced", "another writer has fenced the partition; stop writing, or take the fence anew");
  }
  if (terms.expectedOffset !== undefined && terms.expectedOffset !== gate.tail) {
    const detail = `the tail is at offset ${gate.tail}, not at ${terms.expectedOffset}; read what was added and try again`;
    return refuse("expected-offset", detail, { tail: gate.tail });
  }
  return undefined;
}

/** What a number was answered with, undefined where it is a new one that may come now. */
export function follow(
  state: ProducerState | undefined,
  terms: ProducerTerms,
  count: number,
): Result<readonly Run[] | undefined> {
  const { epoch, sequence, contiguous } = terms;
  if (state !== undefined && epoch < state.epoch) {
    return refuse("fenced", `producer ${terms.id} now has epoch ${state.epoch}`, { epoch: state.epoch });
  }
  const batches = state !== undefined && epoch === state.epoch ? state.batches : [];
  const known = batches.find((batch) => batch.sequence === sequence);
  if (known !== undefined) return again(known, terms, count);
  const next = batches.length === 0 ? 0 : batches[batches.length - 1].sequence + 1;
  if (sequence < next) {
    const detail = `sequence ${sequence} is older than the batches that are remembered; the next one is ${next}`;
    return refuse("sequence-stale", detail, { expected: next });
  }
  if (contiguous && sequence > next) {
    return refuse("sequence-gap", `the next sequence is ${next}, not ${sequence}; send what is missing first`, {
      expected: next,
    });
  }
  return ok(undefined);
}

/** The first answer to a number that comes again: with the same batch, or it is refused. */
function again({ sequence, sum, runs, owner }: Answered, terms: ProducerTerms, count: number): Result<readonly Run[]> {
  if (owner !== undefined) {
    const detail = `sequence ${sequence} was answered by partition ${owner}, which was split since, and which has the answer`;
    return refuse("sequence-stale", detail, { answeredBy: owner });
  }
  const sameSum = sum === undefined || terms.sum === undefined || sum === terms.sum;
  if (sameSum && count === countOf(runs)) return ok(runs.map(repeat));
  const detail = `sequence ${sequence} was another batch when it came first; give each batch a number of its own, and send it again as it was`;
  return refuse("sequence-conflict", detail, { sequence });
}

/** The partition that has the answer to a repeated batch, where it is not the one that was asked. */
export const answeredBy = ({ code, facts }: Refusal): number | undefined =>
  code === "sequence-stale" ? (facts?.answeredBy as number | undefined) : undefined;

/** Records that runs are about. */
export const countOf = (runs: readonly Run[]): number => runs.reduce((sum, run) => sum + run.count, 0);

const repeat = (run: Run): Run => (run.verdict === "appended" ? { ...run, verdict: "duplicate" } : run);

/** Adds a verdict to runs, lengthening the last one where it continues it. */
export function addRun(runs: Run[], run: Run): void {
  const last = runs[runs.length - 1];
  const longer = { ...run, count: (last?.count ?? 0) + run.count };
  if (last === undefined || last.verdict !== run.verdict) runs.push(run);
  else if (last.verdict === "rejected" || run.verdict === "rejected") {
    if (last.verdict === "rejected" && run.verdict === "rejected" && last.detail === run.detail) {
      runs[runs.length - 1] = longer;
    } else runs.push(run);
  } else if (last.partition === run.partition && last.offset + last.count === run.offset)
    runs[runs.length - 1] = { ...longer, offset: last.offset } as Run;
  else runs.push(run);
}
