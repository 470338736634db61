/** What a dump has told so far, block by block, and whether the next one fits: its form, its order, its numbers. Pure. */
import {
  closeDump,
  type GroupDump,
  groupDump,
  headDump,
  type MarksDump,
  namespaceDump,
  partitionDump,
  placeDump,
  type StreamDump,
  streamDump,
  type TotalsDump,
  totalsDump,
} from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { check } from "../lib/check.ts";
import type { ChunkRow } from "../log/chunk-head.ts";
import { type Block, endTotals } from "./dump.ts";
import { checkChunk } from "./dump-chunk.ts";
import { inOrder, jsonOf, partOf, placeTold } from "./dump-part.ts";

/** A partition that is being told. */
interface PartitionState {
  partition: number;
  marks?: MarksDump;
  key: string;
  producers: number;
  ids: number;
  /** Where the next chunk begins, and the last one's time. */
  next: number;
  last: number;
  chunks: number;
  records: number;
}

/** Plain, so that it can be copied. */
export interface OutlineState {
  namespace?: string;
  stream?: StreamDump;
  group?: GroupDump;
  /** Partitions of the group, and of the stream, that are yet to come. */
  places: number[];
  partitions: number[];
  place?: { partition: number; lanes: number; letters: number };
  partition?: PartitionState;
  totals: TotalsDump;
  ended: boolean;
}

const none = { streams: 0, groups: 0, partitions: 0, chunks: 0, records: 0, letters: 0 };
const wrong = (detail: string) => refuse("bad-dump", detail);
type Outcome = Result<undefined>;
const fine: Outcome = ok(undefined);

export class Outline {
  /** A block was lost: what follows cannot be held against it, up to the next partition. */
  #lenient = false;
  #lost = false;

  constructor(
    public state: OutlineState = { places: [], partitions: [], totals: { ...none }, ended: false },
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
    if (partition?.marks !== undefined) parts.push(`from offset ${partition.next}`);
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
    const { group: _, ...rest } = state;
    this.state = { ...rest, stream: given.value, partitions: [...given.value.opened] };
    this.state.totals.streams++;
    return fine;
  }

  #group(block: Block, { opened, map }: StreamDump): Outcome {
    const given = jsonOf(block, groupDump);
    if (!given.ok) return given;
    const { state } = this;
    const { group } = given.value;
    if (state.places.length > 0 || state.place !== undefined) return wrong("the group before is not complete");
    if (state.partition !== undefined || state.partitions.length < opened.length)
      return wrong("a group comes too late");
    if (state.group !== undefined && group <= state.group.group) return wrong("groups are out of order");
    const strange = given.value.opened.some((one) => !opened.includes(one)) || given.value.partitions > map.length;
    if (strange) return wrong("the group names partitions that the stream has not");
    Object.assign(state, { group: given.value, places: [...given.value.opened] });
    state.totals.groups++;
    return fine;
  }

  #place(block: Block): Outcome {
    const given = jsonOf(block, placeDump);
    if (!given.ok) return given;
    const { state } = this;
    const { group, partition } = given.value;
    if (state.place !== undefined) return wrong("the place before is not complete");
    if (group !== state.group?.group || partition !== state.places[0]) return wrong("the place is not the next one");
    state.places.shift();
    state.place = { partition, lanes: 0, letters: 0 };
    return fine;
  }

  #ofPlace(block: Block): Outcome {
    const { place, totals } = this.state;
    if (place === undefined) return wrong(`a ${block.name} block without a place`);
    const told = placeTold(block);
    if (!told.ok) return told;
    const { settled } = told.value;
    place.lanes += told.value.lanes;
    place.letters += told.value.letters;
    totals.letters += told.value.letters;
    if (settled === undefined) return fine;
    const { partition, lanes, letters } = settled;
    if (partition !== place.partition || lanes !== place.lanes || letters !== place.letters) {
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
    const counts = { producers: 0, ids: 0, next: 0, last: 0, chunks: 0, records: 0 };
    state.partition = { partition, key: "", ...counts };
    return fine;
  }

  #part(block: Block, stream: StreamDump): Outcome {
    const part = partOf(block);
    if (!part.ok) return part;
    const at = this.state.partition;
    if (at === undefined) return wrong(`a ${block.name} block without a partition`);
    const { value } = part;
    if ("keys" in value) {
      const sorted = inOrder(value.keys, at.key);
      if (at.marks !== undefined || !sorted) return wrong("keys are out of order");
      at.key = value.keys[value.keys.length - 1]?.[0] ?? at.key;
      return fine;
    }
    if ("marks" in value) {
      if (at.marks !== undefined || value.marks.partition !== at.partition) return wrong("the marks are another's");
      Object.assign(at, { marks: value.marks, next: value.marks.head });
      return fine;
    }
    if (at.marks === undefined) return wrong(`a ${block.name} block before the marks`);
    if ("producers" in value) at.producers += value.producers.length;
    else if ("ids" in value) {
      if (value.ids.part !== at.ids++) return wrong("ids are out of order");
    } else return this.#ofRecords(value, block, at, at.marks, stream);
    return at.producers > at.marks.producers || at.ids > at.marks.ids
      ? wrong("there is more than the marks say")
      : fine;
  }

  #ofRecords(value: object, block: Block, at: PartitionState, marks: MarksDump, stream: StreamDump): Outcome {
    if (!this.inRecords) return wrong("producers or ids are missing");
    if ("chunk" in value) return this.#chunk(value.chunk as ChunkRow, at, marks, stream);
    if ("head" in value) {
      const head = jsonOf(block, headDump);
      if (!head.ok) return head;
      if (head.value.head <= at.next || head.value.head > marks.tail) return wrong("the head is out of order");
      at.next = head.value.head;
      return fine;
    }
    const close = jsonOf(block, closeDump);
    if (!close.ok) return close;
    const { partition, chunks, records } = close.value;
    const whole = stream.config.offsets !== "assigned" || at.next === marks.tail;
    if (partition !== at.partition || chunks !== at.chunks || records !== at.records || !whole) {
      return wrong(`the partition is not complete: it ends at offset ${at.next} of ${marks.tail}`);
    }
    this.state.totals.partitions++;
    delete this.state.partition;
    return fine;
  }

  #chunk(row: ChunkRow, at: PartitionState, marks: MarksDump, { config, map }: StreamDump): Outcome {
    const dense = config.offsets === "assigned";
    const { next, last } = at;
    const where = `offsets ${row.base} to ${row.next}`;
    Object.assign(at, { next: row.next, last: row.last, chunks: at.chunks + 1, records: at.records + row.records });
    this.state.totals.chunks++;
    this.state.totals.records += row.records;
    if (dense ? row.base !== next : row.base < next)
      return wrong(`${where}: the chunk at ${next} is missing before it`);
    if (row.first < last || row.last > marks.last) return wrong(`${where}: timestamps go backwards`);
    if (row.next > marks.tail) return wrong(`${where}: beyond the tail ${marks.tail}`);
    return this.deep ? checkChunk(row, dense, map[at.partition]) : fine;
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
