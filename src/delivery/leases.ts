/** Who has which record, and until when. */
import { type Item, isWorn } from "./item.ts";
import { bodyOf, goesOn, leasesOf, type Restored } from "./lease-row.ts";
import type { Store } from "./store.ts";
import { Tried } from "./tried.ts";

export interface Lease {
  readonly item: Item;
  readonly member: string;
  readonly generation: number;
  readonly since: number;
  /** Its record had failed more than once when it was given out. */
  readonly worn: boolean;
  expires: number;
  /** It is written down, and must not stay there when it ends. */
  saved: boolean;
}

/** Leases of before a restart that go on, though their records were not read again: how many, and of each member. */
export interface Unread {
  readonly count: number;
  readonly members: ReadonlyMap<string, number>;
  /** When the first of them runs out. */
  readonly until: number;
}

/** Leases older than this are written down, and with them those half as old: those of short work never are. */
export const lastingMs = 5_000;
const none: Unread = { count: 0, members: new Map(), until: Number.POSITIVE_INFINITY };
/** Leases of a row, however long their members' names are. */
const rowLeases = 1_000;

export class Leases {
  readonly #byOffset = new Map<number, Lease>();
  readonly #perMember = new Map<string, number>();
  #soonest = Number.POSITIVE_INFINITY;
  #worn = 0;
  /** Those that are not written down, the oldest first. */
  readonly #unsaved = new Set<Lease>();
  readonly #restored = new Map<number, Restored>();
  /** Generations, by offset, of those that are over and stand in the rows all the same. */
  readonly #over = new Map<number, number>();
  /** What was tried before of records that wait in line: written down with the leases, since leaving ends them. */
  readonly tried = new Tried();
  /** Members that hold a connection. */
  readonly connections = new Set<string>();
  /** What is written down is not right any more. */
  #stale = false;
  /** How often it was not. */
  #changes = 0;
  #unread: (Unread & { readonly size: number; readonly changes: number }) | undefined;
  /** And something was answered that depends on it. */
  #owed = false;
  #savedAt = 0;
  #rows = 0;

  get size(): number {
    return this.#byOffset.size;
  }

  /** Those of before a restart, by their offsets. */
  get restored(): ReadonlyMap<number, Restored> {
    return this.#restored;
  }

  /** One of before a restart is over, or is at hand from now on. */
  endRestored(offset: number): Restored | undefined {
    const lease = this.#restored.get(offset);
    if (lease === undefined) return undefined;
    this.#restored.delete(offset);
    this.#over.set(offset, lease.generation);
    this.changed();
    return lease;
  }

