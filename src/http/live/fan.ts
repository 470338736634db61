/**
 * Subscriptions over several partitions, fanned in by this Worker: a socket to each partition that a subscription takes,
 * which carries packed frames. While nothing happens the partitions sleep; the Worker does not.
 */
import { ok, type Refusal, type Result, refuse } from "../../../schemas/errors.ts";
import type { LargeMessage, StreamMessage, Subscribe } from "../../../schemas/frames.ts";
import type { PartitionRange } from "../../../schemas/stream.ts";
import { readCursor } from "../../log/cursor.ts";
import { behind } from "../../log/follow.ts";
import { readRecordsHeader } from "../../log/message.ts";
import { noPlace, readFrom } from "../../log/position.ts";
import { wrongLog } from "../../objects/clients.ts";
import type { Env } from "../../objects/stubs.ts";
import { lookup, lookupNewest } from "../lookup.ts";
import { placesOf } from "./places.ts";
import type { Sink } from "./sink.ts";
import { inScope, type Large, type Leg, Spread } from "./spread.ts";
import { attemptsMax, pauseMs, tell, type Upstream, Upstreams } from "./upstream.ts";

const deletedCode = 4001;
const lookupFresh = (env: Env, namespace: string, stream: string) => lookup(env, namespace, stream, true);

export class Fan {
  readonly #spreads = new Map<number, Spread>();
  readonly #upstreams: Upstreams;
  /** Credits and ends of subscriptions that are about to begin. */
  readonly #beginning = new Map<number, number>();
  readonly #failures = new Map<number, number>();
  readonly #large: Large = {};
  #closed = false;

