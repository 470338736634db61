/**
 * Why a delivery stands still: the catalog says so of the group, for an operator, for another partition, or because it was
 * restored; or it has paused by itself, and the catalog is yet to hear of it.
 *
 * The catalog's word reaches it in two ways, neither of which waits for the other: with what else is new of the group, and as
 * the order of an operator, at once. So each word bears the version of the group that it came to be with, and the highest
 * holds, in whatever order they come.
 */
import { isSameReceiver } from "./push.ts";
import type { DeliverySpec } from "./spec.ts";
import type { Store } from "./store.ts";
import type { Paused } from "./told.ts";

const name = "paused";

/** What the catalog has said of a group: with which version. */
export interface PauseWord {
  readonly version: number;
  readonly paused: boolean;
  readonly because?: { readonly reason: string; readonly at: number } | undefined;
}

export class Pausing {
  #own: Paused | undefined;

  constructor(readonly store: Store) {
    const paused = store.meta(name);
    this.#own = paused === undefined ? undefined : JSON.parse(paused);
  }

  /** Its own reason comes first; it is of the place, and in a dump. */
  why({ paused, because }: DeliverySpec): Paused | undefined {
    return this.#own ?? (paused ? (because ?? unknown) : undefined);
  }

  /** It stands still by itself. */
  set(paused: Paused | undefined): void {
    if (paused !== undefined) this.store.setMeta(name, JSON.stringify(paused));
    else if (this.#own !== undefined) this.store.dropMeta(name);
    this.#own = paused;
  }

  /** What the delivery is from a newer version of the group on. */
  change(before: DeliverySpec, after: DeliverySpec): DeliverySpec {
    // It stood still for a receiver that is being replaced: nobody has heard of it. What was heard of, the catalog says.
    const goesOn = !this.#own?.untold || !isSameReceiver(before.config.push, after.config.push);
    if (goesOn) this.set(undefined);
    const { decided, paused, because, restored } = before;
    return decided === undefined || decided <= after.version ? after : { ...after, decided, paused, because, restored };
  }
}

/** What the delivery is by a word of the catalog. One that is older than what is known changes nothing. */
export function told(spec: DeliverySpec, { version, paused, because }: PauseWord): DeliverySpec {
  const known = Math.max(spec.version, spec.decided ?? 0);
  if (version < known) return spec;
  return { ...spec, paused, because, decided: version, restored: paused ? spec.restored : undefined };
}

/** What stands still, or does not. */
interface Standing {
  readonly spec: DeliverySpec;
  readonly paused: Paused | undefined;
  pause(own: Paused | undefined): void;
  told(word: PauseWord): void;
}

/** The catalog has heard that it stands still by itself, and says of the group what it is from then on. */
export function heard(one: Standing, own: Paused, { id, ...group }: PauseWord & { readonly id: string }): void {
  const isThis = id === one.spec.groupId;
  // The group is another by now, and this delivery is yet to be told: maybe it has another receiver.
  if (isThis && !group.paused) return;
  const { reason, at } = own;
  if (one.paused === own) one.pause(isThis ? undefined : { reason, at });
  if (isThis) one.told(group);
}

/** Of a group that was paused when nobody noted why. */
const unknown: Paused = { reason: "paused by an operator", at: 0 };
