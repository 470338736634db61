/** What sockets say that they would not: of a wrong shape, of another subscription, twice, of a kind that there is not. */
import { describe, expect, test } from "vitest";
import { Millrace, type MillraceError, type MillraceOptions } from "../../src/client/index.ts";

type Say = (message: unknown) => void;
type Script = (say: Say, sent: Sent) => void;
type Sent = { type: string; from?: unknown; credits?: number; receipts?: string[] };

/** A stream whose sockets say, one after the other, what these do; each is told what the library sends it. */
function told(...scripts: Script[]) {
  return toldWith({}, ...scripts);
}

function toldWith(options: Pick<MillraceOptions, "parse">, ...scripts: Script[]) {
  const retried: string[] = [];
  const subscribed: unknown[] = [];
  const sent: Sent[] = [];
  let opened = 0;
  class Socket extends EventTarget {
    binaryType = "";
    readyState = 1;
    readonly script = scripts[Math.min(opened++, scripts.length - 1)];
    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(new Event("open")));
    }
    send(text: string) {
      const message = JSON.parse(text) as Sent;
      sent.push(message);
      if (message.type === "subscribe") subscribed.push(message.from);
      this.script((said) => {
        const data = typeof said === "string" ? said : JSON.stringify(said);
        if (this.readyState === 1) this.dispatchEvent(new MessageEvent("message", { data }));
      }, message);
    }
    close() {
      this.readyState = 3;
    }
  }
  const client = new Millrace({
    url: "http://localhost",
    fetch: async () => Response.json({ config: {}, settled: 0 }),
    WebSocket: Socket as never,
    ...options,
    retry: { initialMs: 1, onRetry: ({ message }) => retried.push(message) },
  });
  return { stream: client.stream("s"), retried, subscribed, sent, sockets: () => opened };
}

const record = (offset: number) => ({ partition: 0, offset, timestamp: "", data: offset });
const records = (...offsets: number[]) => ({
  ...{ type: "records", id: 1, cost: offsets.length, cursor: `c${Number(offsets.at(-1)) + 1}`, upToDate: false },
  records: offsets.map(record),
});
const last = { ...records(9), cursor: "end" };
const otherwise = "the service did not answer: its socket: something else did";

/** The same with each of its members, at any depth, left out, or of another kind. */
function* spoilt(value: unknown): Generator<unknown> {
  if (typeof value !== "object" || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (name === "type" || name === "timestamp" || name === "data") continue;
    const others: unknown[] = [null, typeof member === "string" ? 5 : "x", ...(typeof member === "number" ? [-1] : [])];
    if (!Array.isArray(value)) others.push(undefined);
    for (const other of [...others, ...spoilt(member)])
      yield Array.isArray(value) ? [other] : { ...value, [name]: other };
  }
}

const none = ["<html>", "", "null", "[]", "5", '"x"', "{}", '{"type":5}', '{"type":null}'];
const lostOne = { type: "lost", id: 1, cursor: "c2", lost: [{ partition: 0, from: 1, to: 2, why: "trimmed" }] };
const ofStream: readonly unknown[] = [
  ...none,
  ...[
    records(1),
    { type: "heartbeat", id: 1, cursor: "c5", upToDate: true },
    { type: "snapshot", partition: 0, offset: 1, bytes: 2 },
    { type: "error", code: "unavailable", detail: "d" },
  ].flatMap((one) => [...spoilt(one)]),
  // Its reasons are for people alone; without a place it says nothing of the next record.
  ...[...spoilt(lostOne)].filter((one) => JSON.stringify(one).includes('"why":"trimmed"')),
  { ...lostOne, lost: null },
  { ...records(1), id: 2 },
  { type: "heartbeat", id: 7, cursor: "c5", upToDate: true },
  { ...lostOne, id: 0 },
  // Twice.
  records(0),
];

