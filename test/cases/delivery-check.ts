/** What holds of a delivery's memory between any two calls. */
import type { State } from "../../src/delivery/state.ts";
import { assert } from "../../src/lib/assert.ts";

export function check(state: State): void {
  const { window, lanes, letters, leases } = state;
  window.check();
  lanes.check();
  letters.pages.check();
  for (const { item } of leases.all()) {
    assert(item.state === "leased", "what is under lease is leased");
    assert(state.live(item.offset) === item, "what is under lease is unfinished");
  }
  const keys = new Set(window.keys());
  for (const { key, kind } of lanes.byId.values()) {
    assert(key === undefined || kind !== "key" || !keys.has(key), "a key is in one place");
  }
}
