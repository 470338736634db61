/** Holes in a log that a delivery reads: what was trimmed, is damaged, was given up by a repair, or went with a compaction. */
import { lostOf, Repair } from "../../src/archive/repair.ts";
import { Rewriter } from "../../src/archive/rewrite.ts";
import type { Delivery } from "../../src/delivery/delivery.ts";
import { FirstUnread } from "../../src/delivery/first-unread.ts";
import { Ranges } from "../../src/delivery/ranges.ts";
import { headsIn } from "../../src/log/heads.ts";
import type { Rig } from "./delivery.ts";

/** Seals what there is, and answers all of it. */
function sealed({ log, now }: Rig) {
  log.change(now, () => log.segments.cut(log.span.tail, now));
  return [...log.segments.store.from(0)];
}

const rowsOf = ({ log }: Rig, { base, next }: { base: number; next: number }) =>
  headsIn(log.segments, base, next).map((head) => ({ ...head, body: log.segments.body(head.base) }));

/** Takes records out of the log, as compaction does. */
export function empty(rig: Rig, offsets: ReadonlySet<number>): void {
  for (const segment of sealed(rig)) {
    const rewriter = new Rewriter(true, (_record, offset) => (offsets.has(offset) ? "drop" : "keep"));
    for (const row of rowsOf(rig, segment)) rewriter.add(row);
    if (rewriter.changed) rig.log.replace([segment], rewriter.finish(), rig.now);
  }
}

/** Damages one chunk. Answers the offsets `[from, to)` that it covers; undefined where there is none. */
export function damage(rig: Rig, pick: number): readonly [from: number, to: number] | undefined {
  const { head } = rig.log.span;
  const chunks = sealed(rig).flatMap((segment) => rowsOf(rig, segment));
  const readable = chunks.filter(({ next }) => next > head);
  if (readable.length === 0) return undefined;
  const { base, next, body } = readable[pick % readable.length];
  const tables = rig.logSql.all<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB 'chunk*'");
  for (const { name } of tables)
    rig.logSql.run(`UPDATE ${name} SET body = ? WHERE base = ?`, new Uint8Array(body.length), base);
  return [Math.max(base, head), next];
}

/** Makes holes of what is damaged, of which nobody is told any more. */
export function isolate(rig: Rig): void {
  for (const segment of sealed(rig)) {
    const repair = new Repair(rig.log, segment, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    for (const row of rowsOf(rig, segment)) repair.add(row);
    repair.complete();
    repair.finish(rig.now);
  }
}

/** What a delivery learns of its log for a status, as its shell has it do so. */
export function look({ log }: Rig, { state, reader }: Delivery): void {
  state.missing = new Ranges();
  for (const { from, to } of lostOf(log)) state.missing.add(from, to);
  const first = new FirstUnread(state, reader.filter());
  for (let { from } = first; from !== undefined; from = first.from) {
    const { filter } = first;
    const terms = { from: { at: "offset", offset: from } as const, limit: 100, bytesMax: 1 };
    const page = log.read(filter === undefined ? terms : { ...terms, filter });
    if (page.ok) first.take(page.value);
    else first.trimmed(log.span.head);
  }
  if (first.head > 0) state.missing.add(0, first.head);
  reader.learn(log.span.tail);
}
