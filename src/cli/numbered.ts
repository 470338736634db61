/** Batches under numbers of our own, which outlive this process. */

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { known } from "../client/error.ts";
import type { Stream, Verdict } from "../client/index.ts";
import { runsShape } from "../client/shapes.ts";
import { openFrames } from "../log/frame.ts";

/** Equal verdicts of records that follow each other. */
export type Run = Verdict & { readonly count: number };

export interface Numbered {
  readonly producer: string;
  readonly sequence: number;
  readonly signal: AbortSignal;
}

const packed = promisify(gzip);

/** Records in whole frames. */
function recordsOf(frames: Uint8Array): number {
  const opened = openFrames(frames);
  if (!opened.ok) throw new Error(`the batch is damaged: ${opened.refusal.detail}`);
  return opened.value.reduce((sum, { count }) => sum + count, 0);
}

/**
 * Makes one attempt, repeatable under the same number, to append a batch of packed frames. Throws where a partition could
 * not take its share yet: at the next attempt those that could know theirs.
 */
export async function attemptOf(
  { http, path }: Stream,
  frames: Uint8Array,
  { producer, sequence, signal }: Numbered,
): Promise<() => Promise<readonly Run[]>> {
  const headers = {
    "content-type": "application/vnd.millrace.frames",
    "content-encoding": "gzip",
    "producer-id": producer,
    "producer-epoch": "0",
    "producer-seq": String(sequence),
  };
  const body = new Uint8Array(await packed(frames, { level: 1 }));
  const call = { body, headers, signal, records: recordsOf(frames) };
  return async () => {
    const { runs } = await http.jsonOnce<{ runs: Run[] }>("POST", `${path}/records`, runsShape, call);
    for (const run of runs) {
      const error = run.verdict === "rejected" ? known(run.reason, run.detail) : undefined;
      if (error?.retryable) throw error;
    }
    return runs;
  };
}
