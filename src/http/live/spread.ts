/**
 * One subscription over the partitions that it takes: a leg on each, begun when the partition that it was split from has
 * been read. Records of a key keep their order; between partitions there is none.
 */
import type { GroupFilter } from "../../../schemas/group.ts";
import { limits } from "../../../schemas/limits.ts";
import type { PartitionRange } from "../../../schemas/stream.ts";
import { lineage } from "../../catalog/map.ts";
import { encodeText } from "../../lib/bytes.ts";
import { murmur3 } from "../../lib/hash.ts";
import { writeCursor } from "../../log/cursor.ts";
import { creditBytes } from "../../log/follow.ts";
import type { Sink } from "./sink.ts";

export interface Leg {
  readonly partition: number;
  /** Where it goes on, after what was handed on; and after what has arrived. */
  next: number;
  arrived: number;
  /** Its number on the partition's socket; undefined where it waits for its turn. */
  id: number | undefined;
  /** Credits that the partition may still use. */
  lent: number;
  /** What its next record costs, where those do not go so far. */
  wants: number | undefined;
  current: boolean;
  ended: boolean;
}

/** What has come from a partition: records, or, with a cost of zero, what is said about them. */
export interface Arrival {
  readonly leg: Leg;
  readonly cost: number;
  readonly next: number;
  /** The partition had nothing more. */
  readonly current: boolean;
  hand(): void;
}

/** The one leg of a socket that was lent what a large record costs: it is held, however large, and so would be one of each. */
export interface Large {
  leg?: Leg | undefined;
}

export class Spread {
  readonly legs = new Map<number, Leg>();
  /** What there are no credits for: every partition holds one at least, however few there are. */
  readonly #held: Arrival[] = [];
  #heldCost = 0;
  /** What the large record costs that is on its way. */
  #largeCost = 0;
  /** Bytes of what is held, and of the large record that is on its way, as they were last told. */
  #promised = 0;
  /** The client was told that it is up to date. */
  told = false;

  constructor(
    readonly id: number,
    readonly logId: string,
    public credits: number,
    readonly filter: GroupFilter | undefined,
    /** The one partition that was asked for. */
    readonly only: number | undefined,
    readonly sink: Pick<Sink, "room" | "heldMax" | "promise">,
    readonly large: Large,
  ) {}

  add(partition: number, next: number): Leg {
    const leg: Leg = {
      partition,
      next,
      arrived: next,
      id: undefined,
      lent: 0,
      wants: undefined,
      current: false,
      ended: false,
    };
    this.legs.set(partition, leg);
    return leg;
  }

  get cursor(): string {
    const offsets = new Map([...this.legs.values()].map(({ partition, next }) => [partition, next]));
    return writeCursor({ logId: this.logId, offsets });
  }

  /** Cursors that differ in one leg's place only: cheap for many of them. */
  cursorsOf(leg: Leg): (next: number) => string {
    const legs = [...this.legs.values()];
    const text = (some: readonly Leg[]) =>
      writeCursor({ logId: "", offsets: new Map(some.map(({ partition, next }) => [partition, next])) });
    const at = legs.indexOf(leg);
    const [before, after] = [text(legs.slice(0, at)), text(legs.slice(at + 1))];
    return (next) => {
      const own = writeCursor({ logId: "", offsets: new Map([[leg.partition, next]]) });
      return `${this.logId}${before}${own}${after}`;
    };
  }

  get upToDate(): boolean {
    for (const { current, ended } of this.legs.values()) if (!current && !ended) return false;
    return this.#held.length === 0;
  }

  credit(credits: number): void {
    this.credits = Math.min(limits.creditsMax, this.credits + credits);
    this.flush();
  }

  take(arrival: Arrival): void {
    arrival.leg.lent -= arrival.cost;
    arrival.leg.arrived = arrival.next;
    if (arrival.cost > 0) this.#served(arrival.leg);
    else this.#forgetLarge(arrival.leg);
    this.#held.push(arrival);
    this.#heldCost += arrival.cost;
    this.flush();
  }

  /** A leg begins anew: nothing that it was lent is on its way. */
  restart(leg: Leg): void {
    leg.lent = 0;
    this.#served(leg);
    this.#promise();
  }

  #served(leg: Leg): void {
    leg.wants = undefined;
    this.#forgetLarge(leg);
  }

  #forgetLarge(leg: Leg): void {
    if (this.large.leg !== leg) return;
    this.large.leg = undefined;
    this.#largeCost = 0;
  }

  /** What is held waits in memory as what was sent does. */
  #promise(): void {
    const bytes = (this.#heldCost + this.#largeCost) * creditBytes;
    if (bytes !== this.#promised) this.sink.promise?.(bytes - this.#promised);
    this.#promised = bytes;
  }

  /** The subscription is over, and with it what is held for it. */
  drop(): void {
    this.#held.length = 0;
    this.#heldCost = 0;
    for (const leg of this.legs.values()) this.#forgetLarge(leg);
    this.#promise();
  }

  /** Hands on what there are credits and room for. */
  flush(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      if (first.cost > 0 && (this.credits <= 0 || this.sink.room <= 0)) break;
      this.#held.shift();
      this.#heldCost -= first.cost;
      this.credits -= first.cost;
      first.leg.next = first.next;
      first.leg.current = first.current;
      first.hand();
    }
    this.#promise();
  }

  /**
   * What a leg is to be lent now: an even share of the credits, and one at least; 0 while it has half of that. A large record is
   * lent what it costs, one at a time: it is held, however large, and so would be one of each partition.
   */
  loan(leg: Leg): number {
    if (leg.id !== undefined && (this.credits <= 0 || this.#held.length > 0 || this.sink.room <= 0)) return 0;
    if (leg.wants !== undefined && leg.lent < leg.wants) {
      if (this.large.leg !== undefined) return 0;
      this.large.leg = leg;
      this.#largeCost = leg.wants;
      this.#promise();
      return leg.wants - leg.lent;
    }
    let active = 0;
    for (const { id, ended } of this.legs.values()) if (id !== undefined && !ended) active++;
    const lendable = Math.min(this.credits, Math.ceil(this.sink.heldMax / creditBytes));
    const share = Math.max(1, Math.floor(lendable / Math.max(1, active)));
    return leg.lent > share / 2 ? 0 : share - leg.lent;
  }
}

/** The partitions that a subscription takes. */
export function inScope(
  { only, filter }: Pick<Spread, "only" | "filter">,
  map: readonly PartitionRange[],
): readonly PartitionRange[] {
  if (only !== undefined) return map.filter(({ partition }) => partition === only);
  return filter?.key === undefined ? map : lineage(map, murmur3(encodeText(filter.key)));
}
