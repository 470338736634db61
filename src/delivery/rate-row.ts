/** The bucket of a group with a rate, over changes of its share, restarts and crashes. */
import { type Bucket, Rate } from "./rate.ts";
import type { DeliverySpec } from "./spec.ts";
import type { Store } from "./store.ts";

const metaName = "rate";

const termsOf = ({ config: { rate }, share }: DeliverySpec) =>
  rate === null ? undefined : { perSecond: rate.perSecond * share, burst: rate.burst * share };

/** The bucket of what the catalog says now: the one that there is, or what is left of it. */
export function rateOf(spec: DeliverySpec, current: Rate | undefined, store: Store, now: number): Rate | undefined {
  const terms = termsOf(spec);
  if (terms === undefined) return undefined;
  const { perSecond, burst } = terms;
  if (current?.perSecond === perSecond && current.burst === burst) return current;
  const written = store.meta(metaName);
  const before: Bucket | undefined = current?.left(now) ?? (written === undefined ? undefined : JSON.parse(written));
  return new Rate(perSecond, burst, before);
}

/** A partition that comes of a split has nothing yet: what there was is its parent's. */
export function beginRate(store: Store, spec: DeliverySpec, now: number): void {
  const burst = termsOf(spec)?.burst;
  const empty: Bucket | undefined =
    spec.parent === undefined || burst === undefined ? undefined : { tokens: 0, burst, at: now };
  if (empty !== undefined) store.setMeta(metaName, JSON.stringify(empty));
}

/** So many records go out; a crash does not fill the bucket. */
export function takeRate(rate: Rate | undefined, store: Store, records: number, now: number): void {
  if (rate === undefined || records === 0) return;
  rate.take(records);
  const bucket = rate.toSave(now);
  if (bucket !== undefined) store.setMeta(metaName, JSON.stringify(bucket));
}
