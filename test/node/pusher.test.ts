/** What a push does that a real receiver cannot be made to show, or not soon. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { z } from "zod";
import { type GroupConfig, pushTarget } from "../../schemas/group.ts";
import { concat } from "../../src/lib/bytes.ts";
import { flags } from "../../src/log/frame.ts";
import { FrameWriter } from "../../src/log/record.ts";
import { Attempts } from "../../src/objects/attempts.ts";
import { Pusher } from "../../src/objects/pusher.ts";
import { Rig, value } from "../cases/delivery.ts";
import { nodeSql } from "./sqlite.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A group of one partition that pushes, and what it holds. */
function pushing(config: Partial<GroupConfig>, target: z.input<typeof pushTarget>) {
  const push = pushTarget.parse(target);
  const rig = new Rig(nodeSql(), nodeSql(), { ...config, push });
  rig.now = Date.now();
  rig.delivery.state.configure({ ...rig.delivery.state.spec, privateTargets: true, version: 2 });
  const attempts = new Attempts(rig.delivery.state);
  const pause = vi.fn();
  const settled = () => {
    rig.delivery.expire(Date.now(), () => 0);
    rig.fill();
    pusher.run();
  };
  const pusher = new Pusher({ core: rig.delivery, attempts, stopped: false, settled, pause });
  return { rig, attempts, pause, pusher, settled };
}

test("a record that no request can be made of, stored before content types were checked, fails alone, as an attempt without an answer, and the others, and the receiver, are as they were", async () => {
  const sent: string[] = [];
  vi.stubGlobal("fetch", async (_url: string, init: RequestInit) => {
    sent.push(new TextDecoder().decode(init.body as Uint8Array));
    return new Response(null, { status: 204 });
  });
  const { rig, attempts, pause, settled } = pushing(
    { maxDeliveries: 2, onFailure: "park", backoff: [0] },
    { url: "http://127.0.0.1:9/", concurrency: 1 },
  );
  const record = (key: string, type?: string) => ({
    key,
    kind: 2 as const,
    data: new TextEncoder().encode(key),
    ...(type === undefined ? {} : { datacontenttype: type }),
  });
  // What is refused today was taken once: a batch that nobody looked at.
  const writer = new FrameWriter();
  for (const one of [record("a"), record("bad", "no\nmedia type"), record("c"), record("d")]) writer.add(one);
  const stored = { bytes: concat(writer.finish(flags.checked)), hashes: Uint32Array.of(0), terms: {} };
  value(rig.log.append([stored], rig.now)[0]);
  rig.delivery.state.known = rig.log.span.tail;
  settled();
  await expect.poll(() => sent.length + rig.letters().length).toBe(4);
  expect(sent.toSorted()).toEqual(["a", "c", "d"]);
  expect(rig.letters()).toMatchObject([
    { offset: 1, tries: [{ reason: expect.stringContaining("datacontenttype") }, { attempt: 2 }] },
  ]);
  expect(attempts.list.filter(({ error }) => error !== undefined)).toMatchObject([
    { records: 1, attempt: 1, error: expect.stringContaining("cannot be made into a request") },
    { records: 1, attempt: 2 },
  ]);
  expect(pause).not.toHaveBeenCalled();
  attempts.stop();
});

test("a lease outlives an answer that comes at the end of its time, after a handshake that did", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const timeoutMs = 10_000;
  const left: number[] = [];
  const { rig, attempts, settled } = pushing(
    { ackTimeoutMs: 1_000 },
    { url: "http://127.0.0.1:9/", validate: true, timeoutMs },
  );
  vi.stubGlobal("fetch", async (_url: string, { method }: RequestInit) => {
    const lease = [...rig.delivery.state.leases.all()][0];
    if (method === "POST") left.push(lease.expires - Date.now());
    vi.setSystemTime(Date.now() + timeoutMs - 1);
    return new Response(null, { status: 200, headers: { "webhook-allowed-origin": "*" } });
  });
  rig.append(["a"]);
  settled();
  await expect.poll(() => rig.status().lag).toBe(0);
  expect(left[0]).toBeGreaterThan(timeoutMs);
  attempts.stop();
});

