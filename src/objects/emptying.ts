/** Deleting what a partition has in the bucket, after its stream was deleted. */
import { snapshotKey, snapshotPrefix } from "../archive/snapshots.ts";
import type { Sql } from "../lib/sql.ts";
import { parquetPrefix, segmentPrefix } from "../log/keys.ts";
import type { Log } from "../log/log.ts";
import { SnapshotStore, type Upload } from "../log/snapshot-store.ts";
import type { Spec } from "../log/spec.ts";
import { Store } from "../log/store.ts";
import type { Blobs } from "../platform/blobs.ts";

/** Pages of objects that one call deletes: whoever asked is answered in time, and asks again. */
const pagesMax = 10;

/** What is left to be known of a log that was deleted, until its objects are. */
export interface Remains {
  readonly logId: string;
  readonly partition: number;
  readonly names?: Spec["names"];
  /** Those in parts are to be aborted. */
  readonly uploads: readonly Upload[];
}

/** From here on the log does not open, whatever comes in between. */
export function bury({ sql, spec, segments }: Log): void {
  sql.transaction(() => {
    segments.meta.setMeta("buried", JSON.stringify(spec));
    segments.meta.dropMeta("spec");
  });
}

/** True where a log was buried whose objects are yet to be deleted. */
export const isBuried = (sql: Sql): boolean => new Store(sql).meta("buried") !== undefined;

/** What a database still knows of a log that was buried; or of one that it never had. */
export function remainsIn(sql: Sql, logId: string, partition: number): Remains {
  const buried = new Store(sql).meta("buried");
  const { names } = buried === undefined ? {} : (JSON.parse(buried) as Spec);
  return { logId, partition, ...(names && { names }), uploads: new SnapshotStore(sql).uploads() };
}

/** Deletes them page by page. False where there may be more. */
export async function emptied(blobs: Blobs, remains: Remains): Promise<boolean> {
  const { logId, partition, names, uploads } = remains;
  for (const upload of uploads) {
    if (upload.upload !== "") await blobs.abort(snapshotKey(logId, partition, upload), upload.upload);
  }
  const prefixes = [segmentPrefix(logId, partition), snapshotPrefix(logId, partition)];
  if (names !== undefined) prefixes.push(parquetPrefix({ logId, partition, names }));
  let pages = 0;
  for (const prefix of prefixes) {
    for (;;) {
      const { blobs: found } = await blobs.list(prefix);
      if (found.length === 0) break;
      if (pages++ >= pagesMax) return false;
      await blobs.delete(found.map(({ key }) => key));
    }
  }
  return true;
}
