/** Who has which record, and until when. */
import type { Item } from "./item.ts";

export interface Lease {
  readonly item: Item;
  readonly member: string;
  readonly generation: number;
  readonly since: number;
  expires: number;
  /** It stands in the row of leases, and must not stay there when it ends. */
  saved: boolean;
}

/** A lease as it is stored: offset, generation, member, expires, attempt. */
export type SavedLease = [number, number, string, number, number];

/** Leases older than this are written down, in one row: those of short work never are. */
export const lastingMs = 5_000;

export class Leases {
  readonly #byOffset = new Map<number, Lease>();
  readonly #perMember = new Map<string, number>();
  #soonest = Number.POSITIVE_INFINITY;
  /** Leases of before a restart, whose records have not been read again yet. */
  readonly restored = new Map<number, SavedLease>();
  /** The row of leases is not right any more. */
  stale = false;

  get size(): number {
    return this.#byOffset.size;
  }

  get(offset: number): Lease | undefined {
    return this.#byOffset.get(offset);
  }

  of(member: string): number {
    return this.#perMember.get(member) ?? 0;
  }

  members(): IterableIterator<[string, number]> {
    return this.#perMember.entries();
  }

  all(): IterableIterator<Lease> {
    return this.#byOffset.values();
  }

  grant(item: Item, member: string, generation: number, now: number, expires: number, saved = false): void {
    this.#byOffset.set(item.offset, { item, member, generation, since: now, expires, saved });
    this.#perMember.set(member, this.of(member) + 1);
    this.#soonest = Math.min(this.#soonest, expires);
  }

  extend(lease: Lease, expires: number): void {
    lease.expires = expires;
    this.#soonest = Math.min(this.#soonest, expires);
    if (lease.saved) this.stale = true;
  }

  end(item: Item): Lease | undefined {
    const lease = this.#byOffset.get(item.offset);
    if (lease?.item !== item) return undefined;
    this.#byOffset.delete(item.offset);
    const left = this.of(lease.member) - 1;
    if (left === 0) this.#perMember.delete(lease.member);
    else this.#perMember.set(lease.member, left);
    if (lease.saved) this.stale = true;
    return lease;
  }

  expired(now: number): Lease[] {
    if (now < this.#soonest) return [];
    const expired: Lease[] = [];
    this.#soonest = Number.POSITIVE_INFINITY;
    for (const lease of this.#byOffset.values()) {
      if (lease.expires <= now) expired.push(lease);
      else this.#soonest = Math.min(this.#soonest, lease.expires);
    }
    return expired;
  }

  /** When the first one expires, or a moment before it. Infinity where there is none. */
  get soonest(): number {
    return this.#byOffset.size === 0 ? Number.POSITIVE_INFINITY : this.#soonest;
  }

  /** Those that are to be written down, where that has changed. */
  toSave(now: number): SavedLease[] | undefined {
    const lasting = [...this.#byOffset.values()].filter((lease) => lease.since <= now - lastingMs);
    if (!this.stale && lasting.every((lease) => lease.saved)) return undefined;
    this.stale = false;
    for (const lease of lasting) lease.saved = true;
    return [
      ...lasting.map((one): SavedLease => [one.item.offset, one.generation, one.member, one.expires, one.item.attempt]),
      ...[...this.restored.values()].filter(([, , , expires]) => expires > now),
    ];
  }

  clear(): void {
    if ([...this.#byOffset.values()].some((lease) => lease.saved) || this.restored.size > 0) this.stale = true;
    this.#byOffset.clear();
    this.#perMember.clear();
    this.restored.clear();
    this.#soonest = Number.POSITIVE_INFINITY;
  }
}
