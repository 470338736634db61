import type { Delivery, Leased } from "../delivery/delivery.ts";
import type { Lost } from "../delivery/told.ts";
import type { Leases, Refused } from "./rpc.ts";

/** Records under lease, as they travel to the Worker. */
export function packLeases(
  leased: readonly Leased[],
  core: Delivery,
  lost: readonly Lost[],
  refused: readonly Refused[],
): Leases {
  const { spec, era, sealed, over } = core.state;
  const { length } = leased;
  const bytes = new Uint8Array(leased.reduce((sum, { item }) => sum + item.to - item.from, 0));
  const packed = {
    partition: spec.partition,
    era,
    sealed,
    over,
    ready: false,
    bytes,
    ends: new Uint32Array(length),
    offsets: new Float64Array(length),
    timestamps: new Float64Array(length),
    generations: new Float64Array(length),
    tags: new Float64Array(length),
    attempts: new Uint32Array(length),
    checked: new Uint8Array(length),
    lost,
    refused,
  };
  let at = 0;
  leased.forEach(({ item, generation, attempt }, index) => {
    bytes.set(item.bytes.subarray(item.from, item.to), at);
    at += item.to - item.from;
    packed.ends[index] = at;
    packed.offsets[index] = item.offset;
    packed.timestamps[index] = item.timestamp;
    packed.generations[index] = generation;
    packed.tags[index] = core.tag(item.offset, generation);
    packed.attempts[index] = attempt;
    packed.checked[index] = item.checked ? 1 : 0;
  });
  return packed;
}