describe("a follower", () => {
  const follow = async (bad: unknown) => {
    const { stream, retried, subscribed } = told(
      (say, { type }) => {
        if (type !== "subscribe") return;
        say({ type: "ready", logId: "l" });
        say(records(0));
        say(bad);
        say(records(8));
      },
      (say, { type }) => type === "subscribe" && say(last),
    );
    const offsets: number[] = [];
    const other: unknown[] = [];
    const options = { from: "earliest", onLost: () => other.push("lost"), onSnapshot: () => other.push("snapshot") };
    for await (const { offset } of stream.follow(options as object)) {
      offsets.push(offset);
      if (offset === 9) break;
    }
    return { offsets, other, retried, subscribed };
  };

  test.each(ofStream.map((one) => [typeof one === "string" ? one : JSON.stringify(one), one]))(
    "believes nothing of %s, and goes on from where it was",
    async (_, bad) => {
      expect(await follow(bad)).toEqual({
        offsets: [0, 9],
        other: [],
        retried: [otherwise],
        subscribed: ["earliest", "c1"],
      });
    },
  );

  test.each([
    { type: "news" },
    { type: "news", cursor: "c7", id: 1 },
    { type: "verdicts", answers: [] },
    { type: "waiting" },
  ])("passes over what it does not know: %j", async (other) => {
    const { stream, retried, sockets } = told((say, { type }) => {
      if (type !== "subscribe") return;
      for (const one of [records(0), other, last]) say(one);
    });
    const follower = stream.follow({ from: "earliest" });
    const cursors: unknown[] = [];
    for await (const { offset } of follower) {
      cursors.push(follower.cursor);
      if (offset === 9) break;
    }
    expect({ cursors, retried, opened: sockets() }).toEqual({ cursors: ["c1", "end"], retried: [], opened: 1 });
  });

  test("throws what a reader of the caller's own does not understand", async () => {
    const parse = (text: string) => {
      if (text.includes("records")) throw new RangeError("too long");
      return JSON.parse(text);
    };
    const { stream, retried } = toldWith({ parse }, (say) => say(records(0)));
    const next = stream.follow()[Symbol.asyncIterator]().next();
    await expect(next).rejects.toMatchObject({ code: "invalid", message: "RangeError: too long" });
    const group = toldWith({ parse }, (say) => say({ type: "deliveries", deliveries: [delivery("records")] }));
    await expect(group.stream.group("g").consume(() => {}).done).rejects.toMatchObject({ code: "invalid" });
    expect([...retried, ...group.retried]).toEqual([]);
  });

  test("throws what the service finds wrong, by its name", async () => {
    const { stream } = told((say) => say({ type: "error", code: "invalid", detail: "no", fatal: true }));
    const next = stream.follow()[Symbol.asyncIterator]().next();
    await expect(next).rejects.toMatchObject({ code: "invalid", message: "no" } satisfies Partial<MillraceError>);
  });
});

const delivery = (receipt: string) => ({ ...record(0), receipt, attempt: 1 });
const ofGroup: readonly unknown[] = [
  ...none,
  ...[
    { type: "refused", refused: [{ receipt: "r" }] },
    { type: "error", code: "unavailable", detail: "d", fatal: true },
  ].flatMap((one) => [...spoilt(one)].filter((bad) => !/"fatal":(null|"x")|"detail":"d"}$/.test(JSON.stringify(bad)))),
  { type: "deliveries" },
  { type: "deliveries", deliveries: null },
  { type: "deliveries", deliveries: {} },
  { type: "deliveries", deliveries: [null] },
  { type: "deliveries", deliveries: [{ ...delivery("r"), receipt: 5 }] },
];

describe("a member", () => {
  test.each(ofGroup.map((one) => [typeof one === "string" ? one : JSON.stringify(one), one]))(
    "believes nothing of %s, and connects again",
    async (_, bad) => {
      const begin = (...messages: unknown[]) => {
        let begun = false;
        return (say: Say, { type }: Sent) => {
          if (type !== "credit" || begun) return;
          begun = true;
          for (const one of messages) say(one);
        };
      };
      const { stream, retried, sent } = told(
        begin({ type: "ready", member: "m", heartbeatMs: 60_000 }, bad, {
          type: "deliveries",
          deliveries: [delivery("x")],
        }),
        begin({ type: "deliveries", deliveries: [delivery("a"), delivery("a")] }),
      );
      const handled: string[] = [];
      const lost: string[] = [];
      const consumer = stream.group("g").consume(({ receipt }) => handled.push(receipt), {
        concurrency: 3,
        onLost: (receipt) => lost.push(receipt),
      });
      await expect.poll(() => sent.filter(({ type }) => type === "ack")).toEqual([{ type: "ack", receipts: ["a"] }]);
      await consumer.stop();
      expect({ handled, lost, retried }).toEqual({ handled: ["a"], lost: [], retried: [otherwise] });
    },
  );
});
