/** Members that go: by closing their connection, or with a restart. */
import type { Endings } from "./endings.ts";
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

  /** It has gone: its leases return at once. Those of before a restart do so when their records are read again. */
  leave(member: string, reason: string, now: number): void {
    const { leases, window } = this.state;
    const left = [...leases.all()].filter((lease) => lease.member === member);
    for (const { item } of left.reverse()) if (item.state === "leased") this.endings.leave(item, reason, now);
    for (const lease of leases.restored.values()) {
      if (lease.member !== member || lease.nacked !== undefined) continue;
      Object.assign(lease, { expires: Math.min(lease.expires, now), reason });
      leases.changed();
      if (window.ordered) this.endings.withdraw(lease.offset);
    }
    leases.connections.delete(member);
    this.state.save();
    // What was written down would come back as a lease of nobody's.
    this.state.saveLeases(now);
  }

  /**
   * Connections that a restart has cut give back what they held. What a push had under way counts as if it had not been: the
   * receiver is not to blame.
   */
  cut(push: string, reason: string, now: number): void {
    const { leases } = this.state;
    const cut = [...leases.restored.values()].filter((one) => one.connected && !leases.connections.has(one.member));
    for (const { offset } of cut.filter(({ member }) => member === push)) leases.restored.delete(offset);
    for (const member of new Set(cut.map((one) => one.member))) if (member !== push) this.leave(member, reason, now);
    if (cut.length > 0) leases.changed();
  }
}
