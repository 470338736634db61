/** The end of a script: members are good from now on, and everything must come to its end in a bounded time. */
import type { Json } from "../frame/http.ts";
import { lookAtLetters } from "./letters.ts";
import { look } from "./look.ts";
import { only, resume } from "./moving.ts";
import { receive } from "./receiving.ts";
import type { ScriptRun } from "./script.ts";
import { call } from "./settling.ts";
import { quiet } from "./sockets.ts";
import { holds, type Lease, type Tracked } from "./tracked.ts";

/** A record that may go, and a member that waits for it: so long without anything happening is too long. */
const stillMs = 12_000;

export async function drain(run: ScriptRun): Promise<void> {
  run.note([], () => "from here on members are good");
  await quiet(run);
  for (const member of [...run.members.values()]) member.leave(true);
  await resume(run);
  await only(run, { do: "only", keys: null });
  const generous = { maxInFlight: 10_000, memberMaxInFlight: null, backoff: [0], ackTimeoutMs: 60_000 };
  await run.certainly("PUT", run.group, generous);
  run.model.configure(generous);
  for (let last = run.now(); unfinished(run).length > 0; ) {
    const before = run.model.receipts.size;
    await hurry(run);
    await receive(run, { do: "receive", member: "good", max: 1000, waitMs: 500 });
    await acknowledge(run);
    run.rethrow();
    if (run.model.receipts.size > before) last = run.now();
    for (const { lease } of unfinished(run)) {
      // Somebody whom nobody knows may hold it for his time.
      if (lease?.receipt === undefined && lease !== undefined)
        last = Math.max(last, Math.min(run.now(), lease.runsOut[1]));
    }
    await stuck(run, last);
  }
  await end(run);
}

async function stuck(run: ScriptRun, last: number): Promise<void> {
  const left = unfinished(run);
  if (left.length > 0 && run.now() - last >= run.round.patient(stillMs)) await explain(run);
  run.round.checks.that(
    "drained",
    left.length === 0 || run.now() - last < run.round.patient(stillMs),
    () => {
      const described = left.slice(0, 5).map((record) => `${record}, ${run.model.describe(record, run.now())}`);
      return `${left.length} records do not come, though a member waits: ${described.join("; ")}`;
    },
    [...left.slice(0, 3).flatMap((record) => run.model.subjects(record))],
  );
}

/** What the group itself says of the records that do not come. */
async function explain(run: ScriptRun): Promise<void> {
  const status = await run.certainly("GET", `${run.group}/status`);
  const { lanes } = await run.certainly("GET", `${run.group}/lanes?limit=1000`);
  run.note([], () => `status: ${JSON.stringify(status)}`);
  run.note([], () => `lanes: ${JSON.stringify(lanes)}`);
}

const unfinished = (run: ScriptRun): Tracked[] =>
  run.model.matching.filter((record) => (record.state === "open" && !record.perhapsDone) || record.blocks);

/** Lanes that wait are tried now, and what is parked goes out again. */
async function hurry(run: ScriptRun): Promise<void> {
  const now = run.now();
  await lookAtLetters(run);
  const parked = run.model.matching.filter((record) => record.state === "dead" && record.blocks);
  if (parked.length > 0) {
    const letters = parked.slice(0, 1000).map(({ place }) => place);
    await run.certainly("POST", `${run.group}/dead-letters/redrive`, { letters });
    for (const record of parked.slice(0, 1000)) run.model.revive(record, undefined);
  }
  if (!run.model.matching.some((record) => record.state === "open" && record.delayedTo > now + 1000)) return;
  const { lanes } = await run.certainly("GET", `${run.group}/lanes?limit=1000`);
  for (const { lane, partition, offset, state } of lanes as Json[]) {
    const record = run.model.records.get(`${partition}.${offset}`);
    if (state !== "retry" || record === undefined || record.delayedTo <= now + 1000) continue;
    record.notBefore = 0;
    record.delayedTo = 0;
    await run.try("POST", `${run.group}/lanes/resume`, { lane });
    run.note(run.model.subjects(record), () => `lanes/resume of ${lane}, ${record}`);
  }
}

/** Everything that anybody has been given. */
async function acknowledge(run: ScriptRun): Promise<void> {
  const leases = unfinished(run)
    .map(({ lease }) => lease)
    .filter(
      (lease): lease is Lease => lease?.receipt !== undefined && (holds(lease, run.now()) || lease.end === undefined),
    );
  for (let from = 0; from < leases.length; from += 1000) await call(run, "ack", leases.slice(from, from + 1000), {});
}

/** Nothing is left: the status says so, and nothing comes any more. */
async function end(run: ScriptRun): Promise<void> {
  await receive(run, { do: "receive", member: "good", max: 1000, waitMs: 200 });
  run.rethrow();
  await look(run);
  for (const record of run.model.matching) {
    const kept = record.state !== "open" || record.perhapsDone;
    run.round.checks.that("none-lost", kept, () => `${record} is ${run.model.describe(record, run.now())} at the end`, [
      ...run.model.subjects(record),
    ]);
  }
}
