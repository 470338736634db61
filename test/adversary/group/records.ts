/** The stream below the group: appends, growth, and what is in it. */
import type { Json } from "../frame/http.ts";
import type { AppendedKey, Step } from "./plan.ts";
import type { ScriptRun } from "./script.ts";
import { Tracked } from "./tracked.ts";

type Of<K extends Step["do"]> = Extract<Step, { do: K }>;

export const keyName = (key: number) => `k${key}`;

interface Sent {
  readonly key?: string;
  readonly type?: string;
  readonly tags?: string[];
  readonly data: { n: number };
}

function sentOf(run: ScriptRun, { key, tag }: AppendedKey): Sent {
  return {
    ...(key !== null && { key: keyName(key) }),
    ...(tag !== undefined && { tags: [tag] }),
    data: { n: run.appended++ },
  };
}

/** Whether the group's filter lets it through. */
function matches(run: ScriptRun, { key, tags }: Sent): boolean {
  const { filter } = run.model.config;
  if (filter === null) return true;
  if (filter.key !== undefined && filter.key !== key) return false;
  return filter.tags === undefined || filter.tags.some((tag) => tags?.includes(tag));
}

export function append(run: ScriptRun, step: Of<"append">): Promise<void> {
  const appending = send(run, step);
  run.appending = appending.catch(() => {});
  return appending;
}

async function send(run: ScriptRun, step: Of<"append">): Promise<void> {
  const records = step.records.map((record) => sentOf(run, record));
  const answer = await run.try("POST", `${run.stream}/records`, { records });
  if (answer === undefined || answer.status >= 500) {
    for (const record of records) run.unknown.set(record.data.n, run.now());
    run.note([], () => `append of ${records.length}: no answer`);
    if (answer !== undefined) await readLog(run);
    return;
  }
  run.round.checks.that("accepted", answer.status < 300, () => `an append was refused: ${answer.body.toString()}`);
  const places = (answer.json.verdicts as Json[]).map((verdict, i) => {
    const record = records[i] as Sent;
    run.round.checks.that("accepted", verdict.verdict === "appended", () => `a verdict of ${JSON.stringify(verdict)}`);
    return track(run, verdict, record);
  });
  for (const record of places) run.note(run.model.subjects(record), () => `appended ${record}`);
}

function track(run: ScriptRun, place: { partition: number; offset: number }, sent: Sent): Tracked {
  const record = new Tracked(
    place.partition,
    place.offset,
    sent.key,
    JSON.stringify(sent.data),
    run.now(),
    matches(run, sent),
  );
  run.model.add(record);
  return record;
}

export async function grow(run: ScriptRun, step: Of<"grow">): Promise<void> {
  run.partitions += step.by;
  await run.certainly("PUT", run.stream, { partitions: run.partitions });
  run.note([], () => `the stream grew to ${run.partitions} partitions`);
}

/** Finds what was appended by requests that were not answered. The script is the only writer. */
export async function readLog(run: ScriptRun): Promise<void> {
  let from = "earliest";
  for (;;) {
    const page = await run.round.must("GET", `${run.stream}/records?limit=10000&from=${encodeURIComponent(from)}`);
    for (const record of page.records as Json[]) {
      const n = record.data?.n;
      if (!run.unknown.has(n) || run.model.records.has(`${record.partition}.${record.offset}`)) continue;
      const tracked = track(run, record, record);
      run.note(run.model.subjects(tracked), () => `${tracked} is in the stream, though its append was not answered`);
    }
    if (page.upToDate || page.next === null) break;
    from = String(page.next);
  }
  run.unknown.clear();
}
