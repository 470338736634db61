/** Members that go: by closing their connection, or with a restart. */
import type { Endings } from "./endings.ts";
import { goesOn } from "./lease-row.ts";
import type { State } from "./state.ts";

export class Members {
  constructor(
    readonly state: State,
    readonly endings: Endings,
  ) {}

  /** It holds a connection, and what it holds ends with that. */
  connected(member: string): void {
    this.state.leases.connections.add(member);
  }

  /** Whether it has a record at hand, or had one before a restart that was not read again yet. */
  holds(member: string): boolean {
    const { leases } = this.state;
    if (leases.of(member) > 0) return true;
    for (const one of leases.restored.values()) if (one.member === member && !one.nacked) return true;
    return false;
  }

  /** It has gone: its leases return at once. What dies of that and is of before a restart does so when it is read again. */
  leave(member: string, reason: string, now: number): void {
    const { leases } = this.state;
    const left = [...leases.all()].filter((lease) => lease.member === member);
    for (const { item } of left.reverse()) if (item.state === "leased") this.endings.leave(item, reason, now);
    const before = [...leases.restored.values()].filter((lease) => lease.member === member && goesOn(lease, now));
    // From the last one on, as above: each counts, and then it goes back with those before it.
    for (const lease of before.sort((a, b) => b.offset - a.offset)) this.endings.leaveUnread(lease, reason, now);
    leases.connections.delete(member);
    this.state.save();
    // What was written down would come back as a lease of nobody's.
    this.state.saveLeases(now);
  }

  /** It has gone, and not by anything that it had at hand: what it holds returns as if it had never had it. */
  release(member: string, now: number): void {
    const { leases } = this.state;
    // What has run out failed by itself, though that was not noticed yet.
    const left = [...leases.all()].filter((lease) => lease.member === member && lease.expires > now);
    for (const { item } of left.reverse()) if (item.state === "leased") this.endings.release(item, now);
    const before = [...leases.restored.values()].filter((lease) => lease.member === member && goesOn(lease, now));
    for (const { offset } of before.sort((a, b) => b.offset - a.offset)) this.endings.releaseUnread(offset, now);
    leases.connections.delete(member);
    this.state.save();
    this.state.saveLeases(now);
  }

  /**
   * Connections that a restart has cut give back what they held. What a push had under way counts as if it had not been: the
   * receiver is not to blame.
   */
  cut(push: string, reason: string, now: number): void {
    const { leases } = this.state;
    const cut = [...leases.restored.values()].filter((one) => one.connected && !leases.connections.has(one.member));
    for (const { offset } of cut.filter(({ member }) => member === push)) leases.endRestored(offset);
    for (const member of new Set(cut.map((one) => one.member))) if (member !== push) this.leave(member, reason, now);
  }
}
