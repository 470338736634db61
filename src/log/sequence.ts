/**
 * Whether a batch may go in at all: the seal, the fence, the producer's sequence, the expected offset. Pure; the log asks
 * it for each batch of a commit, in order, so that one caller's refusal never fails another.
 */
import { ok, type Result, refuse } from "../../schemas/errors.ts";

/** An idempotent producer's number for a batch. `contiguous`: a missing number is a gap (see docs/PROTOCOL.md). */
export interface ProducerTerms {
  readonly id: string;
  readonly epoch: number;
  readonly sequence: number;
  readonly contiguous: boolean;
}

/** What an append asks for besides its records. */
export interface Terms {
  readonly producer?: ProducerTerms;
  readonly expectedOffset?: number;
  readonly expectedKeyOffset?: number | "none";
  readonly fence?: string;
  readonly atomic?: boolean;
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

/** What a partition remembers of a producer: its epoch, and the answers to its last batches, oldest first. */
export interface ProducerState {
  readonly epoch: number;
  readonly batches: readonly { readonly sequence: number; readonly runs: readonly Run[] }[];
}

export interface Gate {
  readonly tail: number;
  readonly sealed: boolean;
  readonly fence?: string;
}

/** The answer that a repeated batch had, or undefined for one that is to be appended. */
export function admit(
  gate: Gate,
  producer: ProducerState | undefined,
  terms: Terms,
): Result<readonly Run[] | undefined> {
  const repeated = terms.producer === undefined ? ok(undefined) : follow(producer, terms.producer);
  // A retry is answered before anything else: what was true for the first attempt need not be true any more.
  if (!repeated.ok || repeated.value !== undefined) return repeated;
  if (gate.sealed) return refuse("sealed", "the partition was split; its map has a newer version");
  if (terms.fence !== undefined && terms.fence !== (gate.fence ?? terms.fence)) {
    return refuse("fenced", "another writer has fenced the partition; stop writing, or take the fence anew");
  }
  if (terms.expectedOffset !== undefined && terms.expectedOffset !== gate.tail) {
    const detail = `the tail is at offset ${gate.tail}, not at ${terms.expectedOffset}; read what was added and try again`;
    return refuse("expected-offset", detail, { tail: gate.tail });
  }
  return ok(undefined);
}

function follow(state: ProducerState | undefined, terms: ProducerTerms): Result<readonly Run[] | undefined> {
  const { epoch, sequence, contiguous } = terms;
  if (state !== undefined && epoch < state.epoch) {
    return refuse("fenced", `producer ${terms.id} now has epoch ${state.epoch}`, { epoch: state.epoch });
  }
  const batches = state !== undefined && epoch === state.epoch ? state.batches : [];
  const known = batches.find((batch) => batch.sequence === sequence);
  if (known !== undefined) return ok(known.runs.map(repeat));
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
