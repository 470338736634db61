/** What stays of a log that was deleted, while something of it may yet come into the bucket. */
import type { Sql } from "../lib/sql.ts";
import { parquetKey, segmentKey } from "../log/keys.ts";
import { stillComing } from "../log/notice.ts";
import { SegmentStore } from "../log/segment-store.ts";
import type { Spec } from "../log/spec.ts";
import { Store } from "../log/store.ts";

/** Objects that are deleted at a time. */
const keysAtOnce = 1_000;

/**
 * What may yet come into the bucket, of uploads that were given up or that a crash cut off, and nothing else stays in the database:
 * names, in `garbage`, and the number from which on none is given, so that a log that comes in this one's place gives none of them.
 * Answers when the first of them is due, in ms since 1970; undefined, and nothing done, where nothing may come.
 */
export function leaveLate(
  sql: Sql,
  { logId, partition, names }: Pick<Spec, "logId" | "partition" | "names">,
  now: number,
): number | undefined {
  const meta = new Store(sql);
  const garbage = new SegmentStore(sql, () => undefined);
  const { late, parquet } = stillComing(meta, now);
  const { next = 1 } = JSON.parse(meta.meta("segments") ?? "{}") as { next?: number };
  const tables = sql
    .all<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
    .filter(({ name }) => !/^(meta|garbage)$|^(_cf|sqlite|__)/.test(name));
  let due: number | undefined;
  sql.transaction(() => {
    // What has gone already is in `garbage`.
    for (const [n, until] of late) {
      for (const { base } of sql.all<{ base: number }>("SELECT base FROM segment WHERE n = ?", n)) {
        garbage.setGarbage(segmentKey(logId, partition, { base, n }), until);
        if (parquet && names) garbage.setGarbage(parquetKey({ logId, partition, names }, { base, n }), until);
      }
    }
    sql.run("DELETE FROM garbage WHERE due <= ?", now);
    due = garbage.nextGarbage();
    if (due === undefined) return;
    for (const { name } of tables) sql.run(`DROP TABLE ${name}`);
    sql.run("DELETE FROM meta");
    meta.setMeta("segments", JSON.stringify({ open: next, base: 0, next: next + 1 }));
  });
  return due;
}

/** What is left of a log that was deleted: objects by now to be so too, and when the first of the others is; undefined where nothing is. */
export function lateIn(sql: Sql, now: number): { readonly keys: readonly string[]; readonly next: number } | undefined {
  // Looking before creating: most have nothing.
  if (sql.all("SELECT 1 FROM sqlite_master WHERE name = 'garbage'").length === 0) return undefined;
  if (new Store(sql).meta("spec") !== undefined) return undefined;
  const garbage = new SegmentStore(sql, () => undefined);
  const next = garbage.nextGarbage();
  return next === undefined ? undefined : { keys: garbage.garbage(now, keysAtOnce).map(({ key }) => key), next };
}

/** They are deleted. False where there are others. */
export function dropLate(sql: Sql, keys: readonly string[]): boolean {
  const garbage = new SegmentStore(sql, () => undefined);
  sql.transaction(() => {
    for (const key of keys) garbage.dropGarbage(key);
  });
  return garbage.nextGarbage() === undefined;
}
