/** Letters on their way to a dead-letter stream, of which each is to arrive, once, whatever comes between. */
import { expect, test, vi } from "vitest";
import { firstMap, routeHash } from "../../src/catalog/map.ts";
import { murmur3 } from "../../src/lib/hash.ts";
import { Log } from "../../src/log/log.ts";
import type { Rec } from "../../src/log/record.ts";
import type { Terms } from "../../src/log/sequence.ts";
import { Forwarder } from "../../src/objects/forwarder.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { Rig, value } from "../cases/delivery.ts";
import { batch, spec as logSpec, readAll } from "../cases/log.ts";
import { nodeSql } from "./sqlite.ts";

const config = { deadLetterStream: "dead", onFailure: "skip", maxDeliveries: 1 } as const;

/** A stream of dead letters. `after`: what happens between an append and its answer. */
function deadLetters(deduplicationWindowMs = 60_000, partitions = 1) {
  const logs = firstMap(partitions).map(({ partition }) =>
    Log.create(nodeSql(), { ...logSpec, partition, deduplicationWindowMs }, Date.now()),
  );
  const after = vi.fn(async () => {});
  const partition = (log: Log) => ({
    append: async (_version: number, bytes: Uint8Array, hashes: Uint32Array, terms: Terms) => {
      const said = log.append([{ bytes, hashes, terms }], Date.now())[0];
      await after();
      return said;
    },
  });
  const stream = { logId: logSpec.logId, version: 1, map: firstMap(partitions), config: {} };
  const env = {
    CATALOG: { getByName: () => ({ stream: async () => ({ ok: true, value: stream }) }) },
    PARTITION: { getByName: (name: string) => partition(logs[Number(name.split("/")[1])]) },
  } as unknown as Env;
  const letters = () =>
    logs.flatMap((log, partition) =>
      readAll(log).map(({ record }) => ({ ...record.extensions, key: record.key, partition })),
    );
  return { env, logs, after, letters };
}

/** A group whose records all have one id, each under a key of its own. */
function group(groupId: string, keys: readonly string[], more: object = {}): Rig {
  const rig = new Rig(nodeSql(), nodeSql(), { ...config, ...more }, 0, undefined, { groupId });
  rig.now = Date.now();
  value(rig.log.append([batch(keys.map(recordOf))], rig.now)[0]);
  rig.delivery.state.known = rig.log.span.tail;
  return rig;
}

const recordOf = (key: string): Rec => ({
  key,
  id: "1",
  source: "/orders",
  kind: 1,
  data: new TextEncoder().encode("1"),
});

const forward = (rig: Rig, env: Env) => new Forwarder(env, rig.delivery, () => false).run();

test.each([
  ["that looks for ids", 60_000],
  ["that does not", 0],
])("of two groups of a stream each letter comes, into a stream %s", async (_, window) => {
  const { env, letters } = deadLetters(window);
  const rigs = ["g1", "g2"].map((id) => group(id, ["a", "b"]));
  for (const rig of rigs) {
    rig.nack(rig.receive());
    await forward(rig, env);
  }
  const all = [0, 1].flatMap(() => [{ deadletteroffset: "0" }, { deadletteroffset: "1" }]);
  expect(letters()).toMatchObject(all);
});

test("a letter comes though its record is in the stream, and the next record of its id does not", async () => {
  const { env, logs, letters } = deadLetters();
  const log = logs[0];
  value(log.append([batch([recordOf("a")])], Date.now())[0]);
  const rig = group("g1", ["a"]);
  rig.nack(rig.receive());
  await forward(rig, env);
  expect(letters()).toMatchObject([{ key: "a" }, { deadletteroffset: "0" }]);
  expect(value(log.append([batch([recordOf("a")])], Date.now())[0])).toMatchObject([{ verdict: "duplicate" }]);
});

test.each(["the answer is lost", "it crashes before the answer"])("each comes once where %s", async (how) => {
  const { env, after, letters } = deadLetters();
  const rig = group("g1", ["a", "b", "c"]);
  rig.nack(rig.receive());
  vi.spyOn(console, "error").mockReturnValue();
  const lost = async () => {
    throw new Error("connection lost");
  };
  after.mockImplementationOnce(how === "the answer is lost" ? lost : () => new Promise(() => {}));
  void forward(rig, env);
  await expect.poll(() => after.mock.calls.length).toBe(1);
  rig.crash();
  await forward(rig, env);
  expect(letters()).toMatchObject(["0", "1", "2"].map((deadletteroffset) => ({ deadletteroffset })));
});

test("one that was sent before its end was written down is no other's repeat after a crash", async () => {
  const { env, after, letters } = deadLetters();
  const rig = group("g1", ["a", "b"]);
  const [first, second] = rig.receive();
  rig.delivery.nack([first.receipt], { reason: "failed" }, rig.now, () => 0);
  after.mockImplementationOnce(() => new Promise(() => {}));
  void forward(rig, env);
  await expect.poll(() => after.mock.calls.length).toBe(1);
  rig.crash();
  // The other one dies first this time.
  const again = rig.receive().toSorted((a, b) => b.offset - a.offset);
  expect(again[0].offset).toBe(second.offset);
  rig.nack(again);
  await forward(rig, env);
  expect(letters()).toMatchObject([{ deadletteroffset: "0" }, { deadletteroffset: "1" }]);
});

test.each([false, true])(
  "what died before there was such a stream comes when it dies again, once (crashes: %s)",
  async (crashes) => {
    const { env, letters } = deadLetters();
    const rig = group("g1", ["a", "b"], { deadLetterStream: null });
    const dies = async () => {
      rig.nack(rig.receive());
      if (crashes) rig.crash();
      await forward(rig, env);
      if (crashes) rig.crash();
      return letters().map(({ key }) => key);
    };
    expect(await dies()).toEqual([]);
    rig.configure({ deadLetterStream: "dead" });
    await forward(rig, env);
    expect(letters()).toEqual([]);
    for (let again = 0; again < 3; again++) {
      value(rig.admin.redrive("all", undefined, rig.now));
      expect(await dies()).toEqual(["a", "b"]);
    }
  },
);

test("what dies after a group came back from a dump, under its own id, is no repeat of what died after the dump", async () => {
  const { env, letters } = deadLetters();
  for (const keys of [
    ["a", "b", "c"],
    ["d", "e"],
  ]) {
    vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ["Date"] });
    const rig = group("g1", keys);
    rig.nack(rig.receive());
    await forward(rig, env);
  }
  vi.useRealTimers();
  expect(letters().map(({ key }) => key)).toEqual(["a", "b", "c", "d", "e"]);
});

test.each(["key", "partition", "none"] as const)(
  "a letter of a group in order by %s is where its key belongs",
  async (order) => {
    const { env, letters } = deadLetters(60_000, 4);
    const keys = Array.from({ length: 20 }, (_, n) => `key-${n}`);
    const rig = group("g1", keys, { order });
    for (let got = rig.receive(1); got.length > 0; got = rig.receive(1)) rig.nack(got);
    await forward(rig, env);
    const home = (key: string) => routeHash(firstMap(4), murmur3(new TextEncoder().encode(key))).partition;
    const found = letters().map(({ key = "", partition }) => [key, partition]);
    expect(found.toSorted()).toEqual(keys.map((key) => [key, home(key)]).toSorted());
  },
);