test("all tries of a request have its time together", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.stubGlobal("scheduler", { wait: async (ms: number) => void vi.setSystemTime(Date.now() + ms) });
  const timeoutMs = 10_000;
  const began = Date.now();
  const asked: number[] = [];
  vi.stubGlobal("fetch", async () => {
    asked.push(Date.now() - began);
    vi.setSystemTime(Date.now() + 0.6 * timeoutMs);
    throw new Error("Network connection lost.");
  });
  const { rig, attempts, settled } = pushing({ backoff: [60_000] }, { url: "http://127.0.0.1:9/", timeoutMs });
  rig.append(["a"]);
  settled();
  await expect.poll(() => attempts.list).toMatchObject([{ attempt: 1, error: "Network connection lost." }]);
  expect(asked).toEqual([0, 6_005]);
  attempts.stop();
});

/** Offsets of a batch's events. */
test("of what a receiver says instead of that it agrees, as much is told as of an answer", async () => {
  const word = "n".repeat(60_000);
  const refuses = async () => new Response(null, { headers: { "webhook-allowed-origin": word } });
  vi.stubGlobal("fetch", refuses);
  const { rig, attempts, settled } = pushing({}, { url: "http://127.0.0.1:9/", validate: true });
  rig.append(["a"]);
  settled();
  await expect.poll(() => attempts.list.length).toBe(1);
  expect(attempts.list[0].error).toContain("did not agree to be pushed to (OPTIONS: 200, WebHook-Allowed-Origin: nnn");
  expect(JSON.stringify(attempts.list).length).toBeLessThan(1_000);
  attempts.stop();
});

const offsetsIn = ({ body }: RequestInit): number[] =>
  JSON.parse(new TextDecoder().decode(body as Uint8Array)).map((event: { millraceoffset: string }) =>
    Number(event.millraceoffset),
  );

describe("of a batch that gets no answer", () => {
  const timeoutMs = 10_000;
  const count = 100;
  const config = {
    ackTimeoutMs: 100,
    batch: { records: count, waitMs: 0, bytes: 1_000_000 },
    onFailure: "skip",
    maxDeliveries: 1,
  } as const;
  const target = { url: "http://127.0.0.1:9/", format: "batch", timeoutMs, concurrency: 1 } as const;
  const answer = () => new Response(null, { status: 200, headers: { "webhook-allowed-origin": "*" } });

  test.each([
    ["the first", [0], false],
    ["the last", [99], false],
    ["some", [0, 1, 50, 51, 98], false],
    ["the first, of a receiver that is asked whether it agrees, before each", [0], true],
  ])("only what is to blame is charged, however long its halves take: %s", async (_, bad, validate) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { rig, attempts, pusher, settled } = pushing(config, { ...target, validate });
    const done: number[] = [];
    vi.stubGlobal("fetch", async (_url: string, init: RequestInit) => {
      // The group is written again, as it was, by somebody who does that now and then.
      if (validate) pusher.reset();
      const offsets = init.method === "POST" ? offsetsIn(init) : [];
      const hangs = init.method === "OPTIONS" || bad.some((offset) => offsets.includes(offset));
      if (hangs) vi.setSystemTime(Date.now() + timeoutMs);
      // The alarm comes while it hangs.
      rig.delivery.expire(Date.now(), () => 0);
      if (hangs && init.method === "POST") throw new Error("no answer in time");
      done.push(...offsets);
      return answer();
    });
    rig.append(Array.from({ length: count }, (_, n) => `key-${n}`));
    settled();
    await expect.poll(() => rig.status().lag).toBe(0);
    expect(rig.letters().map(({ offset, tries }) => [offset, tries.length])).toEqual(bad.map((offset) => [offset, 1]));
    expect(rig.letters()[0].reason).toBe("no answer in time");
    expect(done.toSorted((a, b) => a - b)).toEqual([...Array(count).keys()].filter((n) => !bad.includes(n)));
    attempts.stop();
  });

  test("its parts are given back where the group takes no batches any more, and no record goes unsent", async () => {
    const { rig, attempts, settled } = pushing(config, target);
    const sent: string[] = [];
    vi.stubGlobal("fetch", async (_url: string, init: RequestInit) => {
      if (init.headers !== undefined && "ce-id" in init.headers) {
        sent.push(new TextDecoder().decode(init.body as Uint8Array));
        return answer();
      }
      const { spec } = rig.delivery.state;
      const push = { ...spec.config.push!, format: "binary" as const };
      rig.delivery.configure({ ...spec, config: { ...spec.config, push }, version: spec.version + 1 }, Date.now());
      throw new Error("no answer in time");
    });
    rig.append(Array.from({ length: 10 }, (_, n) => `key-${n}`));
    settled();
    await expect.poll(() => rig.status().lag).toBe(0);
    expect(sent.toSorted()).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
    expect(rig.letters()).toEqual([]);
    attempts.stop();
  });
});

