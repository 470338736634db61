/** Carries a round out: every import beside the others, with a stream, a folder and a line to the service of its own. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Round } from "../frame/round.ts";
import { sleep } from "../frame/time.ts";
import { deathsSince } from "./ending.ts";
import { Importer } from "./importer.ts";
import { Job } from "./job.ts";
import type { ImportPlan, RefusalPlan } from "./plan.ts";
import { refusalOf } from "./refusals.ts";
import { Filled } from "./stream.ts";
import { Wire } from "./wire.ts";

export async function runImports(plan: ImportPlan, round: Round): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-adversary-import-"));
  try {
    await Promise.all(
      plan.jobs.map((job, i) =>
        job.kind === "import" ? new Job(round, job, `s${i}`, folder).run() : refuse(round, job, `s${i}`, folder),
      ),
    );
  } finally {
    round.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What would be read wrongly, into a stream of its own: nothing is there afterwards. */
async function refuse(round: Round, plan: RefusalPlan, name: string, folder: string): Promise<void> {
  const { file, bytes, args, says, code, ...refusal } = refusalOf(plan.name, plan.rows);
  const stream = new Filled(round, name, 1);
  await stream.make();
  const wire = await Wire.to(round);
  const path = join(folder, `${name}-${file}`);
  if (!refusal.missing) writeFileSync(path, bytes);
  const piped = plan.pipe && !refusal.fileOnly;
  const format = file.endsWith(".csv")
    ? ["--format", "csv"]
    : file.startsWith("outbox")
      ? ["--format", "debezium"]
      : [];
  const door = piped ? ["--state", `${path}.state`, ...(args.includes("--format") ? [] : format)] : [path];
  const origin = refusal.absent ? "http://127.0.0.1:9" : wire.origin;
  const importer = new Importer(
    round,
    origin,
    ["import", refusal.stream ?? name, ...door, ...args],
    piped ? bytes : undefined,
    refusal.token,
  );
  round.operations++;
  const since = deathsSince(round);
  const stop = () => importer.kill("SIGKILL");
  round.stopped.addEventListener("abort", stop);
  try {
    const late = sleep(round.patient(90_000), round.stopped).then(() => undefined);
    const inTime = (await Promise.race([importer.ended, late])) !== undefined || round.stopped.aborted;
    round.checks.that("ends", inTime, () => `${plan.name}: it does not end`, [name]);
    const ended = await importer.ended;
    const undisturbed = !since();
    const words = () => `${plan.name}: it ended with ${ended.code}, not ${code}: ${ended.out}${ended.err}`;
    round.checks.that("exit", ended.code === code || !undisturbed, words, [name]);
    if (!undisturbed) return;
    round.checks.that("told", says.test(ended.err), () => `${plan.name}: not told by ${says}: ${ended.err}`, [name]);
    round.checks.that("refused", wire.appends === 0, () => `${plan.name}: ${wire.appends} appends were sent`, [name]);
    const { length } = await stream.read();
    round.checks.that("refused", length === 0, () => `${plan.name}: there are ${length} records`, [name]);
  } finally {
    importer.kill("SIGKILL");
    wire.end();
  }
}
