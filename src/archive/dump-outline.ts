/** What a dump has told so far, block by block, and whether the next one fits: its form, its order, its numbers. Pure. */
import {
  groupDump,
  namespaceDump,
  partitionDump,
  type StreamDump,
  streamDump,
  type TotalsDump,
  totalsDump,
} from "../../schemas/dump.ts";
import { eventLoop, floorProblem, groupProblem, lanesProblem } from "../../schemas/dump-rules.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { check } from "../lib/check.ts";
import { type Block, endTotals } from "./dump.ts";
import { following, type Part, partProblem } from "./dump-order.ts";
import { jsonOf, partOf } from "./dump-part.ts";
import { placePartOf } from "./dump-place.ts";
import { copyOf, nextOf, type OutlineState, type PartitionState, start } from "./dump-told.ts";

const wrong = (detail: string) => refuse("bad-dump", detail);
type Outcome = Result<undefined>;
const fine: Outcome = ok(undefined);

export class Outline {
  /** A block was lost: what follows cannot be held against it, up to the next partition. */
  #lenient = false;
  #lost = false;

  constructor(
    public state: OutlineState = copyOf(start),
    /** Look at every record, too. */
    readonly deep = true,
  ) {}

  /** Where in the dump this is, for people. */
  get where(): string {
    const { stream, group, place, partition } = this.state;
    if (stream === undefined) return "the beginning";
    const at = partition ?? place;
    const parts = [`stream ${stream.stream}`];
    if (partition === undefined && group !== undefined) parts.push(`group ${group.group}`);
    if (at !== undefined) parts.push(`partition ${at.partition}`);
    if (partition?.marks !== undefined) parts.push(`from offset ${nextOf(partition)}`);
    return parts.join(", ");
  }

  /** Everything of the last stream is there. */
  get between(): boolean {
    const { partition, partitions, place, places } = this.state;
    return partition === undefined && place === undefined && partitions.length + places.length === 0;
  }

  /** The state of the partition is told, and its records are being told. */
  get inRecords(): boolean {
    const { partition } = this.state;
    const marks = partition?.marks;
    return marks !== undefined && partition?.producers === marks.producers && partition.ids === marks.ids;
  }

  /** A block could not be read. */
  lost(): void {
    this.#lenient = true;
    this.#lost = true;
  }

  add(block: Block): Outcome {
    if (this.state.ended) return wrong("there is more behind the end");
    if (block.name === "stream" || (block.name === "partition" && this.state.stream !== undefined)) {
      if (this.#lenient) Object.assign(this.state, { place: undefined, partition: undefined, places: [] });
      if (this.#lenient && block.name === "stream") this.state.partitions = [];
      if (this.#lenient && block.name === "partition") this.#passTo(block);
      this.#lenient = false;
    }
    const added = this.#add(block);
    return this.#lenient ? fine : added;
  }

  /** Partitions before the one that comes were lost. */
  #passTo(block: Block): void {
    const given = jsonOf(block, partitionDump);
    if (given.ok) this.state.partitions = this.state.partitions.filter((one) => one >= given.value.partition);
  }

  #add(block: Block): Outcome {
    const { state } = this;
    if (block.name === "namespace") return this.#namespace(block);
    if (state.namespace === undefined && !this.#lost) return wrong("the namespace comes first");
    if (block.name === "stream") return this.#stream(block);
    if (block.name === "end") return this.#end(block);
    if (state.stream === undefined) return wrong(`a ${block.name} block without a stream`);
    switch (block.name) {
      case "group":
        return this.#group(block, state.stream);
      case "place":
        return this.#place(block);
      case "lanes":
      case "letter":
      case "settled":
        return this.#ofPlace(block);
      case "partition":
        return this.#partition(block);
      default:
        return this.#part(block, state.stream);
    }
  }

  #namespace(block: Block): Outcome {
    const given = jsonOf(block, namespaceDump);
    if (!given.ok) return given;
    if (this.state.namespace !== undefined) return wrong("the namespace stands twice");
    this.state.namespace = given.value.namespace;
    return fine;
  }

  #stream(block: Block): Outcome {
    const given = jsonOf(block, streamDump);
    if (!given.ok) return given;
    const { state } = this;
    if (!this.between) return wrong("the stream before is not complete");
    if (state.stream !== undefined && given.value.stream <= state.stream.stream)
      return wrong("streams are out of order");
    const { stream, config, opened } = given.value;
    const loop = eventLoop(stream, config, (other) => state.events.get(other));
    if (loop !== undefined) return wrong(loop);
    const tells = config.segmentEvents;
    const events = tells === null ? state.events : new Map([...state.events, [stream, tells]]);
    const { group: _, ...rest } = state;
    this.state = { ...rest, stream: given.value, partitions: [...opened], groups: [], floors: new Map(), events };
    this.state.totals.streams++;
    return fine;
  }

