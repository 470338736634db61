/** Understanding a read: every parameter checked against the others and against the stream, before anything is fetched. */
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import { type ReadQuery, readQuery } from "../../../schemas/record.ts";
import { type From, positionOf } from "../../log/position.ts";
import type { Position } from "../../log/read.ts";
import type { ReadCall } from "../../objects/answer.ts";
import { readThrough } from "../../objects/cold.ts";
import { findNewest } from "../../objects/newest.ts";
import { archiveReader, type Env } from "../../objects/stubs.ts";
import type { Hold } from "../budget.ts";
import { askAny, lookup, lookupNewest, type Route, stub } from "../lookup.ts";
import { query } from "../parse.ts";
import { heldBody } from "../sending.ts";
import { Untaken } from "../untaken.ts";
import { boundOf, toOf } from "./bounds.ts";
import { endlessBody, type Made } from "./endless.ts";
import { endlessRoom, type PageRoom, pageBody, pageRoom } from "./large.ts";
import { type Asked, Source, type SourceTerms } from "./source.ts";
import { contradiction, filterOf, formatOf, fromOf, partitionsOf, type Terms } from "./terms.ts";

/** A page that is merged asks each partition for its share, and no less than this. */
const shareBytesMin = 65_536;

/** Who reads, and what. */
export interface Reader {
  readonly env: Env;
  readonly namespace: string;
  readonly name: string;
  readonly request: Request;
  /** Whoever asks may do so until then, in ms since 1970; undefined: for good. */
  readonly until?: number | undefined;
  /** Lets work go on behind the request. */
  readonly later: (work: Promise<unknown>) => void;
}

/** Whether the read is over all the partitions that there are: `behind` while a partition was split and no map says so yet. */
export type Growth = "settled" | "grown" | "behind";

/** A read that has been understood. */
export class Reading {
  readonly sources: Source[] = [];
  readonly query: ReadQuery;
  readonly from: From;
  readonly backward: boolean;
  /** The answer may be long: it is not held in memory. */
  readonly toTail: boolean;
  /** The one partition that was asked for. */
  readonly only: number | undefined;
  /** Until when an empty answer is held back. */
  readonly until: number;
  /** Of a page. */
  readonly bytesMax: number;
  readonly #sourceTerms: SourceTerms & { bytesMax: number };
  #hold: Hold | undefined;
  readonly #making: Hold | undefined;
  #untaken: Untaken | undefined;
  #begun = false;

