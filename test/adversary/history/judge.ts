/** Holds what was read of a whole partition against what may have become of its records. */
import { type Epoch, inRanges, type Kept, type Model, type Part, type Range } from "./model.ts";
import type { Settings } from "./plan.ts";
import type { Seen } from "./read.ts";
import type { ScriptRun } from "./script.ts";

/** Clocks are the machine's; what is rounded may differ by so much. */
const slackMs = 50;

/** `head`: as it was told after the reading. */
export function judge(run: ScriptRun, log: Model, part: Part, seen: Seen, head: number): void {
  const now = Date.now();
  const words = () => `the head of partition ${part.number} went from ${part.head} to ${head}`;
  run.that("head", head >= part.head && head <= part.records.length, words, [`${part.number}`]);
  dropped(run, log, part, head, now);
  part.head = head;
  part.looked = now;
  if (seen.broken) return;
  const shown = new Set(seen.shown.map(({ offset }) => offset));
  const last = lastOf(part);
  for (const record of part.records.slice(head)) {
    const { offset } = record;
    if (shown.has(offset) || record.gone !== undefined || inRanges(seen.damaged, offset)) continue;
    const why = inRanges(part.holes, offset) ? "hole" : compacted(log, record, last, now);
    const about = [`${part.number}.${offset}`, ...(record.key === undefined ? [] : [record.key])];
    const told = () => `${JSON.stringify(record)} is missing, and nothing that is promised took it; ${words()}`;
    run.that("kept", why !== undefined, told, about);
    record.gone = why;
    run.note(about, () => `${part.number}.${offset} is gone: ${why}`);
  }
}

/** Whether all was to be had that ought to be: what is not is either harmed, or the store ails, and then it is not called damaged. */
export function unharmed(run: ScriptRun, part: Part, seen: Seen): boolean {
  const known = ({ from, to }: Range) => part.damaged.some((range) => from < range.to && to > range.from);
  return (!seen.broken || run.fault !== undefined) && seen.damaged.every(known);
}

function lastOf(part: Part): Map<string, Kept> {
  const last = new Map<string, Kept>();
  for (const record of part.records) if (record.key !== undefined) last.set(record.key, record);
  return last;
}

/** A newer one of its key may take a record's place, and its grace that of a marker. */
function compacted(log: Model, record: Kept, last: Map<string, Kept>, now: number): "compacted" | undefined {
  const { key, data, offset } = record;
  if (!log.compacts || key === undefined) return undefined;
  if ((last.get(key) as Kept).offset > offset) return "compacted";
  const graces = log.epochs.filter(({ settings }) => settings.compact).map(graceOf);
  const since = record.at === undefined ? record.sentAt : Date.parse(record.at);
  return data === undefined && since <= now - Math.min(...graces) + slackMs ? "compacted" : undefined;
}

/** Compaction may have come to a record by now. */
export function mayBeCompacted(log: Model, record: Kept): boolean {
  return compacted(log, record, lastOf(log.part(record.partition)), Date.now()) !== undefined;
}

const dayMs = 86_400_000;
const graceOf = ({ settings }: Epoch) => settings.deleteMarkerGraceMs ?? dayMs;

/** What is below the head now went by hand, or by a bound that was in effect since. */
function dropped(run: ScriptRun, log: Model, part: Part, head: number, now: number): void {
  const epochs = log.epochs.filter(({ until }) => until >= part.looked);
  const left = part.records.slice(head);
  const last = lastOf(part);
  for (const record of part.records.slice(part.head, head)) {
    const { offset } = record;
    const allowed =
      offset < part.trimmed ||
      // It may have been gone before the head came to it: no group has heard of it then.
      compacted(log, record, last, now) !== undefined ||
      epochs.some((epoch) => lets(epoch.settings, log, part, record, left, now));
    const words = () =>
      `${JSON.stringify(record)} was dropped at ${now} with ${left.length} records left; ${JSON.stringify(epochs)}`;
    run.that(log.copied ? "retention-copied" : "retention", allowed, words, [`${part.number}.${offset}`]);
    const windows = epochs.map(({ settings }) => settings.deduplicationWindowMs ?? 0);
    const over = offset < part.trimmed || isOlder(record, Math.min(...windows), now);
    run.that("window", over, words, [`${part.number}.${offset}`]);
  }
}

const isOlder = ({ sentAt }: Kept, ms: number, now: number) => sentAt <= now - ms + slackMs;

const bytesOf = ({ key = "", subject = "", data = "" }: Kept) => 100 + key.length + subject.length + data.length;

function lets(settings: Settings, log: Model, part: Part, record: Kept, left: readonly Kept[], now: number): boolean {
  const older = (ms: number) => isOlder(record, ms, now);
  const { keepForSnapshot, keepForGroups, archive, archiveAgeMs = null } = settings;
  if (keepForSnapshot && record.offset >= part.snapshotPerhaps) return false;
  // What is to be forgotten counts as finished.
  const finished = log.finished.has(record) || record.forgotten !== undefined;
  if (keepForGroups && !log.groupUnsure && !finished) return false;
  if (archive) return archiveAgeMs !== null && older(archiveAgeMs);
  const { retentionAgeMs = null, retentionRecords = null, retentionBytes = null } = settings;
  if (retentionAgeMs !== null && older(retentionAgeMs)) return true;
  if (retentionRecords !== null && left.length >= retentionRecords) return true;
  if (retentionBytes !== null && left.reduce((sum, one) => sum + bytesOf(one), 0) >= retentionBytes) return true;
  const unbound = retentionAgeMs === null && retentionRecords === null && retentionBytes === null;
  return unbound && keepForGroups === true;
}

/** A deleted key stays deleted: where its last record, a marker, is gone, an older one must not be shown any more. */
export function deletedStay(run: ScriptRun, log: Model, before: ReadonlySet<Kept>, seen: Seen): void {
  const last = log.lastOfKeys();
  for (const { partition, offset, erased } of seen.shown) {
    const record = log.part(partition).records[offset] as Kept;
    // What is erased has no key any more, and an older marker says the same.
    if (erased || record.data === undefined) continue;
    const newest = record.key === undefined ? undefined : last.get(record.key);
    if (newest === undefined || newest === record || newest.gone !== "compacted" || !before.has(newest)) continue;
    const words = () => `${JSON.stringify(record)} is shown, and ${JSON.stringify(newest)}, which deleted it, is gone`;
    const invariant = newest.partition !== partition ? "deleted-grown" : log.copied ? "deleted-copied" : "deleted";
    run.that(invariant, false, words, [`${partition}.${offset}`, record.key as string]);
  }
  run.that(log.copied ? "deleted-copied" : "deleted", true, () => "");
  if (log.parts.size > 1) run.that("deleted-grown", true, () => "");
}
