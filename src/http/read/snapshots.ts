/** What a read says of the snapshots that it could have begun with, or was to begin with. */
import type { SnapshotNote } from "../../../schemas/snapshot.ts";
import type { Snapshot } from "../../log/snapshot-store.ts";
import { noteOf } from "../snapshots/target.ts";
import type { Reading } from "./reading.ts";

/** Header lines above this are left out: common clients accept 16 KiB of them in all. */
const headerCharsMax = 4_096;

export interface Said {
  /** Of one partition; null where the read was to begin with one, and there is none. */
  readonly snapshot?: SnapshotNote | null;
  /** Of several, where the read was to begin with them. */
  readonly snapshots?: readonly SnapshotNote[];
}

/** `found`: of each source, what its first page said. */
export function snapshotsOf(
  { sources, route, from }: Reading,
  found: readonly (Snapshot | null | undefined)[] = sources.map(({ snapshot }) => snapshot),
): Said {
  const notes = sources.flatMap(({ partition }, index) => {
    const one = found[index];
    return one === undefined || one === null ? [] : [noteOf(route, partition, one)];
  });
  const asked = "position" in from && from.position.at === "snapshot";
  if (sources.length > 1) return asked ? { snapshots: notes } : {};
  const [note] = notes;
  if (note !== undefined) return { snapshot: note };
  return asked ? { snapshot: null } : {};
}

/** The same as a header, in JSON. */
export function snapshotHeader({ snapshot, snapshots }: Said): Record<string, string> {
  const said = snapshots ?? snapshot;
  const text = said === undefined ? "" : JSON.stringify(said);
  return text === "" || text.length > headerCharsMax ? {} : { "millrace-snapshot": text };
}
