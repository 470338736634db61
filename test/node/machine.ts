/** A log with a past over a database and a bucket in memory, and the alarms of an object that is none. */
import { scheduler } from "node:timers/promises";
import { kinds, type Rec } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import type { Retention, Spec } from "../../src/log/spec.ts";
import { Alarms } from "../../src/objects/alarms.ts";
import { Machine } from "../cases/archive.ts";
import { spec } from "../cases/log.ts";
import { memoryBlobs } from "./bucket.ts";
import { nodeSql } from "./sqlite.ts";

// As workerd has it.
Object.assign(globalThis, { scheduler });

export const ofKey = (key: string, bytes = 0): Rec => ({ key, kind: kinds.binary, data: new Uint8Array(bytes) });

export function machine(retention: Partial<Retention>, more: Partial<Spec> = {}, blobs = memoryBlobs()): Machine {
  const kept = { ...keepAll, ...retention };
  const one = new Machine(nodeSql(), blobs, { ...spec, deduplicationWindowMs: 0, ...more, retention: kept });
  one.now = 1_000;
  return one;
}

/** Alarms that go to `set`. */
export const alarmsTo = (set: (at: number) => void): Alarms =>
  new Alarms({ setAlarm: set, getAlarm: async () => null } as unknown as DurableObjectStorage);
