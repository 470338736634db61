/**
 * What the blocks of a dump may say beside each other. Whoever restores a dump and whoever only looks it through ask the
 * same: one that is found intact can be restored.
 */
import type { GroupDump, LaneDump } from "./dump.ts";
import { type Refusal, refuse } from "./errors.ts";
import { limits } from "./limits.ts";
import type { StreamConfig } from "./stream.ts";

export interface Refused {
  readonly ok: false;
  readonly refusal: Refusal;
}

const bad = (detail: string): Refused => refuse("bad-dump", detail);

/** The stream that a group is of: its partitions, and the groups that came before. */
interface Beside {
  readonly stream: string;
  readonly partitions: number;
  readonly opened: readonly number[];
  readonly groups: number;
  /** The id is another group's. */
  readonly isKnown: boolean;
}

/** Why a group cannot be one of a stream, if so. */
export function groupProblem({ group, config, ...of }: Omit<GroupDump, "id">, beside: Beside): Refused | undefined {
  if (config.deadLetterStream === beside.stream) {
    const detail = `deadLetterStream: the dead letters of '${group}' would go into the stream itself; restore it under another name`;
    return refuse("conflict", detail);
  }
  if (of.partitions > beside.partitions || of.opened.some((one) => !beside.opened.includes(one)))
    return bad(`the group '${group}' names partitions that the stream has not`);
  if (beside.isKnown) return bad(`id: another group has the id of '${group}'`);
  if (beside.groups < limits.groupsMax) return undefined;
  return refuse("too-many", `a stream has at most ${limits.groupsMax} groups`, { limit: limits.groupsMax });
}

/** Why lanes cannot be those of one place, if so: a lane of a key has a key, and no other has the same. */
export function lanesProblem(lanes: Iterable<Pick<LaneDump, "id" | "kind" | "key">>): Refused | undefined {
  const keys = new Map<string, number>();
  for (const { id, kind, key } of lanes) {
    if (kind !== "key") continue;
    if (key === null) return bad(`lane ${id} is of a key, and has none`);
    if ((keys.get(key) ?? id) !== id) return bad(`lanes ${keys.get(key)} and ${id} are of the same key`);
    keys.set(key, id);
  }
  return undefined;
}

/** Where a group's place stands, and what is known of the log that it is in. */
interface Stands {
  readonly group: string;
  readonly partition: number;
  readonly floor: number;
  readonly tail: number;
  readonly offsets: StreamConfig["offsets"];
}

/**
 * Why a group cannot stand where it does, if so: nothing would ever come to it. Where clients choose the offsets the next
 * one may be any.
 */
export function floorProblem({ group, partition, floor, tail, offsets }: Stands): Refused | undefined {
  if (offsets !== "assigned" || floor <= tail) return undefined;
  const where = `floor: the group '${group}' stands at ${floor}, behind the tail ${tail} of partition ${partition}`;
  return bad(`${where}; seek the group there, and dump the stream anew`);
}

/**
 * Why a stream cannot be told where its configuration says: its events would come to be its own, each of which seals a
 * segment, which is an event.
 */
export function eventLoop(
  name: string,
  { segmentEvents }: Pick<StreamConfig, "segmentEvents">,
  eventsOf: (name: string) => string | null | undefined,
): string | undefined {
  const seen: string[] = [];
  for (let next = segmentEvents; next != null; next = eventsOf(next) ?? null) {
    if (next === name) {
      const way = [name, ...seen, name].map((one) => `'${one}'`).join(" to ");
      return `segmentEvents would tell the stream of itself, from ${way}; name a stream that has no segmentEvents`;
    }
    // A loop of others is theirs.
    if (seen.includes(next)) return undefined;
    seen.push(next);
  }
  return undefined;
}
