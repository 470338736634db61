/** A group that pushes, over partitions that split, in an object each, on one clock: how long each record waits. */
import { vi } from "vitest";
import { type GroupConfig, pushTarget } from "../../schemas/group.ts";
import { encodeText } from "../../src/lib/bytes.ts";
import { murmur3 } from "../../src/lib/hash.ts";
import type { Sql } from "../../src/lib/sql.ts";
import type { ReadCall } from "../../src/objects/answer.ts";
import { Followers } from "../../src/objects/followers.ts";
import { Keeper } from "../../src/objects/keeper.ts";
import { unfinished } from "../../src/objects/operating.ts";
import type { DeliveryRpc, HeritageCall } from "../../src/objects/rpc.ts";
import { Rig } from "./delivery.ts";

/** A partition, and the group's delivery on it. */
interface Place {
  readonly number: number;
  readonly from: number;
  readonly to: number;
  readonly rig: Rig;
  followers: Followers;
  keeper: Keeper | undefined;
  alarmAt: number | undefined;
}

/** A record, and when it was appended and confirmed, in ms. */
export interface Told {
  readonly place: string;
  readonly key: string;
  readonly at: number;
  done?: number;
}

/** What the receiver does with a key. `hang`: it gives no answer. */
export type Habit = "good" | "refuse" | "hang";

/** What a request asks the receiver to take, in order: names are `partition.offset`. */
export type Asked = readonly { readonly name: string; readonly key: string | undefined }[];

/** What it answers, and after how long; without a status it never does. */
export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly afterMs: number;
}

/** A call between objects, there or back. */
const hop = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
const answerMs = 5;