describe("a receiver that was replaced while it had a request", () => {
  const url = { old: "http://127.0.0.1:9/old", new: "http://127.0.0.1:9/new" };
  /** The group is changed, as an operator does it, when the old receiver has its first request. */
  function replacing(target: object, change: object, answer: (asked: string) => Response) {
    const { rig, attempts, pause, pusher, settled } = pushing(
      { backoff: [0], onFailure: "skip", maxDeliveries: 3 },
      { url: url.old, ...target },
    );
    pause.mockImplementation((reason) => rig.delivery.state.pause({ reason, at: 1 }));
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (to: string, { method = "" }: RequestInit) => {
      asked.push(`${method} ${to}`);
      if (asked.length === 1) {
        const { spec } = rig.delivery.state;
        const push = { ...spec.config.push!, ...change };
        rig.delivery.configure({ ...spec, config: { ...spec.config, push }, version: spec.version + 1 }, Date.now());
        pusher.reset();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return answer(to);
    });
    rig.append(Array.from({ length: 3 }, (_, n) => `key-${n}`));
    settled();
    return { rig, attempts, pause, asked };
  }
  const agreed = { status: 200, headers: { "webhook-allowed-origin": "*" } };

  test.each([
    ["410", 410, {}, {}],
    ["429 for an hour", 429, { "retry-after": "3600" }, {}],
    ["503 for an hour", 503, { "retry-after": "3600" }, {}],
    ["500", 500, {}, {}],
    ["no to the handshake", 403, {}, { validate: true }],
  ])("answers %s, which is not held against the new one", async (_what, status, headers, target) => {
    const of = (to: string) => new Response(null, to === url.old ? { status, headers } : agreed);
    const { rig, attempts, pause, asked } = replacing({ concurrency: 1, ...target }, { url: url.new }, of);
    await expect.poll(() => rig.status().lag).toBe(0);
    expect(asked.filter((one) => one.endsWith(url.old))).toHaveLength(1);
    expect(rig.letters()).toEqual([]);
    expect(pause).not.toHaveBeenCalled();
    attempts.stop();
  });

  test.each([{ timeoutMs: 7_000 }, { concurrency: 2 }])("is the same where %j is changed", async (change) => {
    const { attempts, pause } = replacing({}, change, () => new Response(null, { status: 410 }));
    await expect.poll(() => pause.mock.calls.length).toBeGreaterThan(0);
    attempts.stop();
  });

  test.each([
    [{ url: url.new }, undefined],
    [{ timeoutMs: 7_000 }, "gone"],
  ])("of a pause that nobody has heard of yet, %j leaves %s", (change, reason) => {
    const { rig, attempts } = pushing({}, { url: url.old });
    const { state } = rig.delivery;
    state.pause({ reason: "gone", at: 1, untold: true });
    const push = { ...state.spec.config.push!, ...change };
    const config = { ...state.spec.config, push };
    rig.delivery.configure({ ...state.spec, config, version: state.spec.version + 1 }, Date.now());
    expect(state.paused?.reason).toBe(reason);
    attempts.stop();
  });
});
