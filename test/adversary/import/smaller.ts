/** Ways to make a plan smaller. */
import type { Violation } from "../frame/checks.ts";
import type { Smaller } from "../frame/program.ts";
import { thinner } from "../frame/shrink.ts";
import type { ImportPlan, JobPlan, Look, RefusalPlan } from "./plan.ts";

export function smaller(plan: ImportPlan, violation?: Violation): Smaller<ImportPlan>[] {
  if (plan.jobs.length > 1) {
    const blamed = Number(violation?.subjects.find((subject) => /^s\d+$/.test(subject))?.slice(1) ?? -1);
    const order = [...plan.jobs.keys()].sort((a, b) => Number(b === blamed) - Number(a === blamed));
    return order.map((i) => ({ name: `only-${i}`, plan: { jobs: [plan.jobs[i] as JobPlan] } }));
  }
  const [job] = plan.jobs as [JobPlan | RefusalPlan];
  const less = job.kind === "import" ? lesser(job) : [];
  return less.map(({ name, job: one }) => ({ name, plan: { jobs: [one] } }));
}

interface Lesser {
  readonly name: string;
  readonly job: JobPlan;
}

function lesser(job: JobPlan): Lesser[] {
  const found: Lesser[] = [];
  const { runs, after, source, cut, ...rest } = job;
  if (runs.length > 0) found.push({ name: "no-runs", job: { ...job, runs: [] } });
  if (after.length > 0) found.push({ name: "no-after", job: { ...job, after: [] } });
  for (const { name, list } of thinner(runs, "runs")) found.push({ name, job: { ...job, runs: list } });
  for (const { name, list } of thinner(after, "after")) found.push({ name, job: { ...job, after: list } });
  for (const { name, list } of thinner(source.rows, "rows")) {
    found.push({ name, job: { ...job, source: { ...source, rows: list } } });
  }
  for (const [i, run] of runs.entries()) {
    for (const { name, list } of thinner(run.mishaps, `mishaps-${i}`)) {
      found.push({ name, job: { ...job, runs: runs.with(i, { ...run, mishaps: list }) } });
    }
  }
  if (job.twins) found.push({ name: "no-twins", job: { ...job, twins: false } });
  if (cut !== undefined) found.push({ name: "whole", job: { ...rest, runs, after, source } });
  if (job.partitions > 1) found.push({ name: "one-partition", job: { ...job, partitions: 1 } });
  for (const [name, change] of Object.entries(plainer)) {
    const look = { ...source.look, ...change };
    if (JSON.stringify(look) !== JSON.stringify(source.look))
      found.push({ name, job: { ...job, source: { ...source, look } } });
  }
  return found;
}

const plainer: Readonly<Record<string, Partial<Look>>> = {
  "utf-8": { encoding: "utf-8" },
  unpacked: { gzip: 0 },
  lines: { lineEnd: "\n", ended: true },
  "no-pad": { pad: 0 },
  "no-ids": { ids: false },
  "no-time": { time: "none" },
  "no-fields": { fields: false },
  wrapped: { unwrapped: false },
  "no-envelope": { envelope: "none" },
};
