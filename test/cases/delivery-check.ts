/** What holds of a delivery's memory between any two calls. */
import type { Try } from "../../src/delivery/item.ts";
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
  for (const { tries, attempts } of lanes.byId.values()) once(tries, attempts);
  for (const { tries, attempts } of letters.all()) once(JSON.parse(tries), attempts);
  const keys = new Set(window.keys());
  for (const { key, kind } of lanes.byId.values()) {
    assert(key === undefined || kind !== "key" || !keys.has(key), "a key is in one place");
  }
}

/** No attempt is told twice, and none that was not counted. */
function once(tries: readonly Try[], attempts: number): void {
  assert(tries.length <= attempts, "every attempt that is told was counted");
  const leases = tries.map(({ generation }) => generation);
  assert(new Set(leases).size === leases.length, "an attempt is told once");
}
