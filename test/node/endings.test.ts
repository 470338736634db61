/** Streams that end by themselves, while others are at them. */
import { expect, test } from "vitest";
import { Catalog } from "../../src/catalog/catalog.ts";
import { closedMs } from "../../src/log/facts.ts";
import { Log } from "../../src/log/log.ts";
import { kinds } from "../../src/log/record.ts";
import { keepAll } from "../../src/log/retention.ts";
import { lookAfter } from "../../src/objects/endings.ts";
import type { Telling } from "../../src/objects/telling.ts";
import { batch, spec } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const old = "a".repeat(20);

/** A catalog with a stream that has been empty for long enough. */
function catalog(): Catalog {
  const core = new Catalog(nodeSql(), "default");
  const longAgo = Date.now() - 100_000;
  core.put("s", { deleteOnEmptyMs: 1_000 }, old, longAgo);
  core.open("s", 0, longAgo);
  return core;
}

/** A partition that says yes to whatever it is told, after something has happened. */
const told = (happens: (order: string) => void) =>
  ({
    stub: () => ({
      async order(name: string) {
        happens(name);
        return { ok: true, value: true };
      },
    }),
  }) as unknown as Telling;

test("one that is made anew while the old one is looked at stays", async () => {
  const core = catalog();
  const made = told(() => {
    core.drop("s", Date.now());
    core.put("s", {}, "b".repeat(20), Date.now());
  });
  await lookAfter(core, made, { log: old, name: "s", due: 0 });
  expect(core.stream("s")).toMatchObject({ ok: true, value: { logId: "b".repeat(20) } });
});

test("one that is to stay after all, while its partitions are being closed, stays, and they are opened again", async () => {
  const core = catalog();
  const orders: string[] = [];
  const changed = told((order) => {
    orders.push(order);
    if (order === "close") core.put("s", { deleteOnEmptyMs: null }, "unused", Date.now());
  });
  await lookAfter(core, changed, { log: old, name: "s", due: 0 });
  expect([core.stream("s").ok, orders]).toEqual([true, ["close", "reopen"]]);
});

test("a partition that was closed by somebody who died is open again after a while", () => {
  const log = Log.create(nodeSql(), { ...spec, deduplicationWindowMs: 0, retention: keepAll }, 0);
  const record = { key: "a", kind: kinds.none, data: new Uint8Array(0) };
  const append = (now: number) => log.append([batch([record])], now)[0];
  expect(log.close(1_000, 500)).toBe(false);
  expect(log.close(1_000, 5_000)).toBe(true);
  expect(append(5_000 + closedMs - 1)).toMatchObject({ refusal: { code: "unavailable" } });
  expect(append(5_000 + closedMs)).toMatchObject({ ok: true });
  expect(log.close(1_000, 5_000 + closedMs)).toBe(false);
});

test("one whose time was over before it is restored is not, but under a new id, whose time begins then", () => {
  const source = new Catalog(nodeSql(), "default");
  const stream = source.put("s", { ttlMs: 10_000 }, old, 1_000);
  const dump = stream.ok ? source.restores.dump(stream.value.stream) : undefined;
  if (dump === undefined) throw new Error("there is no dump");
  const target = new Catalog(nodeSql(), "default");
  const begin = (id: string | undefined, now: number) => target.restores.begin("s", "file", dump.stream, id, now);
  expect(begin(undefined, 11_000)).toMatchObject({ refusal: { code: "conflict" } });
  expect(begin("b".repeat(20), 11_000)).toMatchObject({ value: { stream: { created: 11_000 } } });
  target.drop("s", 12_000);
  expect(begin(undefined, 10_999)).toMatchObject({ value: { stream: { created: 1_000 } } });
});