  constructor(
    readonly reader: Reader,
    readonly terms: Terms,
    /** The stream, as it was known last. */
    public route: Route,
    partitions: readonly number[],
    room: PageRoom,
  ) {
    const { query, from, filter } = terms;
    this.query = query;
    this.from = from;
    this.only = query.partition;
    this.backward = query.direction === "backward";
    this.toTail = query.maxBytes === "all";
    this.until = this.backward
      ? 0
      : Math.min(Date.now() + query.wait * 1_000, reader.until ?? Number.POSITIVE_INFINITY);
    const { bytes } = room;
    this.bytesMax = bytes;
    this.#hold = room.hold;
    this.#making = room.making;
    this.#untaken = room.untaken;
    this.#sourceTerms = {
      backward: this.backward,
      limit: this.toTail ? Number.MAX_SAFE_INTEGER : query.limit,
      bytesMax: shareOf(bytes, partitions.length),
      toTail: this.toTail,
      ...(filter === undefined ? {} : { filter }),
    };
    for (const partition of partitions) this.#add(partition, positionOf(from, partition, this.backward));
  }

  /** Aborted when the client has gone. It is made when it is first asked for: most reads do not wait. */
  get signal(): AbortSignal {
    return this.reader.request.signal;
  }

  /** The answer's body; of a page that is not small one that goes as it is taken. */
  bodyOf(bytes: Uint8Array): BodyInit {
    const hold = this.#hold;
    if (this.reader.request.method === "HEAD") return bytes;
    if (hold === undefined || bytes.length <= this.bytesMax / 4) return pageBody(bytes, this.reader.later);
    this.#hold = undefined;
    return heldBody(bytes, hold, this.reader.later);
  }

  /** A body without an end; `make` as for `endlessBody`. */
  endlessOf(make: (share: number) => Promise<Made>): ReadableStream<Uint8Array> {
    const untaken = this.#untaken ?? new Untaken();
    this.#untaken = undefined;
    return endlessBody(untaken, this.reader.until, make);
  }

  /** Nothing is held any more, but what is being sent. */
  end(): void {
    this.#untaken?.end();
    this.#making?.release();
    this.#hold?.release();
    this.#hold = undefined;
  }

  /** From now on the partitions are asked for so many bytes together, about. */
  fetchAtMost(bytes: number): void {
    this.#sourceTerms.bytesMax = shareOf(bytes, this.sources.length);
  }

  /** Finds the places that must be known before anything is read. */
  async settle(): Promise<Result<undefined>> {
    const found = await this.#findNewest();
    return found.ok ? this.#bind(this.sources) : found;
  }

  /** Says where each ends, if they do. */
  async #bind(sources: readonly Source[]): Promise<Result<undefined>> {
    const { to } = this.terms;
    if (to === undefined) return ok(undefined);
    const bounds = sources.map(({ partition }) =>
      boundOf(to, partition, (place) =>
        askAny(this.reader.env, this.route, partition, (stub) => stub.order("locate", place)),
      ),
    );
    for (const [index, bound] of (await Promise.all(bounds)).entries()) {
      if (!bound.ok) return bound;
      sources[index].bound = bound.value;
    }
    return ok(undefined);
  }

  /** Finds the place of `-n`, where that is one over several partitions, or behind a filter. */
  async #findNewest(): Promise<Result<undefined>> {
    const { from, terms, backward } = this;
    if (!("position" in from) || from.position.at !== "last") return ok(undefined);
    const partitions = this.sources.map(({ partition }) => partition);
    if (terms.filter === undefined && partitions.length === 1) return ok(undefined);
    const newest = await findNewest(from.position.count, partitions, terms.filter, (partition, call) =>
      this.#asked(partition).read(call),
    );
    if (!newest.ok) return "refusal" in newest ? ofQuery(newest.refusal) : unavailable;
    this.sources.length = 0;
    this.#begun = true;
    for (const [partition, offset] of newest.value.places(backward)) {
      this.#add(partition, { at: backward ? "before" : "offset", offset }, true);
    }
    return ok(undefined);
  }

  /** The partition has been split, and our map, or another, has it as whole. */
  isSplit({ partition, sealed }: Source, { stream } = this.route): boolean {
    return sealed && !stream.map[partition].sealed;
  }

  /**
   * Looks whether a partition has been split that our map has as whole; then the read is over those that continue it, too. What
   * they hold came after what a read that has begun was at.
   */
  async grow(): Promise<Result<Growth>> {
    const begun = this.#begun;
    const whole: Position = { at: this.backward ? "before" : "offset", offset: 0 };
    this.#begun = true;
    const isBehind = (route: Route) => this.sources.some((source) => this.isSplit(source, route));
    if (this.only !== undefined || !isBehind(this.route)) return ok("settled");
    const { env, namespace, name } = this.reader;
    const route = await lookup(env, namespace, name, true);
    if (!route.ok) return route;
    if (route.value.stream.logId !== this.route.stream.logId) return recreated;
    const partitions = partitionsOf(this.query, route.value);
    if (!partitions.ok) return partitions;
    const known = new Set(this.sources.map(({ partition }) => partition));
    const born = partitions.value.filter((partition) => !known.has(partition));
    if (isBehind(route.value)) return ok("behind");
    // The newest records that were counted are not the newest.
    if (born.length > 0 && this.route.old) return unavailable;
    this.route = route.value;
    for (const partition of born) this.#add(partition, begun ? whole : positionOf(this.from, partition, this.backward));
    const bound = await this.#bind(this.sources.slice(this.sources.length - born.length));
    return bound.ok ? ok(born.length > 0 ? "grown" : "settled") : bound;
  }

  #add(partition: number, position: Position, floats = false): void {
    this.sources.push(new Source(partition, position, this.#sourceTerms, this.#asked(partition), floats));
  }

  #asked(partition: number): Asked {
    const { env, later } = this.reader;
    const where = { logId: this.route.stream.logId, partition, blobs: archiveReader(env) };
    return {
      read: (call: ReadCall) =>
        askAny(env, this.route, partition, (stub) => readThrough(where, call, (call) => stub.read(call))),
      // A partition that cannot be reached, or does not know the word, ends the wait when its time is over.
      end: (wait: string) =>
        later(
          stub(env, this.route, partition)
            .order("endWait", wait)
            .catch(() => {}),
        ),
    };
  }
}

