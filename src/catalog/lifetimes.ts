/** Streams that end by themselves: at their time, or when they have been empty for long enough. Synchronous. */
import type { StreamConfig } from "../../schemas/stream.ts";
import type { Sql } from "../lib/sql.ts";
import { LifetimeStore } from "./lifetime-store.ts";

/** A stream that is to be looked at. */
export interface Lifetime {
  readonly log: string;
  readonly name: string;
  /** ms since 1970. */
  readonly due: number;
}

/** What is known of a stream when its time is asked for. */
interface Living {
  readonly name: string;
  readonly logId: string;
  readonly config: StreamConfig;
  /** ms since 1970. */
  readonly created: number;
}

/** A stream that may be empty is looked at four times within the time that it must be. */
const looks = 4;
const lookMsMin = 1_000;
const lookMsMax = 3_600_000;

export class Lifetimes {
  readonly #store: LifetimeStore;

  constructor(sql: Sql) {
    this.#store = new LifetimeStore(sql);
  }

  /** To be called when a stream was created or changed. */
  set({ name, logId, config, created }: Living, now: number): void {
    const due = dueOf(config, created, now);
    if (due !== undefined) this.#store.set({ log: logId, name, due });
    else if (this.#store.has(logId)) this.#store.drop(logId);
  }

  drop(logId: string): void {
    this.#store.drop(logId);
  }

  due(now: number): Lifetime[] {
    return this.#store.due(now);
  }

  wakeAt(): number | undefined {
    return this.#store.next();
  }
}

/** True where a stream's time is over. */
export const isOver = ({ ttlMs }: StreamConfig, created: number, now: number): boolean =>
  ttlMs !== null && created + ttlMs <= now;

function dueOf({ ttlMs, deleteOnEmptyMs }: StreamConfig, created: number, now: number): number | undefined {
  const times: number[] = [];
  if (ttlMs !== null) times.push(created + ttlMs);
  if (deleteOnEmptyMs !== null) {
    times.push(now + Math.min(lookMsMax, Math.max(lookMsMin, Math.ceil(deleteOnEmptyMs / looks))));
  }
  return times.length === 0 ? undefined : Math.min(...times);
}