  #group(block: Block, { stream, opened, map }: StreamDump): Outcome {
    const given = jsonOf(block, groupDump);
    if (!given.ok) return given;
    const { state } = this;
    const { group } = given.value;
    if (state.places.length > 0 || state.place !== undefined) return wrong("the group before is not complete");
    if (state.partition !== undefined || state.partitions.length < opened.length)
      return wrong("a group comes too late");
    if (state.group !== undefined && group <= state.group.group) return wrong("groups are out of order");
    const [groups, isKnown] = [state.groups.length, state.groups.includes(given.value.id)];
    const problem = groupProblem(given.value, { stream, partitions: map.length, opened, groups, isKnown });
    if (problem !== undefined) return problem;
    state.groups = [...state.groups, given.value.id];
    Object.assign(state, { group: given.value, places: [...given.value.opened] });
    state.totals.groups++;
    return fine;
  }

  #place(block: Block): Outcome {
    const { state } = this;
    const { group } = state.group ?? {};
    const [partition] = state.places;
    if (state.place !== undefined) return wrong("the place before is not complete");
    if (group === undefined || partition === undefined) return wrong("the place is not the next one");
    const part = placePartOf(block, group, partition);
    if (!part.ok || !("place" in part.value)) return part.ok ? fine : part;
    const { floor } = part.value.place;
    state.places.shift();
    state.place = { partition, lanes: new Map(), letters: new Set() };
    if (floor > (state.floors.get(partition)?.floor ?? -1))
      state.floors = new Map([...state.floors, [partition, { group, floor }]]);
    return fine;
  }

  #ofPlace(block: Block): Outcome {
    const { place, group, totals } = this.state;
    if (place === undefined || group === undefined) return wrong(`a ${block.name} block without a place`);
    const part = placePartOf(block, group.group, place.partition);
    if (!part.ok) return part;
    const { value } = part;
    if ("lanes" in value) {
      for (const lane of value.lanes) place.lanes.set(lane.id, lane);
      return lanesProblem(place.lanes.values()) ?? fine;
    }
    if ("letter" in value) {
      totals.letters++;
      place.letters.add(value.letter.offset);
    }
    if (!("settled" in value)) return fine;
    const { lanes, letters } = value.settled;
    if (lanes !== place.lanes.size || letters !== place.letters.size) {
      return wrong("the place has not the lanes and dead letters that it says");
    }
    delete this.state.place;
    return fine;
  }

  #partition(block: Block): Outcome {
    const given = jsonOf(block, partitionDump);
    if (!given.ok) return given;
    const { state } = this;
    const { partition } = given.value;
    if (state.places.length > 0 || state.place !== undefined) return wrong("the group before is not complete");
    if (state.partition !== undefined) return wrong("the partition before is not complete");
    if (partition !== state.partitions[0]) return wrong(`partition ${partition} is not the next one`);
    state.partitions.shift();
    const counts = { producers: 0, ids: 0, head: 0, next: 0, last: 0, chunks: 0, records: 0 };
    state.partition = { partition, key: "", producer: "", empty: true, ...counts };
    return fine;
  }

  #part(block: Block, { config: { offsets }, map }: StreamDump): Outcome {
    const part = partOf(block);
    if (!part.ok) return part;
    const at = this.state.partition;
    if (at === undefined) return wrong(`a ${block.name} block without a partition`);
    const { value } = part;
    const { partition } = at;
    const terms = { partition, dense: offsets === "assigned", range: map[partition] };
    const order = following(at, value, terms);
    const problem = partProblem(value, terms, this.deep) ?? (typeof order === "object" ? order : undefined);
    const isRefused = problem !== undefined || order === "before";
    if ("marks" in value && !isRefused) {
      const { tail } = value.marks;
      const stands = this.state.floors.get(partition);
      const far = stands && floorProblem({ ...stands, partition, tail, offsets });
      if (far !== undefined) return far;
    }
    // Records that are refused are counted: where they are is told by the offsets that come after.
    if (!isRefused || "chunk" in value) this.#take(at, value);
    // A head that says nothing new does no harm.
    if (order === "before" && !("head" in value)) return problem ?? wrong(`the ${block.name} block is out of order`);
    return problem ?? fine;
  }

  #take(at: PartitionState, part: Part): void {
    const { totals } = this.state;
    if ("keys" in part) at.key = part.keys.at(-1)?.[0] ?? at.key;
    else if ("marks" in part) {
      const { marks } = part;
      Object.assign(at, { marks, head: marks.head, next: marks.head });
    } else if ("producers" in part) {
      at.producer = part.producers.at(-1)?.id ?? at.producer;
      at.producers += part.producers.length;
    } else if ("ids" in part) at.ids++;
    else if ("head" in part) at.head = part.head.head;
    else if ("chunk" in part) {
      const { next, last, records } = part.chunk;
      Object.assign(at, { next, last, empty: false, chunks: at.chunks + 1, records: at.records + records });
      totals.chunks++;
      totals.records += records;
    } else {
      totals.partitions++;
      delete this.state.partition;
    }
  }

  #end(block: Block): Outcome {
    const { state } = this;
    const value = endTotals(block.payload);
    const totals = value.ok ? check(totalsDump, value.value, "the end block") : value;
    if (!totals.ok) return wrong(totals.refusal.detail);
    state.ended = true;
    if (this.#lost) return fine;
    if (!this.between) return wrong("the last stream is not complete");
    const other = Object.entries(totals.value).find(
      ([name, count]) => state.totals[name as keyof TotalsDump] !== count,
    );
    return other === undefined ? fine : wrong(`there should be ${other[1]} ${other[0]}`);
  }
}