  /** Ends those of before a restart that are over. */
  settle(isOver: (offset: number, generation: number) => boolean): void {
    for (const { offset, generation } of this.#restored.values())
      if (isOver(offset, generation)) this.endRestored(offset);
  }

  /** Generations, by offset, of those that are over and stand in the rows all the same. */
  get over(): ReadonlyMap<number, number> {
    return this.#over;
  }

  /** Those of records that had failed more than once. */
  get worn(): number {
    return this.#worn;
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

  /** To be called before the attempt is counted. */
  grant(item: Item, member: string, generation: number, now: number, expires: number, saved = false): void {
    const worn = isWorn(item);
    const lease = { item, member, generation, since: now, worn, expires, saved };
    this.#byOffset.set(item.offset, lease);
    // One of before a restart, which is at hand from now on.
    if (saved) this.#over.delete(item.offset);
    else this.#unsaved.add(lease);
    this.#perMember.set(member, this.of(member) + 1);
    if (worn) this.#worn++;
    this.#soonest = Math.min(this.#soonest, expires);
  }

  extend(lease: Lease, expires: number): void {
    lease.expires = expires;
    this.#soonest = Math.min(this.#soonest, expires);
    if (lease.saved) this.#stale = true;
  }

  end(item: Item): Lease | undefined {
    const lease = this.#byOffset.get(item.offset);
    if (lease?.item !== item) return undefined;
    this.#byOffset.delete(item.offset);
    this.#unsaved.delete(lease);
    const left = this.of(lease.member) - 1;
    if (left === 0) this.#perMember.delete(lease.member);
    else this.#perMember.set(lease.member, left);
    if (lease.worn) this.#worn--;
    if (lease.saved) this.#isOver(lease);
    return lease;
  }

  /** Those that have run out, in the order in which they did. */
  expired(now: number): Lease[] {
    if (now < this.#soonest) return [];
    const expired: Lease[] = [];
    this.#soonest = Number.POSITIVE_INFINITY;
    for (const lease of this.#byOffset.values()) {
      if (lease.expires <= now) expired.push(lease);
      else this.#soonest = Math.min(this.#soonest, lease.expires);
    }
    return expired.sort((a, b) => a.expires - b.expires);
  }

  /** When they are to be written down. Infinity where all are. */
  get saveAt(): number {
    for (const { since } of this.#unsaved) return since + lastingMs;
    return Number.POSITIVE_INFINITY;
  }

  /** Whether one of before a restart is over, though its record was not read again yet. */
  isOverdue(now: number): boolean {
    for (const lease of this.#restored.values()) if (!goesOn(lease, now)) return true;
    return false;
  }

  /** When the next one of before a restart runs out. Those that have are waited for no more: they are over when they are read. */
  restoredDue(now: number): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { expires } of this.#restored.values()) if (expires > now && expires < due) due = expires;
    return due;
  }

  /** They count as those do whose records are at hand. */
  unread(now: number): Unread {
    const { size } = this.#restored;
    const known = this.#unread;
    if (size === 0) return none;
    if (known?.size === size && known.changes === this.#changes && now < known.until) return known;
    const members = new Map<string, number>();
    let [count, until] = [0, Number.POSITIVE_INFINITY];
    for (const lease of this.#restored.values()) {
      if (!goesOn(lease, now)) continue;
      const { expires, member } = lease;
      count++;
      members.set(member, (members.get(member) ?? 0) + 1);
      until = Math.min(until, expires);
    }
    this.#unread = { count, members, until, size, changes: this.#changes };
    return this.#unread;
  }

  /** When the first one expires, or a moment before it. Infinity where there is none. */
  get soonest(): number {
    return this.#byOffset.size === 0 ? Number.POSITIVE_INFINITY : this.#soonest;
  }

  /** What is known of a lease of before a restart has changed. */
  changed(): void {
    this.#changes++;
    this.#stale = true;
  }

  /** The same, and it must be written down with what else was decided. */
  owe(): void {
    this.changed();
    this.#owed = true;
  }

  get owed(): boolean {
    return this.#owed;
  }

  /** Reads what was written down. */
  load(store: Store): void {
    for (const { body } of store.parts("leases")) {
      this.#rows++;
      const { leases, tried } = leasesOf(body);
      this.tried.load(tried);
      for (const lease of leases) this.#restored.set(lease.offset, lease);
    }
  }

  /** Writes down those that last, where that has changed; those that lasted the last time, where no time is given. */
  save(store: Store, now = this.#savedAt): void {
    const young = now - lastingMs / 2;
    const lasting = [...this.#byOffset.values()].filter((lease) => lease.saved || lease.since <= young);
    if (!this.#stale && lasting.every((lease) => lease.saved)) return;
    this.#stale = false;
    this.#owed = false;
    this.#savedAt = now;
    for (const lease of lasting) {
      lease.saved = true;
      this.#unsaved.delete(lease);
    }
    const all = [
      ...lasting.map(({ item, ...lease }) => ({
        ...lease,
        offset: item.offset,
        attempt: item.attempt,
        connected: this.connections.has(lease.member),
      })),
      ...this.#restored.values(),
    ];
    const tried = this.tried.rows();
    const rows = Math.max(Math.ceil(all.length / rowLeases), tried.length);
    for (let n = 0; n < rows; n++) {
      store.setPart("leases", n, bodyOf(all.slice(n * rowLeases, (n + 1) * rowLeases), tried[n]));
    }
    if (this.#rows > rows) store.dropParts("leases", rows);
    this.#rows = rows;
    this.#over.clear();
  }

  clear(): void {
    for (const lease of this.#byOffset.values()) if (lease.saved) this.#isOver(lease);
    for (const offset of this.#restored.keys()) this.endRestored(offset);
    if (this.#rows > 0) this.#stale = true;
    this.#byOffset.clear();
    this.#perMember.clear();
    this.#unsaved.clear();
    this.tried.clear();
    this.#worn = 0;
    this.#soonest = Number.POSITIVE_INFINITY;
  }

  #isOver({ item, generation }: Lease): void {
    this.#over.set(item.offset, generation);
    this.#stale = true;
  }
}