export class PushWorld {
  readonly told = new Map<string, Told>();
  readonly places: Place[] = [];
  /** Keys, in the order of their requests. */
  readonly asked: (string | undefined)[] = [];
  /** What the receiver answers, where it is not for the habits of its keys to say; and what it is told of how that ended. */
  answers: ((asked: Asked) => Reply) | undefined;
  ended: (asked: Asked, answer: Partial<Reply>, life: number) => void = () => {};
  /** Whether it agrees to be pushed to, when it is asked. */
  agrees = () => true;
  /** A group that has paused by itself is paused, says the catalog. */
  readonly #setPaused = async (_stream: string, _group: string, told: object, id: string, version: number) => ({
    ok: true,
    value: { id, version, paused: true, because: told },
  });
  /** Whether objects reach one another. */
  apart = false;
  #life = 0;

  /** `target`: what of the push is not as by default. */
  constructor(
    readonly open: () => Sql,
    readonly habit: (key: string) => Habit,
    config: Partial<GroupConfig>,
    target: object,
  ) {
    this.config = { ...config, push: targetOf(target) };
    vi.stubGlobal("fetch", (_url: string, init: RequestInit) => this.#receive(init));
    this.#add(0, 2 ** 32);
  }

  /** What the deliveries of partitions that come to be begin with. */
  config: Partial<GroupConfig>;

  append(...keys: string[]): void {
    for (const place of this.places) {
      const own = keys.filter((key) => this.placeOf(key) === place);
      const { rig, number } = place;
      const { known } = rig.delivery.state;
      for (const [n, key] of own.entries()) {
        const name = `${number}.${rig.log.span.tail + n}`;
        this.told.set(name, { place: name, key, at: Date.now() });
      }
      if (own.length === 0) continue;
      rig.append(own);
      rig.delivery.state.known = known;
      place.followers.appended();
    }
  }

  /** The partition that takes a key now. */
  placeOf(key: string): Place {
    const hash = murmur3(encodeText(key));
    return this.places.find(({ rig, from, to }) => !rig.log.sealed && hash >= from && hash < to) as Place;
  }

  /** The largest partition becomes two. */
  split(): void {
    const [{ rig, number, from, to, followers }] = this.places
      .filter(({ rig }) => !rig.log.sealed)
      .sort((a, b) => b.to - b.from - (a.to - a.from));
    rig.log.seal();
    followers.appended();
    const middle = (from + to) / 2;
    this.#add(from, middle, number);
    this.#add(middle, to, number);
  }

  get life(): number {
    return this.#life;
  }

  /** The delivery's object of a partition, which comes back where it is not there. */
  at(number: number): Keeper {
    return this.#object(this.places[number]);
  }

  /** Every object dies. Each comes back when somebody asks it for something, or its alarm fires. */
  crash(): void {
    this.#life++;
    for (const place of this.places) {
      place.keeper?.stop("it died");
      place.keeper = undefined;
      place.followers = this.#followers(place);
    }
  }

  /** The longest that a record of a good key has waited, of those appended from a time on, or what is left of it. */
  longest(from = 0): { readonly ms: number; readonly place: string | undefined } {
    let longest: { ms: number; place: string | undefined } = { ms: 0, place: undefined };
    for (const { place, key, at, done } of this.told.values()) {
      const ms = this.habit(key) === "good" ? (done ?? Date.now()) - Math.max(at, from) : 0;
      if (ms > longest.ms) longest = { ms, place };
    }
    return longest;
  }

  end(): void {
    this.#life++;
    for (const { keeper } of this.places) keeper?.stop("over");
  }

  #add(from: number, to: number, parent?: number): void {
    const number = this.places.length;
    const of = { partition: number, range: { from, to }, ...(parent === undefined ? {} : { parent }) };
    const rig = new Rig(this.open(), this.open(), this.config, 0, undefined, of);
    rig.log.followers.add(`d/${number}`, 0);
    const place = { number, from, to, rig, keeper: undefined, alarmAt: undefined } as unknown as Place;
    place.followers = this.#followers(place);
    this.places.push(place);
    const keeper = this.#object(place, false);
    keeper.kick();
    keeper.arm();
  }

  #object(place: Place, died = true): Keeper {
    if (place.keeper !== undefined) return place.keeper;
    if (died) {
      place.rig.now = Date.now();
      place.rig.crash();
    }
    const life = this.#life;
    const setAlarm = (at: number) => {
      if (life !== this.#life) return;
      place.alarmAt = at;
      const fire = () => {
        if (place.alarmAt !== at) return;
        place.alarmAt = undefined;
        void this.#object(place).alarm();
      };
      setTimeout(fire, Math.max(1, at - Date.now()));
    };
    const ctx = { storage: { setAlarm }, setWebSocketAutoResponse: () => {}, getWebSockets: () => [] };
    const keeper = new Keeper(ctx as never, this.#bindings(life) as never, "d", place.rig.delivery);
    place.keeper = died ? keeper.goingOn() : keeper;
    return keeper;
  }

  #bindings(life: number) {
    const placed = (name: string) => this.places[Number(name.split("/")[1])];
    const call = async <T>(what: () => T | Promise<T>): Promise<T> => {
      await hop();
      if (this.apart || life !== this.#life) throw new Error("out of reach");
      const answer = await what();
      await hop();
      return answer;
    };
    const partition = (name: string) => ({ read: (terms: ReadCall) => call(() => this.#read(placed(name), terms)) });
    const delivery = (name: string) => ({
      inherit: (again: boolean) => call(() => this.#object(placed(name)).inherit(again)),
      unfinished: (asked: HeritageCall) => call(() => unfinished(this.#object(placed(name)), asked)),
    });
    const catalog = () => ({ setPaused: this.#setPaused });
    return {
      PARTITION: { getByName: partition },
      DELIVERY: { getByName: delivery },
      CATALOG: { getByName: catalog },
    };
  }

  #read({ rig, followers, number }: Place, terms: ReadCall) {
    const page = rig.log.read(terms);
    const { tail, head } = rig.log.span;
    if (!page.ok) return page;
    const more = { head, tail, sealed: rig.log.sealed, promise: 0, upToDate: page.value.to >= tail };
    const answer = { ok: true as const, value: { ...page.value, ...more } };
    if (terms.follower !== undefined) followers.read(`d/${number}`, answer);
    return answer;
  }

  #followers(place: Place): Followers {
    const life = this.#life;
    const log = () => (life === this.#life ? place.rig.log : undefined);
    const by = (at: number) => void setTimeout(() => void place.followers.repeat(), Math.max(1, at - Date.now()));
    const wake: DeliveryRpc["wake"] = async (from, to, tail, sealed, bodies) => {
      await hop();
      if (life !== this.#life) throw new Error("out of reach");
      return this.#object(place).wake({ from, to, tail, sealed, pieces: bodies.map((body) => ({ body })) });
    };
    return new Followers({ by } as never, log, () => ({ wake }) as unknown as DeliveryRpc);
  }

  async #receive({ method, headers, body, signal }: RequestInit): Promise<Response> {
    const life = this.#life;
    if (method === "OPTIONS") {
      await new Promise((resolve) => setTimeout(resolve, answerMs));
      // Who died meanwhile does nothing about it any more.
      if (life !== this.#life) return new Promise(() => {});
      return new Response(null, { status: 200, headers: this.agrees() ? { "webhook-allowed-origin": "*" } : {} });
    }
    const asked = askedOf(headers as Record<string, string>, body as Uint8Array);
    this.asked.push(asked[0].key);
    const { status, headers: more = {}, afterMs } = this.answers?.(asked) ?? this.#habitual(asked);
    const late = new Promise<never>((_, fail) => signal?.addEventListener("abort", () => fail(new Error("no answer"))));
    const answer = new Promise<void>((resolve) => setTimeout(resolve, afterMs));
    try {
      await Promise.race([late, status === undefined ? late : answer]);
    } catch (error) {
      this.ended(asked, {}, life);
      throw error;
    }
    late.catch(() => {});
    this.ended(asked, status === undefined ? {} : { status, headers: more }, life);
    const isTaken = status !== undefined && status < 300;
    for (const { name } of isTaken ? asked : []) (this.told.get(name) as Told).done ??= Date.now();
    return new Response(null, { status, headers: more });
  }

  #habitual([{ key }]: Asked): Reply {
    const what = this.habit(key as string);
    return what === "hang" ? { afterMs: answerMs } : { status: what === "good" ? 204 : 500, afterMs: answerMs };
  }
}

export const targetOf = (target: object) =>
  pushTarget.parse({ url: "http://127.0.0.1:9/", format: "binary", ...target });

/** What a request is about, in its format. */
function askedOf(headers: Record<string, string>, body: Uint8Array): Asked {
  const of = (event: Record<string, string>) => ({
    name: `${event.millracepartition}.${event.millraceoffset}`,
    key: event.partitionkey,
  });
  if (headers["content-type"]?.startsWith("application/cloudevents-batch"))
    return JSON.parse(new TextDecoder().decode(body)).map(of);
  return [of(Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.replace(/^ce-/, ""), value])))];
}
