/** What an older version wrote, in the tables of this one. */
import type { Sql } from "../lib/sql.ts";
import { LaneLog } from "./lane-log.ts";
import { LetterPages } from "./letter-pages.ts";
import { OldStore } from "./old-store.ts";
import { type LaneRow, Store } from "./store.ts";

/** The tables of a delivery, brought up to date; undefined where there are none. */
export function openStore(sql: Sql): Store | undefined {
  const store = Store.open(sql);
  const old = store === undefined ? undefined : OldStore.open(sql);
  if (store !== undefined && old !== undefined) sql.transaction(() => upgrade(store, old));
  return store;
}

function upgrade(store: Store, old: OldStore): undefined {
  const lanes = new LaneLog(store);
  // A lane that has failed stands at the record that did.
  const exact = ({ state }: LaneRow) => (state === "retry" || state === "parked" ? 1 : 0);
  const rows = old.lanes();
  const kept = rows.map((row) => ({ ...row, exact: exact(row), waiting: exact(row), counted: row.start + exact(row) }));
  lanes.save(kept, [], kept.length, () => kept);
  const letters = new LetterPages(store);
  for (const letter of old.letters()) letters.put(letter);
  letters.flush();
  const progress = old.progress();
  if (progress !== undefined) {
    const none = new Uint8Array(0);
    store.setPlace({ ...progress, acked: none, generation: 0, redeliveries: 0, recent: lanes.recent });
  }
  // Nobody can ack what was under lease then: receipts had another form.
  store.dropMeta("leases");
  store.setMeta("format", "2");
  old.drop();
}