export async function understand(reader: Reader): Promise<Result<Reading>> {
  const { env, namespace, name, request } = reader;
  const terms = termsOf(request);
  if (!terms.ok) return terms;
  const route = await routeFor(env, namespace, name, terms.value);
  if (!route.ok) return route;
  const partitions = partitionsOf(terms.value.query, route.value);
  if (!partitions.ok) return partitions;
  const problem = contradiction(terms.value, partitions.value.length);
  if (problem !== undefined) return { ok: false, refusal: problem };
  const { maxBytes, wait } = terms.value.query;
  const begun = (room: PageRoom) => ok(new Reading(reader, terms.value, route.value, partitions.value, room));
  if (maxBytes === "all") {
    const room = await endlessRoom(partitions.value.length * route.value.stream.config.recordBytesMax);
    return room.ok ? begun(room.value) : room;
  }
  const room = pageRoom(maxBytes, wait > 0);
  return begun(room instanceof Promise ? await room : room);
}

/** What each of some partitions is asked for of so many bytes. */
const shareOf = (bytes: number, partitions: number) => Math.max(Math.floor(bytes / partitions), shareBytesMin);

function termsOf(request: Request): Result<Terms> {
  const url = new URL(request.url);
  const parsed = query(readQuery, url, ["type", "source", "tag"]);
  if (!parsed.ok) return parsed;
  const format = formatOf(request.headers.get("accept"));
  if (!format.ok) return format;
  // A browser that lost its connection says where it was; an empty place is none.
  const last = (format.value === "events" && request.headers.get("last-event-id")) || undefined;
  const startField = last === undefined ? "from" : "last-event-id";
  const start = last ?? parsed.value.from ?? (parsed.value.direction === "backward" ? "latest" : "earliest");
  const from = fromOf(start, startField);
  if (!from.ok) return from;
  const to = parsed.value.to === undefined ? ok(undefined) : toOf(parsed.value.to);
  if (!to.ok) return to;
  const filter = filterOf(parsed.value);
  if (!filter.ok) return filter;
  const read = { url, query: parsed.value, format: format.value, to: to.value, filter: filter.value };
  return ok({ ...read, start, startField, from: from.value });
}

/** The stream, as new as what is asked of it: a cursor of a log that is not the stream's is refused. */
async function routeFor(env: Env, namespace: string, name: string, { from, to, query }: Terms): Promise<Result<Route>> {
  // The newest records lie in partitions that an old map may not have.
  const newest = "position" in from && from.position.at === "last";
  const route = await (newest ? lookupNewest(env, namespace, name) : lookup(env, namespace, name));
  if (!route.ok) return route;
  const asked =
    "cursor" in from ? [...from.cursor.offsets.keys()] : query.partition === undefined ? [] : [query.partition];
  const cursors = [from, to].flatMap((place) => (place !== undefined && "cursor" in place ? [place.cursor] : []));
  const known = ({ stream }: Route) =>
    cursors.every(({ logId }) => stream.logId === logId) && asked.every((partition) => partition < stream.map.length);
  if (known(route.value)) return route;
  const fresh = await lookup(env, namespace, name, true);
  if (!fresh.ok || known(fresh.value) || cursors.length === 0) return fresh;
  return refuse("wrong-log", "the cursor belongs to a stream that was deleted; read this one from earliest", {
    logId: fresh.value.stream.logId,
  });
}

const recreated = refuse("wrong-log", "the stream was deleted and created again meanwhile; read the new one");
const unavailable = refuse("unavailable", "a partition is being moved; try again in a moment");
const ofQuery = (refusal: Refusal) => ({
  ok: false as const,
  refusal: refusal.code === "invalid" ? { ...refusal, detail: `query: ${refusal.detail}` } : refusal,
});