  constructor(
    readonly env: Env,
    readonly namespace: string,
    readonly stream: string,
    readonly sink: Sink,
  ) {
    const route = (fresh: boolean) => lookup(env, namespace, stream, fresh);
    this.#upstreams = new Upstreams(env, route, {
      message: (upstream, data) => this.#take(upstream, data),
      lost: (upstream, code) => void this.#lost(upstream, code),
    });
  }

  async subscribe(message: Subscribe): Promise<void> {
    const { id } = message;
    this.#beginning.set(id, message.credits);
    const spread = await this.#spread(message);
    const credits = this.#beginning.get(id);
    this.#beginning.delete(id);
    // It was ended before it began.
    if (credits === undefined || this.#closed) return;
    if (!spread.ok) return this.sink.refused(id, spread.refusal);
    spread.value.spread.credits = credits;
    this.#spreads.set(id, spread.value.spread);
    await this.#beginLegs(spread.value.spread, spread.value.map);
  }

  credit(id: number, credits: number): void {
    const waiting = this.#beginning.get(id);
    if (waiting !== undefined) this.#beginning.set(id, waiting + credits);
    const spread = this.#spreads.get(id);
    if (spread === undefined) return;
    spread.credit(credits);
    this.#lend(spread);
  }

  /** There is room again. */
  goOn(): void {
    for (const spread of this.#spreads.values()) spread.flush();
    this.#lendAll();
  }

  unsubscribe(id: number): void {
    this.#beginning.delete(id);
    const spread = this.#spreads.get(id);
    if (spread === undefined) return;
    this.#spreads.delete(id);
    spread.drop();
    for (const leg of spread.legs.values()) void this.#upstreams.drop(leg);
    this.#lendAll();
  }

  close(): void {
    this.#closed = true;
    this.#upstreams.close();
  }

  /** Where a subscription begins on each of its partitions. */
  async #spread(message: Subscribe): Promise<Result<{ spread: Spread; map: readonly PartitionRange[] }>> {
    const from = readFrom(String(message.from), Date.now());
    if (from === undefined) return refuse("invalid", `from: ${noPlace(String(message.from))}`);
    // Whoever goes on from a cursor finds the partitions that have come since by himself.
    const look = "cursor" in from ? lookupNewest : lookupFresh;
    const route = await look(this.env, this.namespace, this.stream);
    if (!route.ok) return route;
    const { logId, map } = route.value.stream;
    if ("cursor" in from && from.cursor.logId !== logId) return { ok: false, refusal: wrongLog };
    const { id, credits, filter, partition } = message;
    const spread = new Spread(id, logId, credits, filter, partition, this.sink, this.#large);
    const scope = inScope(spread, map);
    if (scope.length === 0) {
      return refuse("partition-not-found", `the partitions of the stream are 0 to ${map.length - 1}`);
    }
    if (scope.length > 1 && "position" in from && from.position.at === "offset") {
      return refuse("invalid", "from: an offset belongs to one partition; name it, or go on from a cursor");
    }
    const partitions = scope.map((range) => range.partition);
    const places = await placesOf(this.env, route.value, partitions, from, filter);
    if (!places.ok) return places;
    for (const range of scope) {
      const leg = spread.add(range.partition, places.value.offsets.get(range.partition) as number);
      // Nothing will come after its end.
      leg.ended = range.sealed && partition === undefined && "position" in from && from.position.at === "latest";
    }
    for (const one of places.value.snapshots) this.sink.snapshot(one);
    return ok({ spread, map });
  }

  /** Begins the legs whose time has come, with an even share for each. */
  async #beginLegs(spread: Spread, map: readonly PartitionRange[]): Promise<void> {
    const ready = [...spread.legs.values()].filter((leg) => {
      const { parent } = map[leg.partition];
      const before = parent === undefined ? undefined : spread.legs.get(parent);
      return leg.id === undefined && !leg.ended && (before === undefined || before.ended);
    });
    const upstreams = await this.#upstreams.all(ready.map(({ partition }) => partition));
    if (this.#closed) return;
    if (this.#spreads.get(spread.id) !== spread) {
      for (const { partition } of ready) void this.#upstreams.release(partition);
      return;
    }
    if (!upstreams.ok) return this.#fail(upstreams.refusal);
    const begun = ready.flatMap((leg, index) => {
      if (leg.id !== undefined) return [];
      const upstream = upstreams.value[index];
      leg.id = upstream.nextId++;
      upstream.legs.set(leg.id, { spread, leg });
      return [{ leg, upstream }];
    });
    for (const { leg, upstream } of begun) {
      spread.restart(leg);
      const credits = Math.max(1, spread.loan(leg));
      leg.lent = credits;
      const filter = spread.filter === undefined ? {} : { filter: spread.filter };
      tell(upstream, { type: "subscribe", id: leg.id as number, from: leg.arrived, credits, ...filter });
    }
  }

  #take(upstream: Upstream, data: unknown): void {
    if (data instanceof ArrayBuffer) {
      const message = new Uint8Array(data);
      const header = readRecordsHeader(message);
      const found = upstream.legs.get(header?.id ?? -1);
      if (header === undefined || found === undefined) return;
      const { spread, leg } = found;
      const { cost, next, upToDate } = header;
      this.#failures.delete(upstream.partition);
      const hand = () => {
        spread.told = spread.upToDate;
        const { cursor, told } = spread;
        this.sink.records(spread.id, {
          message,
          partition: leg.partition,
          cost,
          upToDate: told,
          cursor,
          cursorAt: spread.cursorsOf(leg),
        });
      };
      const large = this.#large.leg;
      spread.take({ leg, cost, next, current: upToDate, hand });
      // Others may have waited for their large ones.
      if (large === leg) this.#lendAll();
      else this.#lend(spread);
      return;
    }
    const message = JSON.parse(String(data)) as StreamMessage | LargeMessage;
    if (message.type === "large") {
      const { spread, leg } = upstream.legs.get(message.id) ?? {};
      if (spread === undefined || leg === undefined) return;
      leg.wants = message.cost;
      this.#lend(spread);
      return;
    }
    if (message.type === "snapshot") this.sink.snapshot(message);
    const found = "id" in message && message.id !== undefined ? upstream.legs.get(message.id) : undefined;
    if (found !== undefined) this.#hear(found.spread, found.leg, message);
  }

  #hear(spread: Spread, leg: Leg, message: StreamMessage): void {
    const { id } = spread;
    const about = { leg, cost: 0, next: leg.arrived, current: leg.current };
    if (message.type === "heartbeat" || message.type === "end") {
      const next = readCursor(message.cursor)?.offsets.get(leg.partition) ?? leg.arrived;
      const ends = message.type === "end";
      const current = ends || message.upToDate;
      spread.take({ ...about, next, current, hand: () => (ends ? this.#ended(spread, leg) : this.#beat(spread, leg)) });
    } else if (message.type === "lost") {
      const next = behind(message.lost, leg.arrived);
      spread.take({ ...about, next, hand: () => this.sink.lost(id, message.lost, spread.cursor) });
    } else if (message.type === "error") {
      const { type: _, id: __, code, detail, retryable: ___, clean: ____, fatal: _____, ...facts } = message;
      this.unsubscribe(id);
      this.sink.refused(id, { code: code as Refusal["code"], detail, facts });
    }
  }

  /** A partition has nothing to show, but its place has moved. */
  #beat(spread: Spread, leg: Leg): void {
    const { upToDate } = spread;
    // Partitions that come to their tails one after another are one piece of news.
    if (upToDate ? spread.told : leg.current) return;
    spread.told = upToDate;
    this.sink.heartbeat(spread.id, spread.cursor, upToDate);
  }

  #ended(spread: Spread, leg: Leg): void {
    leg.ended = true;
    void this.#upstreams.drop(leg);
    if (spread.only !== undefined) {
      this.#spreads.delete(spread.id);
      this.sink.end(spread.id, spread.cursor);
    } else void this.#goOn(spread, leg.partition);
  }

  /** Follows those that a partition was split into. */
  async #goOn(spread: Spread, parent: number): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const route = await lookup(this.env, this.namespace, this.stream, attempt > 0);
      if (!route.ok) return this.#fail(route.refusal);
      if (route.value.stream.logId !== spread.logId) return this.#fail(gone);
      const children = inScope(spread, route.value.stream.map).filter((range) => range.parent === parent);
      // Partitions are sealed before the new map is out.
      if (children.length === 0) {
        await scheduler.wait(pauseMs * 2 ** attempt);
        continue;
      }
      for (const { partition } of children) if (!spread.legs.has(partition)) spread.add(partition, 0);
      return this.#beginLegs(spread, route.value.stream.map);
    }
    this.#fail({ code: "unavailable", detail: "the stream is growing; connect again in a moment" });
  }

  #lendAll(): void {
    for (const spread of this.#spreads.values()) this.#lend(spread);
  }

  #lend(spread: Spread): void {
    for (const leg of spread.legs.values()) {
      if (leg.id === undefined || leg.ended) continue;
      const credits = spread.loan(leg);
      if (credits <= 0) continue;
      leg.lent += credits;
      this.#upstreams.tell(leg.partition, { type: "credit", id: leg.id, credits });
    }
  }

  /** The partition was moved, or deleted. */
  async #lost(upstream: Upstream, code: number): Promise<void> {
    const { partition, legs } = upstream;
    if (this.#closed || legs.size === 0) return;
    if (code === deletedCode) return this.#fail(gone);
    // At once: on the partition's next socket their numbers may be those of others.
    const spreads = new Set<Spread>();
    for (const { spread, leg } of legs.values()) {
      leg.id = undefined;
      leg.current = false;
      spreads.add(spread);
    }
    const failures = (this.#failures.get(partition) ?? 0) + 1;
    this.#failures.set(partition, failures);
    if (failures > attemptsMax)
      return this.#fail({ code: "unavailable", detail: "a partition was lost; connect again" });
    await scheduler.wait(pauseMs * 2 ** failures);
    const route = await lookupNewest(this.env, this.namespace, this.stream);
    if (!route.ok) return this.#fail(route.refusal);
    for (const spread of spreads) await this.#beginLegs(spread, route.value.stream.map);
  }

  #fail(refusal: Refusal): void {
    if (this.#closed) return;
    this.close();
    this.sink.failed(refusal);
  }
}

const gone: Refusal = { code: "stream-not-found", detail: "the stream was deleted" };
