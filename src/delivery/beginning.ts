/** The first rows of a delivery. */
import type { Sql } from "../lib/sql.ts";
import { adopt } from "./dump.ts";
import { Incident } from "./incident.ts";
import { beginRate } from "./rate-row.ts";
import type { DeliverySpec } from "./spec.ts";
import { Store } from "./store.ts";

/** Makes the tables, and the place before the first record; or takes the place that has been restored. */
export function begin(sql: Sql, spec: DeliverySpec, offset: number, now: number): void {
  if (adopt(sql, spec)) return;
  const store = new Store(sql);
  const none = new Uint8Array(0);
  sql.transaction(() => {
    store.setMeta("format", "2");
    store.setMeta("spec", JSON.stringify(spec));
    store.setPlace({ floor: offset, era: 0, done: none, acked: none, generation: 0, redeliveries: 0, recent: "[]" });
    if (spec.config.only !== null) new Incident(store).change(spec.config.only, 0);
    beginRate(store, spec, now);
  });
}
