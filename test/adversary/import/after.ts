/** What is done to an import that is done: the same again, without its progress, with another input, into another stream. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { millrace } from "../frame/cli.ts";
import type { Read } from "../log/read.ts";
import { counted, deathsSince, isEnd } from "./ending.ts";
import { Importer } from "./importer.ts";
import type { Job } from "./job.ts";
import { holds, type Want } from "./model.ts";
import type { After, RowPlan } from "./plan.ts";
import { Filled } from "./stream.ts";

export async function after(job: Job, act: After): Promise<void> {
  job.note(() => `now: ${act}`);
  switch (act) {
    case "again":
      return again(job);
    case "state-lost":
      return stateLost(job);
    case "added":
      job.untouched = false;
      job.write(job.plan.source.rows);
      return ended(job);
    case "first-changed":
    case "shorter":
    case "row-gone":
      return changed(job, act);
    case "made-anew":
      return madeAnew(job);
    case "state-cut":
    case "state-empty":
    case "state-zeros":
    case "state-other":
      return stateDamaged(job, act);
    case "copied":
      return copied(job);
    case "dry-run":
      return dryRun(job);
  }
}

const finish = { mishaps: [] };

/** To its end, which nothing stands in the way of but a death of the service. */
async function ended(job: Job): Promise<void> {
  for (let tries = 0; tries < 8; tries++) {
    const outcome = await job.start(finish);
    if (isEnd(job, outcome.ended)) return job.done(outcome);
    job.broken = true;
  }
  job.round.checks.that("resumes", false, () => "it is not done", job.subjects);
}

async function again(job: Job): Promise<void> {
  const { ended, before, now, disturbed } = await job.start(finish);
  if (disturbed && ended.code !== 0) return;
  job.held(now, true);
  counted(job, ended, before, now);
}

/** A file that was not touched is known to the service. */
async function stateLost(job: Job): Promise<void> {
  if (job.piped || !job.untouched) return;
  job.forgetState();
  const { ended, before, now, disturbed } = await job.start(finish);
  job.held(now, true);
  if (disturbed) return;
  const { imported, duplicates } = job.total;
  job.already = imported;
  job.total = { ...job.total, imported: 0, duplicates: imported + duplicates };
  counted(job, ended, before, now);
}

/** The same command has to be refused, with nothing sent. */
async function refused(job: Job, why: string): Promise<void> {
  job.refusing = true;
  const { ended, before, now, disturbed } = await job.start(finish);
  job.refusing = false;
  const { checks } = job.round;
  checks.that(
    "changed",
    now.length === before.length,
    () => `${why}: ${now.length - before.length} records came`,
    job.subjects,
  );
  const words = () => `${why}: it ended with ${ended.code}: ${ended.out}${ended.err}`;
  checks.that("changed", ended.code === 2 || (disturbed && ended.code !== 0), words, job.subjects);
}

async function changed(job: Job, how: "first-changed" | "shorter" | "row-gone"): Promise<void> {
  const rows = job.phase.rows as RowPlan[];
  if (rows.length < 8 || job.plan.door === "pipe-name") return;
  const middle = rows.length >> 1;
  const others = {
    "first-changed": () => rows.with(0, { ...(rows[0] as RowPlan), n: 900_001, shape: 1 }),
    shorter: () => rows.slice(0, middle),
    "row-gone": () => [...rows.slice(0, middle), ...rows.slice(middle + 1), rows[middle] as RowPlan],
  };
  job.untouched = false;
  job.write(others[how]());
  await refused(job, how);
  job.write(rows);
}

async function madeAnew(job: Job): Promise<void> {
  await job.stream.remove();
  await job.stream.make();
  job.already = 0;
  if (job.statePath !== undefined) return refused(job, "the stream was made anew");
  job.broken = true;
  await ended(job);
}

/** What is not what was written cannot be gone on with; whatever is done, no row is there twice. */
async function stateDamaged(job: Job, how: "state-cut" | "state-empty" | "state-zeros" | "state-other"): Promise<void> {
  const { stateFile } = job;
  if (stateFile === undefined || !job.untouched) return;
  const was = readFileSync(stateFile);
  const others = ["{}", "null", "[]", "1", '{"done":true}', was.toString().replace('"place"', '"plaice"')];
  const damaged = {
    "state-cut": was.subarray(0, was.length >> 1),
    "state-empty": Buffer.alloc(0),
    "state-zeros": Buffer.alloc(was.length),
    "state-other": Buffer.from(others[job.phase.rows.length % others.length] as string),
  };
  writeFileSync(stateFile, damaged[how]);
  job.refusing = true;
  const { ended, now, disturbed } = await job.start(finish);
  job.refusing = false;
  job.held(now, true);
  const words = () => `${how}: it ended with ${ended.code}: ${ended.out}${ended.err}`;
  job.round.checks.that("state", ended.code === 0 || ended.code === 2 || disturbed, words, job.subjects);
  writeFileSync(stateFile, was);
}

/** What `read --json` prints is a source, too. */
async function copied(job: Job): Promise<void> {
  const { round, name, stream } = job;
  const since = deathsSince(round);
  const copy = new Filled(round, `${name}-copy`, 2);
  await copy.make();
  const printed = await millrace(round.service, round.name, ["read", name, "--json"]);
  const state = `${job.path}.copy`;
  const args = ["import", copy.name, "--records", "--state", state];
  const ran = await new Importer(round, round.service.origin, args, Buffer.from(printed.out)).ended;
  rmSync(state, { force: true });
  if (since()) return;
  round.checks.that("exit", ran.code === 0, () => `a copy ended with ${ran.code}: ${ran.out}${ran.err}`, job.subjects);
  const wants = (await stream.read()).map(wantOf);
  holds(round, await copy.read(), wants, { whole: true, onePartition: false, subjects: job.subjects });
}

function wantOf({ fields, json, bytes }: Read, index: number): Want {
  const { key, id, source, time, ...others } = fields as Record<string, string | undefined>;
  return {
    ...(key !== undefined && { key }),
    ...(id !== undefined && { id }),
    ...(source !== undefined && { source }),
    ...(time !== undefined && { time }),
    fields: others,
    data:
      json !== undefined
        ? { kind: "json", texts: [json.replace(/[\r\n]/g, " ")] }
        : bytes !== undefined
          ? { kind: "base64", text: bytes.toString("base64") }
          : { kind: "none" },
    line: index + 1,
  };
}

async function dryRun(job: Job): Promise<void> {
  job.refusing = true;
  const { ended, before, now, disturbed } = await job.start(finish, ["--dry-run"]);
  job.refusing = false;
  const grown = now.length - before.length;
  job.round.checks.that("changed", grown === 0, () => `a dry run appended ${grown} records`, job.subjects);
  const bad = job.phase.source.rows.some(({ fate }) => fate === "bad");
  const words = () => `a dry run ended with ${ended.code}: ${ended.out}${ended.err}`;
  job.round.checks.that("exit", ended.code === 0 || (bad && ended.code === 1) || disturbed, words, job.subjects);
}
