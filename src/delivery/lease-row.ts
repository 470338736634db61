/** Leases as they are kept, and as they are known again after a restart. */
import type { TriedRow } from "./tried.ts";

/** A lease of before a restart, whose record has not been read again yet. */
export interface Restored {
  readonly offset: number;
  readonly generation: number;
  readonly member: string;
  readonly attempt: number;
  expires: number;
  /** Its member held a connection, which did not outlive the restart unless it is still there. */
  readonly connected: boolean;
  /** Why it is over, where its member has gone. */
  reason?: string;
  /** It was given back as failed meanwhile. `delayMs` from `at`. */
  nacked?: { readonly delayMs?: number | undefined; readonly reason: string; readonly at: number };
}

/** Whether its member still has the record. */
export const goesOn = ({ nacked, expires }: Restored, now: number): boolean => nacked === undefined && expires > now;

/** As they are kept: a member's name once, however many it has. */
interface Kept {
  readonly members: readonly string[];
  readonly leases: readonly [
    offset: number,
    generation: number,
    member: number,
    expires: number,
    attempt: number,
    nacked?: Restored["nacked"],
  ][];
  /** Indices of members that held a connection. */
  readonly connected?: readonly number[];
  readonly tried?: readonly TriedRow[];
}

/** The body of a row, with what was tried of records that wait in line. */
export function bodyOf(leases: readonly Restored[], tried: readonly TriedRow[] | undefined): string {
  const kept = keptOf(leases);
  return JSON.stringify(tried === undefined ? kept : { ...kept, tried });
}

/** What the body of a row says. */
export function leasesOf(body: string): { readonly leases: Restored[]; readonly tried: readonly TriedRow[] } {
  const { members, leases, connected = [], tried = [] } = JSON.parse(body) as Kept;
  const connections = new Set(connected);
  const restored = leases.map(([offset, generation, member, expires, attempt, nacked]): Restored => {
    const lease = { offset, generation, expires, attempt, member: members[member], connected: connections.has(member) };
    return nacked === undefined ? lease : { ...lease, nacked };
  });
  return { leases: restored, tried };
}

function keptOf(leases: readonly Restored[]): Kept {
  const members = new Map<string, number>();
  const connected = new Set<number>();
  const kept = leases.map((lease): Kept["leases"][number] => {
    const { offset, generation, member, expires, attempt, nacked } = lease;
    if (!members.has(member)) members.set(member, members.size);
    if (lease.connected) connected.add(members.get(member)!);
    const of = [offset, generation, members.get(member)!, expires, attempt] as const;
    return nacked === undefined ? [...of] : [...of, nacked];
  });
  const more = connected.size === 0 ? {} : { connected: [...connected] };
  return { members: [...members.keys()], leases: kept, ...more };
}
