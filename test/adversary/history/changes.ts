/** Changes of a stream: its settings, its size, what is trimmed by hand, and snapshots, which retention may wait for. */
import { partitions } from "./look.ts";
import { inRanges, type Model, type Part } from "./model.ts";
import type { Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

/** What was in effect counts until the new settings have been answered. */
export async function change(run: ScriptRun, { on, settings }: Of<"settings">): Promise<void> {
  const log = run.log(on);
  const before = log.epochs.at(-1);
  log.epochs.push({ settings: { ...log.settings, ...settings }, until: Number.POSITIVE_INFINITY });
  await run.steady("PUT", log.path, settings);
  if (before !== undefined) before.until = Date.now();
}

export async function grow(run: ScriptRun, { on, by }: Of<"grow">): Promise<void> {
  const log = run.log(on);
  const { json } = await run.steady("GET", log.path);
  await run.steady("PUT", log.path, { partitions: json.config.partitions + by });
  await partitions(run, log);
}

function chosen(run: ScriptRun, log: Model, where: number): Part {
  return log.part(run.share(log.numbers, where) ?? 0);
}

export async function trim(run: ScriptRun, { on, where, share }: Of<"trim">): Promise<void> {
  const log = run.log(on);
  const part = chosen(run, log, where);
  const beforeOffset = part.head + Math.floor(share * (part.records.length - part.head));
  part.trimmed = Math.max(part.trimmed, beforeOffset);
  await run.steady("POST", `${log.path}/partitions/${part.number}/trim`, { beforeOffset });
  run.note([`${part.number}`], () => `partition ${part.number} was trimmed before ${beforeOffset}`);
}

export async function snapshot(run: ScriptRun, { on, where, share }: Of<"snapshot">): Promise<void> {
  const log = run.log(on);
  const part = chosen(run, log, where);
  const least = Math.max(part.head, part.snapshotPerhaps);
  const offset = least + Math.floor(share * (part.records.length - least + 1));
  const path = `${log.path}/snapshots/${offset}?partition=${part.number}`;
  part.snapshotPerhaps = Math.max(part.snapshotPerhaps, offset);
  const answer = await run.answered(
    "PUT",
    path,
    { body: bodyOf(part, offset), headers: { "content-type": "text/plain" } },
    run.fault !== undefined,
  );
  if (answer.status === 503 && run.fault !== undefined) return;
  // Retention may have been faster.
  const overtaken = answer.status === 410;
  run.that("accepted", answer.status === 201 || overtaken, () => `PUT ${path} was answered ${answer.status}`);
  if (!overtaken) part.snapshot = Math.max(part.snapshot, offset);
}

const bodyOf = (part: Part, offset: number) => `everything below ${offset} of ${part.number}`;

/** The newest snapshot is there, as it was stored. */
export async function snapshotsAreThere(run: ScriptRun, log: Model): Promise<void> {
  for (const part of log.parts.values()) {
    if (part.snapshot === 0 || part.snapshot !== part.snapshotPerhaps) continue;
    const path = `${log.path}/snapshots/${part.snapshot}?partition=${part.number}`;
    const answer = await run.answered("GET", path);
    const words = () => `GET ${path} was answered ${answer.status}: ${answer.body}`;
    run.that("snapshots", answer.status === 200 && answer.body.toString() === bodyOf(part, part.snapshot), words);
  }
}

export const isHole = (part: Part, offset: number) => inRanges(part.holes, offset);
