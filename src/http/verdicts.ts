/** The verdicts of an append, as they are answered. */
import { type ErrorCode, errors, type Refusal } from "../../schemas/errors.ts";
import { media } from "../intake/intake.ts";
import { addRun, type Run } from "../log/sequence.ts";
import { json, problem } from "./problem.ts";
import { countedBody } from "./sending.ts";

/** A run with the partition that gave it. */
export type Placed = Run & { partition: number };

/** Equal verdicts that follow each other become one run. */
export function joined(placed: readonly Placed[]): Placed[] {
  const runs: Placed[] = [];
  for (const run of placed) {
    if (runs.length > 0 && runs[runs.length - 1].partition === run.partition) addRun(runs, run);
    else runs.push(run);
  }
  return runs;
}

/** The verdict of each record, in runs of one. */
export function eachPlaced(runs: readonly Run[], partition: number): Placed[] {
  return runs.flatMap((run) =>
    Array.from({ length: run.count }, (_, index) => {
      const offset = run.verdict === "rejected" ? {} : { offset: run.offset + index };
      return { partition, ...run, ...offset, count: 1 };
    }),
  );
}

/** Bytes of a verdict, about. */
const verdictBytes = 64;

/** What the answer to an append of so many records takes. */
export const answerBytes = (records: number, form: "each" | "runs"): number =>
  form === "each" ? records * verdictBytes : 0;

/** 201: something was appended. Where every record was rejected it is a problem: what a partition said, if one did. */
export function answerOf(runs: readonly Placed[], form: "each" | "runs", refused: Refusal | undefined): Response {
  const rejected = runs.filter((run) => run.verdict === "rejected");
  if (rejected.length === runs.length) return problem(refused ?? asRefusal(rejected[0]));
  const status = runs.some((run) => run.verdict === "appended") ? 201 : 200;
  if (form === "runs") return json({ runs: joined(runs) }, status);
  return new Response(countedBody(`{"verdicts":[${runs.map(each).join(",")}]}\n`), { status, headers: jsonHeaders });
}

const jsonHeaders = { "content-type": media.json };

/** The verdict of every record of a run. */
function each(run: Placed): string {
  const parts: string[] = [];
  for (let index = 0; index < run.count; index++) {
    if (run.verdict === "rejected") {
      const { verdict, partition, reason, detail } = run;
      parts.push(JSON.stringify({ verdict, partition, reason, detail }));
    } else parts.push(`{"verdict":"${run.verdict}","partition":${run.partition},"offset":${run.offset + index}}`);
  }
  return parts.join(",");
}

const asRefusal = (run: Run): Refusal =>
  run.verdict === "rejected" && run.reason in errors
    ? { code: run.reason as ErrorCode, detail: run.detail }
    : { code: "internal", detail: "no verdict" };
