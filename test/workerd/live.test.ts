/** A partition's sockets inside workerd: sleep, reconnection and credits in any order, and how many there may be. */
import { abortAllDurableObjects, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import type { StreamMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { openFrames } from "../../src/log/frame.ts";
import { decodeFrame } from "../../src/log/record.ts";
import type { PartitionRpc } from "../../src/objects/rpc.ts";
import type { Env } from "../../src/objects/stubs.ts";
import { share } from "../cases/arbitrary.ts";
import { batch, spec } from "../cases/log.ts";
import { call } from "./call.ts";

const { PARTITION } = env as unknown as Env;
let count = 0;
const fresh = async () => {
  const stub = PARTITION.getByName(`live/${count++}`);
  const rpc = stub as unknown as PartitionRpc;
  await rpc.configure(spec);
  return { stub, rpc };
};
type Fresh = Awaited<ReturnType<typeof fresh>>;

async function append({ rpc }: Fresh, keys: readonly string[]): Promise<void> {
  const { bytes, hashes } = batch(keys.map((key) => ({ key, kind: 0 as const, data: new Uint8Array(0) })));
  const answer = await rpc.append(1, bytes, hashes);
  if (typeof answer !== "number") throw new Error(JSON.stringify(answer));
}

const hello = { rights: ["read", "append"], pinned: true, from: 0, to: 2 ** 32 };
const asking = (binary: boolean, more: object = {}) =>
  new Request(`http://partition/?hello=${encodeURIComponent(JSON.stringify({ ...hello, binary, ...more }))}`, {
    headers: { upgrade: "websocket" },
  });
const connect = ({ stub }: Fresh, binary: boolean, more: object = {}) => stub.fetch(asking(binary, more));

/** A reader as a client of the protocol: it gives back what records cost, and knows only what it was sent. */
class Follower {
  readonly offsets: number[] = [];
  next = 0;
  /** Its place is the tail, as far as it was told. */
  current = false;
  #socket: WebSocket | undefined;
  #id = 0;

  constructor(
    readonly target: Fresh,
    readonly binary: boolean,
    readonly key: string | undefined,
  ) {}

  /** Goes on from `next`, on a new socket or on the one that it has. */
  async subscribe(credits: number, anew: boolean): Promise<void> {
    if (anew || this.#socket === undefined) await this.#connect();
    else this.send({ type: "unsubscribe", id: this.#id });
    this.#id++;
    this.current = false;
    const filter = this.key === undefined ? {} : { filter: { key: this.key } };
    this.send({ type: "subscribe", id: this.#id, from: this.next, credits, ...filter });
  }

  async #connect(): Promise<void> {
    this.#socket?.close();
    const socket = (await connect(this.target, this.binary)).webSocket as WebSocket;
    this.#socket = socket;
    this.#id = 0;
    socket.addEventListener("message", ({ data }) => {
      if (socket === this.#socket) this.#take(data);
    });
    socket.binaryType = "arraybuffer";
    socket.accept();
  }

  send(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }

  credit(credits: number): void {
    this.send({ type: "credit", id: this.#id, credits });
  }

  #take(data: unknown): void {
    if (data instanceof ArrayBuffer) {
      const view = new DataView(data);
      if (view.getUint32(4, true) !== this.#id) return;
      const frames = openFrames(new Uint8Array(data, 24));
      if (!frames.ok) throw new Error(frames.refusal.detail);
      for (const frame of frames.value) decodeFrame(frame, (_, offset) => this.offsets.push(offset));
      this.next = view.getFloat64(16, true);
      this.current = (view.getUint8(1) & 1) === 1;
      return;
    }
    const message = JSON.parse(String(data)) as StreamMessage;
    if (message.type === "error") throw new Error(message.detail);
    if (!("id" in message) || message.id !== this.#id || !("cursor" in message)) return;
    if (message.type === "records") {
      this.offsets.push(...(message.records as { offset: number }[]).map(({ offset }) => offset));
    }
    this.next = Number.parseInt(message.cursor.split(".")[1], 36);
    this.current = "upToDate" in message && message.upToDate;
  }

  close(): void {
    this.#socket?.close();
  }
}

type Step =
  | { do: "append"; keys: string[] }
  | { do: "credit"; credits: number }
  | { do: "evict" }
  | { do: "reconnect"; credits: number }
  | { do: "again"; credits: number }
  | { do: "seek"; to: number; credits: number }
  | { do: "breathe" };

const credits = fc.integer({ min: 1, max: 12 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("append" as const),
    keys: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 15 }),
  }),
  fc.record({ do: fc.constant("credit" as const), credits }),
  fc.record({ do: fc.constant("evict" as const) }),
  fc.record({ do: fc.constant("reconnect" as const), credits }),
  fc.record({ do: fc.constant("again" as const), credits }),
  fc.record({ do: fc.constant("seek" as const), to: share, credits }),
  fc.record({ do: fc.constant("breathe" as const) }),
);

test("whatever is appended, evicted, reconnected, credited and sought: a reader gets the log from its place, in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 25 }),
      fc.boolean(),
      fc.constantFrom(undefined, "a"),
      async (steps, binary, key) => {
        const target = await fresh();
        const log: string[] = [];
        const follower = new Follower(target, binary, key);
        let began = 0;
        const settle = () => new Promise((resolve) => setTimeout(resolve, 3));
        const wanted = () =>
          log.flatMap((one, offset) => (offset >= began && (key === undefined || one === key) ? [offset] : []));
        await follower.subscribe(1, true);
        for (const one of steps) {
          if (one.do === "append") {
            await append(target, one.keys);
            log.push(...one.keys);
          } else if (one.do === "credit") follower.credit(one.credits);
          else if (one.do === "evict") {
            // One that sleeps cannot be evicted again.
            await target.rpc.order("facts");
            await evictDurableObject(target.stub, { webSockets: "hibernate" });
          } else if (one.do === "reconnect" || one.do === "again") {
            await follower.subscribe(one.credits, one.do === "reconnect");
          } else if (one.do === "breathe") await settle();
          else {
            began = Math.floor(one.to * log.length);
            follower.next = began;
            follower.offsets.length = 0;
            await follower.subscribe(one.credits, false);
          }
          expect(follower.offsets).toEqual(wanted().slice(0, follower.offsets.length));
        }
        for (let left = 400; left > 0 && !(follower.current && follower.next === log.length); left--) {
          follower.credit(20);
          await settle();
        }
        expect(follower.offsets).toEqual(wanted());
        follower.close();
      },
    ),
    { numRuns: 80 },
  );
});

test("after a sleep the ids that were used are known: of subscriptions that ended, and of appends", async () => {
  const target = await fresh();
  const socket = (await connect(target, false)).webSocket as WebSocket;
  const messages: { type: string; detail?: string }[] = [];
  let closed = 0;
  socket.addEventListener("message", ({ data }) => void messages.push(JSON.parse(String(data))));
  socket.addEventListener("close", ({ code }) => {
    closed = code;
  });
  socket.accept();
  const send = (message: object) => socket.send(JSON.stringify(message));
  send({ type: "subscribe", id: 1, from: "latest", credits: 10 });
  send({ type: "unsubscribe", id: 1 });
  send({ type: "append", id: 2, records: [{ data: 0 }] });
  await expect.poll(() => messages.at(-1)?.type).toBe("verdicts");
  // What an object of its own accord waits for, and much more, before it sleeps.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  await evictDurableObject(target.stub, { webSockets: "hibernate" });
  send({ type: "credit", id: 1, credits: 10 });
  send({ type: "unsubscribe", id: 2 });
  send({ type: "append", id: 2, records: [{ data: 0 }] });
  await expect.poll(() => closed).toBe(1008);
  expect(messages.at(-1)?.detail).toContain("id 2 is not above 2");
});

test("a relay connects again to partitions that it has lost, and goes on where it was", async () => {
  const stream = "/v1/default/streams/relayed";
  await call("PUT", stream, { partitions: 3 });
  const appendKeys = (from: number) =>
    call("POST", `${stream}/records`, {
      records: Array.from({ length: 30 }, (_, index) => ({ key: `k${index % 7}`, data: from + index })),
    });
  await appendKeys(0);
  const response = await (exports as unknown as { default: Fetcher }).default.fetch(`http://millrace${stream}/live`, {
    headers: { authorization: "Bearer test-token", upgrade: "websocket" },
  });
  const socket = response.webSocket as WebSocket;
  const data: number[] = [];
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(String(event.data)) as StreamMessage;
    if (message.type === "error") throw new Error(message.detail);
    if (message.type === "records") data.push(...(message.records as { data: number }[]).map((one) => one.data));
  });
  socket.accept();
  socket.send(JSON.stringify({ type: "subscribe", id: 1, from: "earliest", credits: 1_000 }));
  await expect.poll(() => data.length).toBe(30);
  await abortAllDurableObjects();
  await appendKeys(30);
  await expect.poll(() => data.length, { timeout: 10_000 }).toBe(60);
  expect([...data].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index));
  socket.close();
});

test("a socket that sleeps ends with its ticket, each at its own time; others stay", async () => {
  const target = await fresh();
  const now = Date.now();
  const ends: string[] = [];
  for (const until of [now + 1_500, now + 700, undefined]) {
    const socket = (await connect(target, false, { until })).webSocket as WebSocket;
    socket.addEventListener("close", ({ code }) => ends.push(`${until === undefined ? "never" : until - now} ${code}`));
    socket.accept();
    socket.send(JSON.stringify({ type: "subscribe", id: 1, credits: 10 }));
  }
  await evictDurableObject(target.stub, { webSockets: "hibernate" });
  await expect.poll(() => ends, { timeout: 10_000 }).toEqual(["700 4003", "1500 4003"]);
});

test("a partition holds so many sockets, and another when one has gone", async () => {
  const target = await fresh();
  const first = (await connect(target, false)).webSocket as WebSocket;
  first.accept();
  onTestFinished(() => abortAllDurableObjects());
  // Nearly all come to the object without a call of their own: those alone would take half a minute. Who lets go of his end ends both.
  const others: WebSocket[] = [];
  await runInDurableObject(target.stub, async (object) => {
    while (others.length < limits.streamSocketsMax - 2) {
      const { webSocket } = await (object as unknown as Fetcher).fetch(asking(false));
      (webSocket as WebSocket).accept();
      others.push(webSocket as WebSocket);
    }
  });
  const last = await connect(target, false);
  expect(last.status).toBe(101);
  last.webSocket?.accept();
  expect((await connect(target, false)).status).toBe(429);
  first.close();
  await expect.poll(async () => (await connect(target, false)).status).toBe(101);
  expect(others).toHaveLength(limits.streamSocketsMax - 2);
});

test("what a client owes outlives the object's sleep, and so does what it was asked", async () => {
  const target = await fresh();
  const [records, size] = [40, 60_000];
  for (let index = 0; index < records; index++) {
    const { bytes, hashes } = batch([{ kind: 3, data: new Uint8Array(size) }]);
    await target.rpc.append(1, bytes, hashes);
  }
  const asks = { ...hello, binary: true, confirms: true };
  const { webSocket } = await target.stub.fetch(`http://partition/?hello=${encodeURIComponent(JSON.stringify(asks))}`, {
    headers: { upgrade: "websocket" },
  });
  const socket = webSocket as WebSocket;
  let [bytes, silent] = [0, true];
  const asked: string[] = [];
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (data instanceof ArrayBuffer) bytes += data.byteLength;
    else if (JSON.parse(String(data)).type !== "confirm") return;
    else if (silent) asked.push(String(data));
    else socket.send(String(data));
  });
  socket.accept();
  socket.send(JSON.stringify({ type: "subscribe", id: 1, from: "earliest", credits: limits.creditsMax }));
  await expect.poll(() => asked.length).toBe(1);
  for (let sleep = 0; sleep < 5; sleep++) {
    await evictDurableObject(target.stub, { webSockets: "hibernate" });
    socket.send(JSON.stringify({ type: "credit", id: 1, credits: limits.creditsMax }));
    // It is answered, and what the credits have brought came before.
    await append(target, ["k"]);
  }
  await scheduler.wait(100);
  expect(bytes).toBeLessThan(limits.unconfirmedBytesFirst + 2 * size);
  expect(asked.length).toBe(1);
  silent = false;
  socket.send(asked[0]);
  await expect.poll(() => bytes, { timeout: 10_000 }).toBeGreaterThan(records * size);
  socket.close();
});
