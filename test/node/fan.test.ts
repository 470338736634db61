/** Subscriptions over several partitions: where they begin, and sockets that break or are not wanted any more meanwhile. */
import { describe, expect, test } from "vitest";
import { ok, refuse } from "../../schemas/errors.ts";
import { writeCursor } from "../../src/log/cursor.ts";
import { type Inner, Upstreamed } from "./upstreams.ts";

const subscribe = (id: number) => ({ type: "subscribe" as const, id, from: "earliest", credits: 100 });
const eventually = { timeout: 10_000, interval: 5 };

function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

/** Partition 1 is slow to open; what happens until it does? */
async function whileOneIsSlow(happens: (world: Upstreamed, first: Inner) => void): Promise<Upstreamed> {
  const world = new Upstreamed(2);
  const { open, opened } = gate();
  world.slow.set(1, opened);
  const begun = world.fan.subscribe(subscribe(1));
  await expect.poll(() => world.open(0).length, eventually).toBe(1);
  happens(world, world.open(0)[0]);
  open();
  await begun;
  return world;
}

test.each(["close", "error"] as const)(
  "a socket that breaks (%s) before anybody follows on it is opened anew",
  async (how) => {
    const world = await whileOneIsSlow((_, first) => first.break(how));
    for (const partition of [0, 1]) {
      const [socket, ...others] = world.open(partition);
      expect(others).toEqual([]);
      expect(socket.of("subscribe")).toMatchObject([{ from: 0 }]);
      socket.record(socket.of("subscribe")[0].id, 1);
    }
    expect(world.parts).toHaveLength(2);
    expect(world.refusals).toEqual([]);
  },
);

test("a subscription that ends while it begins leaves no socket behind, and none in the way of the next", async () => {
  const world = await whileOneIsSlow(({ fan }) => fan.unsubscribe(1));
  await expect.poll(() => world.open(0).length + world.open(1).length, eventually).toBe(0);
  await world.fan.subscribe(subscribe(2));
  for (const partition of [0, 1]) {
    const [socket] = world.open(partition);
    socket.record(socket.of("subscribe")[0].id, 1);
  }
  expect(world.parts).toHaveLength(2);
});

test("one that ends while another follows leaves that one its sockets", async () => {
  const world = new Upstreamed(2);
  await world.fan.subscribe(subscribe(1));
  const { open, opened } = gate();
  const order = world.order;
  world.order = async (...all) => {
    await opened;
    return order(...all);
  };
  const second = world.fan.subscribe(subscribe(2));
  open();
  await second;
  world.fan.unsubscribe(2);
  await expect.poll(() => world.open(0)[0].of("unsubscribe").length, eventually).toBe(1);
  expect(world.sockets).toHaveLength(2);
  expect(world.open(0)).toHaveLength(1);
});

test("a subscription that ends while its socket is lost takes nothing from another's", async () => {
  const world = new Upstreamed(2);
  await world.fan.subscribe(subscribe(1));
  world.open(0)[0].break();
  // The number that the first one had on the lost socket is the second's on the next.
  await world.fan.subscribe(subscribe(2));
  world.fan.unsubscribe(1);
  await expect.poll(() => world.open(1)[0].of("unsubscribe").length, eventually).toBe(1);
  const [socket, ...others] = world.open(0);
  expect(others).toEqual([]);
  expect(socket.of("unsubscribe")).toEqual([]);
  socket.record(socket.of("subscribe")[0].id, 1);
  expect(world.parts).toHaveLength(1);
});

describe("from a snapshot", () => {
  const begin = async (snapshots: (partition: number) => unknown) => {
    const world = new Upstreamed(2);
    let done = 0;
    world.order = (partition, name, position) => {
      if (name === "snapshotBefore") return snapshots(partition);
      // A newer one is complete between any two questions.
      return ok((position as { at: string }).at === "earliest" ? 3 : 10 + done++);
    };
    await world.fan.subscribe({ ...subscribe(1), from: "snapshot" });
    const froms = [0, 1].map((partition) => world.open(partition)[0]?.of("subscribe")[0]?.from);
    return { ...world, froms };
  };
  const none = refuse("snapshot-not-found", "there is none");

  test("reading begins where the one ends that is told, and else at the earliest record", async () => {
    let offset = 20;
    const { froms, snapshots } = await begin((partition) =>
      partition === 0 ? ok({ offset: offset++, bytes: 9 }) : none,
    );
    expect(snapshots).toEqual([{ type: "snapshot", partition: 0, offset: 20, bytes: 9 }]);
    expect(froms).toEqual([20, 3]);
  });

  test("a partition that does not answer is not one without a snapshot", async () => {
    const { refusals, snapshots, froms } = await begin((partition) =>
      partition === 0 ? refuse("overloaded", "not now") : none,
    );
    expect(refusals).toMatchObject([{ code: "overloaded" }]);
    expect([...snapshots, ...froms]).toEqual([undefined, undefined]);
  });
});

test("while the catalog is away whoever has a cursor goes on from it, and whoever wants what is newest is told", async () => {
  const world = new Upstreamed(2);
  await world.fan.subscribe(subscribe(1));
  world.away = true;
  const offsets = new Map([
    [0, 3],
    [1, 4],
  ]);
  await world.fan.subscribe({ ...subscribe(2), from: writeCursor({ logId: world.logId, offsets }) });
  expect(world.refusals).toEqual([]);
  for (const [partition, offset] of offsets) {
    const [socket] = world.open(partition);
    expect(socket.of("subscribe").at(-1)).toMatchObject({ from: offset });
  }
  await world.fan.subscribe({ ...subscribe(3), from: "latest" });
  expect(world.refusals).toMatchObject([{ code: expect.stringMatching(/unavailable|internal/) }]);
});
