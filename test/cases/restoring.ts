/** A dump without a service: what decides on a restore, and what looks a file through, on the same blocks. */
import { groupDump, streamDump } from "../../schemas/dump.ts";
import { ok, type Result, refuse } from "../../schemas/errors.ts";
import { type Block, jsonBlock, readBlocks, readJson, writeBlock } from "../../src/archive/dump.ts";
import { partProblem } from "../../src/archive/dump-order.ts";
import { Outline } from "../../src/archive/dump-outline.ts";
import { jsonOf, partOf } from "../../src/archive/dump-part.ts";
import { placePartOf } from "../../src/archive/dump-place.ts";
import { standOf, take } from "../../src/archive/restore-log.ts";
import { Catalog } from "../../src/catalog/catalog.ts";
import type { Stream } from "../../src/catalog/stream.ts";
import { takePlace } from "../../src/delivery/dump.ts";
import type { Sql } from "../../src/lib/sql.ts";
import { Log } from "../../src/log/log.ts";
import { type Desk, obey } from "../../src/objects/catalog-orders.ts";

export function blocksOf(...bytes: readonly Uint8Array[]): Block[] {
  return bytes.flatMap((one) => {
    const read = readBlocks(one);
    if (!read.ok) throw new Error(read.refusal.detail);
    return read.value;
  });
}

export const blockOf = (name: Block["name"], value: unknown): Block => blocksOf(jsonBlock(name, value))[0];

/** What `verify` says of a file of these blocks: why it is damaged, if so. */
export function verified(blocks: readonly Block[]): string | undefined {
  const outline = new Outline();
  for (const block of [blockOf("namespace", { namespace: "shop" }), ...blocks]) {
    // As it would be read.
    const [read] = blocksOf(writeBlock(block.name, block.payload));
    const added = outline.add(read);
    if (!added.ok) return added.refusal.detail;
  }
  return outline.between ? undefined : "the last stream is not complete";
}

/** What the objects of a service hold while they restore. */
export class Restoring {
  readonly #core: Catalog;
  readonly #logs = new Map<string, Log>();
  readonly #places = new Map<string, Sql>();
  #stream = "";
  #group = "";
  #partition = 0;

  constructor(readonly sql: () => Sql) {
    this.#core = new Catalog(sql(), "default");
  }

  get #desk(): Desk {
    return {
      core: this.#core,
      newId: () => "f".repeat(20),
      arm: async () => {},
      tell: async () => {},
      telling: {
        prepare: async (stream: Stream, number: number) => {
          this.#logs.set(`${stream.name}/${number}`, this.#logOf(stream, number));
          return ok(undefined);
        },
        stand: async ({ name }: Stream, number: number) => standOf(this.#logs.get(`${name}/${number}`) as Log),
        placed: async (_: Stream, id: string, number: number) => {
          const placed = takePlace(this.#place(id, number), "default", []);
          return placed.ok && placed.value.complete ? placed.value.floor : undefined;
        },
        all: async () => {},
        drops: async () => 0,
      },
    };
  }

  #logOf({ logId, config, map }: Stream, partition: number): Log {
    const { deduplicationWindowMs, timestamps, offsets, keyIndex } = config;
    const { sealed, parent } = map[partition];
    const continues = parent !== undefined;
    const spec = {
      logId,
      partition,
      version: 1,
      deduplicationWindowMs,
      timestamps,
      offsets,
      keyIndex,
      sealed,
      continues,
    };
    return Log.create(this.sql(), spec, 5_000_000, undefined, true);
  }

  #place(id: string, number: number): Sql {
    const name = `${id}/${number}`;
    const known = this.#places.get(name) ?? this.sql();
    this.#places.set(name, known);
    return known;
  }

  /** Sends a block where `millrace restore` sends it. A stream ends the one before. */
  async take(block: Block): Promise<Result<unknown>> {
    if (block.name === "stream") {
      const given = jsonOf(block, streamDump);
      if (!given.ok) return given;
      if (this.#stream !== "") {
        const ended = await this.finish();
        if (!ended.ok) return ended;
      }
      this.#stream = given.value.stream;
      return obey("restore", this.#desk, this.#stream, "a".repeat(64), given.value, false);
    }
    if (block.name === "group") {
      const given = jsonOf(block, groupDump);
      if (!given.ok) return given;
      this.#group = given.value.group;
      return obey("restoreGroup", this.#desk, this.#stream, given.value, false);
    }
    if (block.name === "partition" || block.name === "place") {
      const json = readJson(block.payload);
      if (!json.ok) return json;
      this.#partition = (json.value as { partition: number } | null)?.partition ?? -1;
    }
    if (["place", "lanes", "letter", "settled"].includes(block.name)) return this.#takePlace(block);
    return this.#takePart(block);
  }

  finish(): Promise<Result<unknown>> {
    return obey("restoreFinish", this.#desk, this.#stream);
  }

  async #takePlace(block: Block): Promise<Result<unknown>> {
    const part = placePartOf(block, this.#group, this.#partition);
    if (!part.ok) return part;
    const id = await obey("restorePlace", this.#desk, this.#stream, this.#group, this.#partition);
    return id.ok ? takePlace(this.#place(id.value, this.#partition), "default", [part.value]) : id;
  }

  async #takePart(block: Block): Promise<Result<unknown>> {
    const log = this.#logs.get(`${this.#stream}/${this.#partition}`);
    if (log === undefined) return refuse("partition-not-found", `there is no partition ${this.#partition}`);
    if (block.name === "partition") return ok(undefined);
    const found = await obey("anyStream", this.#desk, this.#stream);
    if (!found.ok) return found;
    const { config, map } = found.value.stream;
    const terms = { partition: this.#partition, dense: config.offsets === "assigned", range: map[this.#partition] };
    const part = partOf(block);
    if (!part.ok) return part;
    return partProblem(part.value, terms) ?? take(log, [part.value], 5_000_000);
  }
}

/** What a restore of these blocks says: why it is refused, if so. */
export async function restored(sql: () => Sql, blocks: readonly Block[]): Promise<string | undefined> {
  const run = new Restoring(sql);
  for (const block of blocks) {
    const taken = await run.take(block);
    if (!taken.ok) return taken.refusal.detail;
  }
  const done = await run.finish();
  return done.ok ? undefined : done.refusal.detail;
}
