/** Steps of an operator: pause, seek, incident mode, other terms, another group of the same name. */
import type { Json } from "../frame/http.ts";
import type { GroupConfig, Step } from "./plan.ts";
import { keyName } from "./records.ts";
import type { ScriptRun } from "./script.ts";
import { quiet } from "./sockets.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

export async function pause(run: ScriptRun): Promise<void> {
  await run.certainly("POST", `${run.group}/pause`, {});
  run.model.pausedAt = run.now();
  run.note([], () => "paused");
}

export async function resume(run: ScriptRun): Promise<void> {
  run.model.pausedAt = undefined;
  await run.certainly("POST", `${run.group}/resume`, {});
  run.note([], () => "resumed");
}

export async function only(run: ScriptRun, step: Of<"only">): Promise<void> {
  const keys = step.keys?.map(keyName) ?? null;
  if (keys !== null && run.model.only === undefined) run.model.incidentAt = run.now();
  // Until it is answered the old keys may go out, and afterwards the new ones.
  run.model.only = undefined;
  await run.certainly("PUT", run.group, { only: keys });
  run.note([], () => `only ${keys === null ? "is over" : keys.join(", ")}`);
  if (keys !== null) run.model.only = { keys: new Set(keys), at: run.now() };
}

export async function update(run: ScriptRun, step: Of<"update">): Promise<void> {
  await quiet(run);
  const { filter: _, ...config } = step.config as GroupConfig;
  await run.certainly("PUT", run.group, config);
  run.note([], () => `the group has ${JSON.stringify(config)}`);
  run.model.configure(config);
}

export async function seek(run: ScriptRun, step: Of<"seek">): Promise<void> {
  await quiet(run);
  const body = target(run, step);
  const { partitions } = await run.certainly("POST", `${run.group}/seek`, body);
  run.note([], () => `seek ${JSON.stringify(body)}: ${JSON.stringify(partitions)}`);
  for (const place of partitions as Json[]) {
    const { partition, offset } = place;
    const tail = run.model.ofPartition(partition).length;
    const right = step.to === "earliest" ? offset === 0 : step.to === "latest" ? offset === tail : offset <= tail;
    run.round.checks.that("seek", right, () => `seek ${JSON.stringify(body)} went to ${offset} of ${tail}`);
    run.model.sought(partition, offset, run.now());
  }
}

function target(run: ScriptRun, { to, share }: Of<"seek">): Json {
  if (to === "earliest" || to === "latest") return { to };
  const records = [...run.model.records.values()];
  if (to === "time") {
    const age = (run.now() - (run.some(records, share, 1)[0]?.appendedAt ?? 0)) / 1000;
    return { to: new Date(Date.now() - age * 1000).toISOString() };
  }
  const record = run.some(records, share, 1)[0];
  return record === undefined ? { to: "earliest" } : { to: record.offset, partition: record.partition };
}

/** The group is deleted, and made anew under its name. What was given out before is worth nothing. */
export async function recreate(run: ScriptRun): Promise<void> {
  await quiet(run);
  for (const member of [...run.members.values()]) member.leave(true);
  // Repeated after a lost answer it may find nothing, which is as good.
  const answer = await run.try("DELETE", run.group);
  if (answer === undefined) await run.try("DELETE", run.group);
  const { model } = run;
  for (const lease of model.receipts.values()) lease.end = "deleted";
  for (const record of model.records.values()) {
    record.reset();
    record.leases.length = 0;
  }
  model.pausedAt = undefined;
  model.only = undefined;
  await run.createGroup();
  run.note([], () => "the group was deleted, and created anew");
}
