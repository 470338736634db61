/** Carries out what befalls a log, where the guide says what is to come of it. */
import { closeSync } from "node:fs";
import { sleep } from "../frame/time.ts";
import type { Generation, Log } from "./log.ts";
import type { OfLog } from "./plan.ts";
import * as rotations from "./rotations.ts";
import type { Watch } from "./watch.ts";

type Of<Do extends OfLog["do"]> = Extract<OfLog, { do: Do }>;

export async function befall(watch: Watch, beat: OfLog): Promise<void> {
  const log = watch.logs[beat.log] as Log;
  await log.busy;
  if (watch.round.stopped.aborted) return;
  if (beat.do === "write") return write(watch, log, beat);
  if (beat.do === "settle") return log.isThere ? watch.settle(log) : undefined;
  // Nobody can know a file that was never there, or never read.
  if (!log.isThere || (log.plan.origin === "link") !== (beat.do === "turn")) return;
  if (!watch.isKnown(log) || log.unsettled) await watch.settle(log);
  if (watch.round.stopped.aborted) return;
  switch (beat.do) {
    case "rename":
      return rename(watch, log, beat);
    case "copy":
      return copy(watch, log, beat);
    case "compress":
      return compress(watch, log, beat);
    case "prune":
      return prune(watch, log);
    case "hide":
      return hide(watch, log, beat);
    case "turn":
      return turn(watch, log, beat);
    case "replace":
      return replace(watch, log, beat);
    case "truncate":
      return truncate(watch, log, beat);
    case "drop":
      return drop(watch, log, beat);
  }
}

function write(watch: Watch, log: Log, { lines, paceMs, open }: Of<"write">): void {
  const begin = () => {
    if (open !== undefined) log.begun(open.line, open.share);
  };
  watch.note(log, () => `${lines.length} lines up to ${log.lines.length - 1}`);
  if (paceMs === 0) {
    rotations.writeAll(log, lines);
    begin();
    return;
  }
  log.busy = beside(async () => {
    for (const line of lines) {
      log.write(line);
      await sleep(paceMs, watch.round.stopped);
    }
    begin();
  });
}

function rename(watch: Watch, log: Log, { late, paceMs, create }: Of<"rename">): void {
  const { part } = log;
  const { file, generation } = rotations.rename(log, late.length > 0);
  watch.note(log, () => `renamed to ${generation.path} behind line ${generation.lines.at(-1)?.number}`);
  log.begin();
  if (create) log.open();
  generation.busy = true;
  const writing = beside(async () => {
    for (const line of late) {
      log.writeLate(file, generation, line);
      await sleep(paceMs, watch.round.stopped);
    }
    closeSync(file);
    generation.busy = false;
  });
  log.late = Promise.all([log.late, writing]);
  log.late.catch(() => {});
  if (late.length > 0) watch.note(log, () => `${late.length} late lines${part === undefined ? "" : ", one amid them"}`);
}

function copy(watch: Watch, log: Log, { gap, refill }: Of<"copy">): void {
  log.open();
  rotations.copyAndTruncate(log, watch.round.now(), () => {
    for (const line of gap) log.write(line, true);
  });
  rotations.writeAll(log, refill);
  watch.note(log, () => `copied and truncated; ${gap.length} lines between, refilled up to ${log.lines.length - 1}`);
  if (gap.length > 0) [log.mayLose, log.unsettled] = [true, true];
}

function compress(watch: Watch, log: Log, { by, age }: Of<"compress">): void {
  const unpacked = rotations.shelved(log).filter((one) => !one.busy && !rotations.isPacked(one));
  const chosen = unpacked.at(-1 - (age % Math.max(1, unpacked.length)));
  if (chosen === undefined) return;
  rotations.compress(chosen, rotations.hasZstd ? by : "gz");
  watch.note(log, () => `file ${chosen.number} is ${chosen.path}`);
}

/** What leads to the others is one that has been read, and stays. */
function prune(watch: Watch, log: Log): void {
  const [oldest] = rotations.shelved(log);
  if (oldest === undefined || oldest.busy) return;
  const isRead = (one: Generation) => one.lines.every((line) => line.doubtful || watch.hasCome(line));
  const leads = log.generations.some(
    (one) => one.number > oldest.number && one.lines.some((line) => watch.hasCome(line)),
  );
  if (!isRead(oldest) || !leads) return;
  watch.note(log, () => `file ${oldest.number}, ${oldest.path}, is deleted`);
  rotations.remove(oldest);
}

function hide(watch: Watch, log: Log, { ms, lines }: Of<"hide">): void {
  log.open();
  const back = rotations.hide(log);
  [log.hidden, log.hiddenAt] = [true, watch.round.now()];
  watch.note(log, () => "is under another name for a while");
  log.busy = beside(async () => {
    rotations.writeAll(log, lines);
    await sleep(ms, watch.round.stopped);
    back();
    log.hidden = false;
    watch.note(log, () => "is back");
  });
}

/** While somebody looks, he sees each file that it leads to. */
function turn(watch: Watch, log: Log, { lines, between }: Of<"turn">): void {
  if (between.length > 0 && !watch.forwarder.isRunning) {
    rotations.turn(log);
    for (const line of between) log.write(line, true);
    log.turns.push(watch.round.now());
    watch.note(log, () => `leads to ${log.current.path} for a moment`);
  }
  rotations.turn(log);
  rotations.writeAll(log, lines);
  watch.note(log, () => `leads to ${log.current.path}`);
  log.unsettled = true;
}

/** It is held open until it has been read. */
async function replace(watch: Watch, log: Log, { lines, fresh }: Of<"replace">): Promise<void> {
  // One that comes now and then holds nothing, and one that has just begun may not have it yet.
  if (watch.plan.options.once) return;
  await watch.settle(log);
  if (watch.round.stopped.aborted) return;
  rotations.writeAll(log, lines);
  const { number } = log.current;
  rotations.replace(log);
  rotations.writeAll(log, fresh);
  watch.note(log, () => `file ${number} is deleted, and another one in its place`);
  await watch.settle(log);
}

async function truncate(watch: Watch, log: Log, { refill }: Of<"truncate">): Promise<void> {
  log.open();
  const { lines } = log.current;
  if (!lines.some((line) => watch.hasCome(line))) {
    if (!watch.forwarder.isRunning) return;
    await watch.settle(log);
  }
  await watch.stream.glance();
  for (const line of lines) line.doubtful ||= !watch.hasCome(line);
  loses(watch, log);
  rotations.truncate(log, watch.round.now());
  rotations.writeAll(log, refill);
  watch.note(log, () => "truncated without a copy");
}

/** What was not read of a file is gone before anybody comes. */
async function drop(watch: Watch, log: Log, { lines }: Of<"drop">): Promise<void> {
  if (watch.forwarder.isRunning || !log.current.lines.some((line) => watch.hasCome(line))) return;
  rotations.writeAll(log, lines);
  await watch.stream.glance();
  for (const line of log.lines) line.doubtful ||= !watch.hasCome(line);
  loses(watch, log);
  const { file, generation } = rotations.rename(log, false);
  closeSync(file);
  rotations.remove(generation);
  log.begin();
  watch.note(log, () => `file ${generation.number} was deleted while nobody looked`);
}

/** What fails is known to whoever waits for it. */
function beside(run: () => Promise<void>): Promise<void> {
  const running = run();
  running.catch(() => {});
  return running;
}

function loses(watch: Watch, log: Log): void {
  [log.mayLose, log.unsettled] = [true, true];
  log.losses.push(watch.round.now());
}
