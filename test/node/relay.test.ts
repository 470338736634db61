/** A member's socket on several partitions, held by the Worker: as if it were on one, whatever becomes of those behind it. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type GroupConfig, groupDefaults } from "../../schemas/group.ts";
import type { Stream } from "../../src/catalog/stream.ts";
import { writeReceipt } from "../../src/delivery/receipt.ts";
import { Relay } from "../../src/http/groups/relay.ts";
import type { GroupRoute } from "../../src/http/groups/route.ts";
import type { Env } from "../../src/objects/stubs.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** An end of a socket as the Worker has it. */
class Socket {
  // biome-ignore lint/suspicious/noExplicitAny: whatever was sent.
  readonly sent: any[] = [];
  closed: { readonly code: number; readonly reason: string } | undefined;
  readonly #listeners: { readonly type: string; readonly heard: (event: object) => void }[] = [];

  accept(): void {}

  addEventListener(type: string, heard: (event: object) => void): void {
    this.#listeners.push({ type, heard });
  }

  emit(type: string, event: object): void {
    for (const one of this.#listeners) if (one.type === type) one.heard(event);
  }

  /** The other side says something. */
  says(message: object | "ping"): void {
    this.emit("message", { data: message === "ping" ? message : JSON.stringify(message) });
  }

  send(text: string): void {
    if (this.closed !== undefined) throw new TypeError("Can't call WebSocket send() after close().");
    this.sent.push(text.startsWith("{") ? JSON.parse(text) : text);
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  /** Ended by the other side. */
  end(code: number, reason = ""): void {
    this.closed = { code, reason };
    this.emit("close", { code, reason });
  }

  of(type: string) {
    return this.sent.filter((one) => one.type === type);
  }
}

const answerOf = (value: unknown) => ({ ok: true, value });
let count = 0;

/** A group on so many partitions, and a relay to them. What is of the catalog, or of a delivery, can be replaced. */
async function relayed({
  partitions = 2,
  config = {} as Partial<GroupConfig>,
  only = undefined as number | undefined,
}) {
  const map = Array.from({ length: partitions }, (_, partition) => ({ partition, from: 0, to: 1, sealed: false }));
  const stream = { name: `relayed-${count++}`, logId: "log", version: 1, map } as unknown as Stream;
  const group = { name: "g", id: "g1", config: { ...groupDefaults, ...config } };
  const catalog = {
    stream: vi.fn(async (): Promise<unknown> => answerOf(structuredClone(stream))),
    group: vi.fn(async (): Promise<unknown> => answerOf(group)),
    open: vi.fn(async () => answerOf(stream)),
  };
  const settles = vi.fn(async (_call: string, _receipts: readonly string[]): Promise<unknown> => answerOf([]));
  const upstreams: Socket[][] = [];
  const urls: string[] = [];
  const connect = vi.fn(async (partition: number) => {
    const socket = new Socket();
    upstreams[partition] = [...(upstreams[partition] ?? []), socket];
    return { status: 101, webSocket: socket };
  });
  const delivery = (name: string) => ({
    fetch: (url: string) => {
      urls.push(url);
      return connect(Number(name.split("/").pop()));
    },
    ack: (receipts: string[]) => settles("ack", receipts),
    nack: (receipts: string[]) => settles("nack", receipts),
    extend: (receipts: string[]) => settles("extend", receipts),
  });
  const env = { CATALOG: { getByName: () => catalog }, DELIVERY: { getByName: delivery } } as unknown as Env;
  const client = new Socket();
  const target = { route: { namespace: "n", stream, ranges: [] }, group, partitions: map.map((one) => one.partition) };
  const names = { namespace: "n", stream: stream.name, group: "g" };
  const caller = { member: "m", until: undefined, named: only !== undefined };
  const socket = client as unknown as WebSocket;
  new Relay(env, names, socket, caller, only, structuredClone(target) as unknown as GroupRoute).start();
  await vi.advanceTimersByTimeAsync(1);
  const upstream = (partition: number) => upstreams[partition].at(-1) as Socket;
  return { client, catalog, connect, map, settles, upstream, upstreams, urls };
}

const receipt = (partition: number, offset = 0) => writeReceipt({ partition, offset, era: 0, generation: 1, tag: 1 });

describe("a member that falls silent", () => {
  const heartbeatMs = 30_000;

  test("is closed, and with it what it has on each partition", async () => {
    const { client, upstream } = await relayed({ config: { heartbeatMs } });
    await vi.advanceTimersByTimeAsync(heartbeatMs - 2_000);
    expect(client.closed).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(client.closed?.code).toBe(4000);
    expect([upstream(0).closed?.code, upstream(1).closed?.code]).toEqual([1000, 1000]);
  });

  test("is not lent to again when the partitions have given it up", async () => {
    const { client, connect, upstream } = await relayed({ config: { heartbeatMs } });
    client.says({ type: "credit", credits: 10 });
    await vi.advanceTimersByTimeAsync(heartbeatMs - 6_000);
    for (const one of [0, 1]) upstream(one).end(4000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(client.closed?.code).toBe(4000);
    expect(connect).toHaveBeenCalledTimes(4);
  });

  test.each<[string, object | "ping"]>([
    ["ping", "ping"],
    ["an ack", { type: "ack", receipts: [receipt(0)] }],
    ["an ack of no receipt", { type: "ack", receipts: ["?"] }],
    ["a confirm of what nobody asked", { type: "confirm", nonce: "?" }],
  ])("has not, as long as it says %s", async (_what, message) => {
    const { client } = await relayed({ config: { heartbeatMs } });
    for (let said = 0; said < 5; said++) {
      await vi.advanceTimersByTimeAsync(heartbeatMs - 2_000);
      client.says(message);
    }
    expect(client.closed).toBeUndefined();
    await vi.advanceTimersByTimeAsync(heartbeatMs + 1);
    expect(client.closed?.code).toBe(4000);
  });

  test("is held to a heartbeat that was made shorter meanwhile", async () => {
    const config: Partial<GroupConfig> = { heartbeatMs: 300_000 };
    const { client, catalog } = await relayed({ config });
    catalog.group.mockImplementation(async () =>
      answerOf({ name: "g", id: "g1", config: { ...groupDefaults, heartbeatMs } }),
    );
    await vi.advanceTimersByTimeAsync(100_000);
    expect(client.closed?.code).toBe(4000);
  });
});

describe("a group that is gone", () => {
  test("closes the socket as a partition's own would be", async () => {
    const { client, upstream } = await relayed({});
    upstream(1).end(4001, "the group was deleted");
    expect(client.closed).toEqual({ code: 4001, reason: "the group was deleted" });
    expect(client.of("error")).toEqual([]);
  });

  test.each(["group-not-found", "stream-not-found", "namespace-not-found"])(
    "is told of by the catalog too: %s",
    async (code) => {
      const { client, catalog } = await relayed({});
      const refused = async () => ({ ok: false, refusal: { code, detail: "it is not there" } });
      catalog.group.mockImplementation(refused);
      if (code !== "group-not-found") catalog.stream.mockImplementation(refused);
      for (let looks = 0; looks < 14; looks++) {
        client.says("ping");
        await vi.advanceTimersByTimeAsync(5_000);
      }
      expect(client.closed?.code).toBe(4001);
      expect(client.of("error")).toEqual([]);
    },
  );
});

describe("the catalog", () => {
  const looking = async (client: Socket, ms: number) => {
    for (let at = 0; at < ms; at += 5_000) {
      client.says("ping");
      await vi.advanceTimersByTimeAsync(5_000);
    }
  };

  test.each<[string, () => unknown]>([
    ["is overloaded", () => Promise.reject(Object.assign(new Error(), { overloaded: true }))],
    ["cannot be reached", () => Promise.reject(Object.assign(new Error(), { retryable: true }))],
    ["fails", () => Promise.reject(new Error("a fault"))],
    ["restores the stream", () => ({ ok: false, refusal: { code: "restoring", detail: "" } })],
  ])("that %s ends no socket, and the next look goes on", async (_what, answer) => {
    vi.spyOn(console, "error").mockReturnValue();
    const { client, catalog, connect, upstream } = await relayed({});
    const found = catalog.stream.getMockImplementation() as () => Promise<unknown>;
    catalog.stream.mockImplementation(async () => answer());
    upstream(0).says({ type: "split" });
    await looking(client, 60_000);
    expect(catalog.stream).toHaveBeenCalled();
    expect(client.closed).toBeUndefined();
    upstream(1).end(1006);
    catalog.stream.mockImplementation(found);
    await looking(client, 10_000);
    expect(connect).toHaveBeenCalledTimes(3);
    expect(client.closed).toBeUndefined();
  });

  test("is not asked by each look of each socket", async () => {
    const { client, catalog } = await relayed({});
    await looking(client, 300_000);
    expect(catalog.stream.mock.calls.length).toBeLessThan(15);
    expect(catalog.group.mock.calls.length).toBeLessThan(15);
    expect(client.closed).toBeUndefined();
  });

  test("is asked at once for what continues a partition that was split, until it tells", async () => {
    const { client, catalog, connect, map, upstream } = await relayed({});
    await looking(client, 10_000);
    upstream(0).says({ type: "split" });
    await vi.advanceTimersByTimeAsync(1);
    expect(connect).toHaveBeenCalledTimes(2);
    map[0].sealed = true;
    map.push({ partition: 2, from: 0, to: 1, sealed: false }, { partition: 3, from: 0, to: 1, sealed: false });
    await looking(client, 10_000);
    expect(connect.mock.calls.map(([partition]) => partition)).toEqual([0, 1, 2, 3]);
    const { length } = catalog.stream.mock.calls;
    await looking(client, 20_000);
    expect(catalog.stream.mock.calls).toHaveLength(length);
  });

  test("is not asked for what continues the one partition that the member wants, which is finished: it connects again", async () => {
    const { client, catalog, upstream, urls } = await relayed({ only: 0 });
    expect(urls).toEqual([expect.stringContaining("&named")]);
    upstream(0).says({ type: "split" });
    await vi.advanceTimersByTimeAsync(1);
    expect(catalog.stream).not.toHaveBeenCalled();
    expect(client.of("split")).toHaveLength(1);
    expect(client.closed?.code).toBe(4002);
  });

  test("that has another group of the name by now closes the socket", async () => {
    const { client, catalog } = await relayed({});
    catalog.group.mockImplementation(async () => answerOf({ name: "g", id: "g2", config: groupDefaults }));
    await looking(client, 60_000);
    expect(client.closed?.code).toBe(4001);
  });

  test("and a partition that cannot be reached are asked again", async () => {
    const { client, connect, upstream } = await relayed({});
    const found = connect.getMockImplementation()!;
    connect.mockImplementation(async () => Promise.reject(new Error("overloaded")));
    upstream(0).end(1006);
    await looking(client, 20_000);
    connect.mockImplementation(found);
    const { length } = connect.mock.calls;
    await looking(client, 20_000);
    expect(connect).toHaveBeenCalledTimes(length + 1);
  });
});

describe("a receipt", () => {
  const nothing: string[][] = [];

  test("of a partition goes over its socket", async () => {
    const { client, settles, upstream } = await relayed({});
    const receipts = [receipt(1), receipt(0), receipt(1, 5)];
    client.says({ type: "nack", receipts, delayMs: 7 });
    expect(upstream(0).of("nack")).toEqual([{ type: "nack", receipts: [receipt(0)], delayMs: 7 }]);
    expect(upstream(1).of("nack")).toEqual([{ type: "nack", receipts: [receipt(1), receipt(1, 5)], delayMs: 7 }]);
    expect(settles.mock.calls).toEqual(nothing);
  });

  test.each(["ack", "nack", "extend"])(
    "of a partition whose socket is lost is taken by the partition all the same: %s",
    async (type) => {
      const { client, settles, upstream } = await relayed({});
      upstream(1).end(1006);
      const refusal = { code: "stale-lease", detail: "another has it" };
      settles.mockImplementation(async () => answerOf([{ place: 1, refusal }]));
      client.says({ type, receipts: [receipt(1), receipt(1, 5)] });
      await vi.advanceTimersByTimeAsync(1);
      expect(settles.mock.calls).toEqual([[type, [receipt(1), receipt(1, 5)]]]);
      expect(client.of("refused")).toEqual([{ type: "refused", refused: [{ receipt: receipt(1, 5), ...refusal }] }]);
    },
  );

  test("whose partition's socket is about to be lost goes the other way", async () => {
    const { client, settles, upstream } = await relayed({});
    upstream(1).close(1006, "");
    client.says({ type: "ack", receipts: [receipt(1)] });
    await vi.advanceTimersByTimeAsync(1);
    expect(settles.mock.calls).toEqual([["ack", [receipt(1)]]]);
  });

  test.each([
    ["a text that is none", "?", undefined],
    ["one of a partition that the stream has not", receipt(7), undefined],
    ["one of another partition than the socket's", receipt(1), 0],
  ])("is refused as invalid, and the others are taken: %s", async (_what, bad, only) => {
    const { client, settles, upstream } = await relayed({ only });
    client.says({ type: "ack", receipts: [bad, receipt(0)] });
    await vi.advanceTimersByTimeAsync(1);
    const [{ refused }] = client.of("refused");
    expect(refused).toMatchObject([{ receipt: bad, code: "invalid" }]);
    expect(refused[0].detail).toMatch(/^'/);
    expect(upstream(0).of("ack")).toEqual([{ type: "ack", receipts: [receipt(0)] }]);
    expect(settles.mock.calls).toEqual(nothing);
    expect(client.closed).toBeUndefined();
  });
});
