/** What a dump has told so far. */
import type { GroupDump, LaneDump, MarksDump, StreamDump, TotalsDump } from "../../schemas/dump.ts";
import type { Standing } from "./dump-order.ts";

/** A partition that is being told. */
export interface PartitionState extends Standing {
  partition: number;
  marks?: MarksDump;
  key: string;
  producer: string;
  producers: number;
  ids: number;
  head: number;
  next: number;
  last: number;
  empty: boolean;
  chunks: number;
  records: number;
}

/** A place that is being told: its lanes by their ids, and its dead letters by their offsets. */
interface PlaceState {
  partition: number;
  lanes: Map<number, LaneDump>;
  letters: Set<number>;
}

/** Plain, so that it can be copied; what is in it is not changed but put anew, save for the place and the partition. */
export interface OutlineState {
  namespace?: string;
  stream?: StreamDump;
  group?: GroupDump;
  /** Ids of the stream's groups. */
  groups: readonly string[];
  /** Where groups stand: the last one on each partition. */
  floors: ReadonlyMap<number, { readonly group: string; readonly floor: number }>;
  /** Where the streams that tell of their segments do so. */
  events: ReadonlyMap<string, string>;
  /** Partitions of the group, and of the stream, that are yet to come. */
  places: number[];
  partitions: number[];
  place?: PlaceState;
  partition?: PartitionState;
  totals: TotalsDump;
  ended: boolean;
}

const none = { streams: 0, groups: 0, partitions: 0, chunks: 0, records: 0, letters: 0 };
export const start: OutlineState = {
  groups: [],
  floors: new Map(),
  events: new Map(),
  places: [],
  partitions: [],
  totals: { ...none },
  ended: false,
};

/** As it is now, whatever comes. A place in the middle is not kept. */
export function copyOf({ place: _, partition, ...state }: OutlineState): OutlineState {
  return {
    ...state,
    places: [...state.places],
    partitions: [...state.partitions],
    ...(partition === undefined ? {} : { partition: { ...partition } }),
    totals: { ...state.totals },
  };
}

/** The offset at which the records of a partition go on. */
export const nextOf = ({ head, next }: PartitionState): number => Math.max(head, next);
