/**
 * A stream's partitions in this process, behind the Worker's own appending: every partition is a `Log`, and what a catalog
 * would do (create a partition with what its ancestor hands on, grow) is done by hand.
 */
import { ok } from "../../schemas/errors.ts";
import { type StreamConfig, streamDefaults } from "../../schemas/stream.ts";
import { firstMap, grow } from "../../src/catalog/map.ts";
import type { Stream } from "../../src/catalog/stream.ts";
import { append } from "../../src/http/append.ts";
import { Log } from "../../src/log/log.ts";
import type { ProducerTerms, Terms } from "../../src/log/sequence.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { readAll, type Stored } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

export interface Verdict {
  readonly verdict: "appended" | "duplicate" | "rejected";
  readonly partition: number;
  readonly offset?: number;
  readonly reason?: string;
}

export interface Answered {
  readonly status: number;
  readonly code?: string;
  readonly verdicts: readonly Verdict[];
}

let count = 0;

export class Partitions {
  readonly logs = new Map<number, Log>();
  readonly #sqls = new Map<number, ReturnType<typeof nodeSql>>();
  readonly #config: StreamConfig;
  #stream: Stream;
  now = 1_000_000;
  /** Called around each append of a partition: the world may change, and calls fail, in the middle of a request. */
  around: (append: () => unknown) => unknown = (append) => append();

  /** Called around each question to a partition that is not an append. */
  asking: (ask: () => unknown) => unknown = (ask) => ask();

  constructor(partitions: number, config: Partial<StreamConfig> = {}) {
    this.#config = { ...streamDefaults, partitions, ...config };
    this.#stream = {
      name: `s${count++}`,
      logId: String(count).padStart(20, "0"),
      version: 1,
      config: this.#config,
      map: firstMap(partitions),
      created: 0,
      updated: 0,
    };
  }

  get map() {
    return this.#stream.map;
  }

  /** Seals what is split; the Worker learns of it when it asks. */
  grow(partitions: number): void {
    const map = grow(this.#stream.map, partitions);
    this.#stream = { ...this.#stream, map, version: this.#stream.version + 1 };
    for (const number of this.logs.keys()) this.#log(number);
  }

  /** Every object wakes anew. */
  reopen(): void {
    for (const [number, sql] of this.#sqls) this.logs.set(number, Log.open(sql, this.now) as Log);
  }

  /** Sends an append as a client would, through everything that the Worker does with it. */
  async send(
    body: Uint8Array | string,
    headers: Record<string, string>,
    query: Record<string, string> = {},
  ): Promise<Answered> {
    const url = `http://localhost/v1/default/streams/${this.#stream.name}/records?${new URLSearchParams(query)}`;
    const request = new Request(url, { method: "POST", body: body as BodyInit, headers });
    const answer = await append(request, this.#env(), "default", this.#stream.name, () => {});
    const said = (await answer.json()) as {
      code?: string;
      verdicts?: Verdict[];
      runs?: (Verdict & { count: number })[];
    };
    return { status: answer.status, code: said.code, verdicts: said.verdicts ?? (said.runs ?? []).flatMap(eachOf) };
  }

  /** Every record that is stored, with its partition. */
  stored(): (Stored & { readonly partition: number })[] {
    return [...this.logs].flatMap(([partition, log]) => readAll(log).map((one) => ({ ...one, partition })));
  }

  check(): void {
    for (const log of this.logs.values()) log.check();
  }

  /** The log of a partition, up to date; made where it is not there. */
  #log(number: number): Log {
    const { logId, version, map, config } = this.#stream;
    const { sealed, parent } = map[number];
    const { deduplicationWindowMs, timestamps, offsets, keyIndex } = config;
    const about = { deduplicationWindowMs, timestamps, offsets, keyIndex, sealed, continues: parent !== undefined };
    const spec = { logId, partition: number, version, ...about };
    let log = this.logs.get(number);
    if (log === undefined) {
      let ancestor = parent;
      while (ancestor !== undefined && !this.logs.has(ancestor)) ancestor = map[ancestor].parent;
      const sql = nodeSql();
      const inherited = ancestor === undefined ? undefined : this.logs.get(ancestor)?.handOn(this.now);
      log = Log.create(sql, spec, this.now, structuredClone(inherited));
      this.logs.set(number, log);
      this.#sqls.set(number, sql);
    }
    log.configure(spec, this.now);
    return log;
  }

  #env(): Env {
    const catalog = {
      stream: async () => ok(this.#stream),
      open: async (_name: string, number: number) => {
        this.#log(number);
        return ok(this.#stream);
      },
    };
    const partition = (number: number) => ({
      append: async (version: number, bytes: Uint8Array, hashes: Uint32Array, terms: Terms = {}) =>
        this.around(() => this.#append(number, version, structuredClone({ bytes, hashes, terms }))),
      order: async (_name: "answered", producer: ProducerTerms, records: number) =>
        this.asking(() => this.logs.get(number)?.answered(producer, records) ?? { ok: false, moved: 0 }),
    });
    return {
      CATALOG: { getByName: () => catalog },
      PARTITION: { getByName: (name: string) => partition(Number(name.split("/")[1])) },
    } as unknown as Env;
  }

  /** As the partition's object does it. */
  #append(number: number, version: number, batch: { bytes: Uint8Array; hashes: Uint32Array; terms: Terms }) {
    const log = this.logs.get(number);
    const moved = { ok: false, moved: log === undefined ? 0 : log.spec.version + (log.sealed ? 1 : 0) };
    if (log === undefined || log.spec.version !== version) return moved;
    const [answer] = log.append([batch], this.now);
    if (!answer.ok) return answer.refusal.code === "sealed" ? moved : answer;
    const [run, ...others] = answer.value;
    return others.length === 0 && run.verdict === "appended" ? run.offset : answer;
  }
}

const eachOf = ({ count, ...run }: Verdict & { count: number }): Verdict[] =>
  Array.from({ length: count }, (_, index) =>
    run.offset === undefined ? run : { ...run, offset: run.offset + index },
  );
