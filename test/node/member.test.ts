/** What a member of a group says of failures, and how it stops: against a group that answers as it is told. */
import { expect, test, vi } from "vitest";
import { failureOf } from "../../src/client/answers.ts";
import { type ConsumeOptions, type Handler, Millrace } from "../../src/client/index.ts";
import { sleep } from "../../src/client/retry.ts";

const delivery = (receipt: string) => ({ partition: 0, offset: 0, timestamp: "", receipt, attempt: 1, data: 1 });

/** A member by HTTP of a group that answers its receives one after another, and then never. */
function member(
  receives: (object | Error | Promise<object>)[],
  handler: Handler<unknown>,
  { refuse, attempts = 10, ...options }: ConsumeOptions & { refuse?: string; attempts?: number } = {},
) {
  const said: [string, Record<string, unknown>][] = [];
  const never = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const fetch = async (url: string, { method, body, signal }: RequestInit = {}) => {
    if (method === "GET") return Response.json({ config: { ackTimeoutMs: 30 } });
    const what = url.replace(/.*\//, "");
    said.push([what, JSON.parse(body as string)]);
    if (what === refuse)
      return Response.json({ code: "stale-lease", detail: "", retryable: false, clean: true }, { status: 409 });
    if (what !== "receive") return Response.json({ settled: 1 });
    const next = await (receives.shift() ?? never(signal as AbortSignal));
    if (next instanceof Error) throw next;
    return Response.json(next);
  };
  const client = new Millrace({ url: "http://localhost", fetch, retry: { initialMs: 60_000, attempts } });
  const consumer = client
    .stream("s")
    .group("g")
    .consume(handler, { transport: "http", ...options });
  const heard = (what: string) => said.filter(([one]) => one === what).map(([, body]) => body);
  return { consumer, said, heard };
}

test.each<[string, unknown, string]>([
  ["an error", new Error("the bank is closed"), "the bank is closed"],
  ["a text", "closed", "closed"],
  ["nothing", undefined, "the handler threw"],
  ["no word", new Error(""), "the handler threw"],
  ["what has no text", Object.create(null), "the handler threw"],
  ["what has none where its text should be", { message: Object.create(null) }, "the handler threw"],
  ["a symbol", Symbol("s"), "Symbol(s)"],
  ["1 024 bytes", "x".repeat(1_025), "x".repeat(1_024)],
  ["1 024 bytes of two each", "é".repeat(1_000), "é".repeat(512)],
  ["whole letters of them", `x${"é".repeat(1_000)}`, `x${"é".repeat(511)}`],
  ["no half of a pair", `${"x".repeat(1_022)}😀`, "x".repeat(1_022)],
  ["what is well-formed", "a\ud83d", "a\ufffd"],
])("a nack gives as its reason %s", (_, error, reason) => {
  expect(failureOf(error).reason).toBe(reason);
});

test.each<[unknown, number | undefined]>([
  [undefined, undefined],
  [Number.NaN, undefined],
  [-1, undefined],
  [0, 0],
  [1.5, 2],
  [604_800_001, 604_800_000],
  [Number.POSITIVE_INFINITY, 604_800_000],
  [10n, undefined],
  ["soon", undefined],
])("a nack asks for a pause that is one: %s", (retryAfterMs, delayMs) => {
  expect(failureOf(Object.assign(new Error("no"), { retryAfterMs }))).toEqual({ reason: "no", delayMs });
});

test("a member goes on after whatever its handler throws", async () => {
  const { consumer, heard } = member(
    [{ deliveries: [delivery("a"), delivery("b")] }],
    ({ receipt }) => {
      throw receipt === "a" ? Object.create(null) : Object.assign(new Error("é".repeat(1_000)), { retryAfterMs: 1e12 });
    },
    { concurrency: 2 },
  );
  await expect.poll(() => heard("nack")).toHaveLength(2);
  expect(heard("nack")[1]).toMatchObject({ receipts: ["b"], delayMs: 604_800_000 });
  await consumer.stop();
  await consumer.done;
});

test.each<[string, (object | Error)[], number]>([
  ["waits for a record", [], 10],
  ["waits to ask again", [new TypeError("the line is cut")], 10],
  ["waits to begin again", [new TypeError("the line is cut")], 1],
])("a member that %s stops at once", async (_, receives, attempts) => {
  const { consumer, said } = member(receives, () => {}, { attempts });
  await expect.poll(() => said.length).toBe(1);
  await sleep(5);
  const start = Date.now();
  await consumer.stop();
  expect(Date.now() - start).toBeLessThan(1_500);
  await consumer.done;
});

test("a member that stops lets its handlers end, and says what they have done", async () => {
  let end = () => {};
  const { consumer, heard } = member(
    [{ deliveries: [delivery("a")] }],
    () => new Promise<void>((done) => (end = done)),
    {
      concurrency: 2,
    },
  );
  await expect.poll(() => heard("receive").length).toBe(2);
  const stopped = vi.fn();
  void consumer.stop().then(stopped);
  // Its lease is kept meanwhile.
  await expect.poll(() => heard("extend").length).toBeGreaterThan(1);
  expect(stopped).not.toHaveBeenCalled();
  end();
  await expect.poll(() => stopped.mock.calls.length).toBe(1);
  expect(heard("ack")).toEqual([{ receipts: ["a"] }]);
});

test("what comes when it is to stop is given to no handler, and goes back untouched", async () => {
  let answer: (answer: object) => void = () => {};
  const handler = vi.fn();
  const { consumer, heard } = member([new Promise<object>((resolve) => (answer = resolve))], handler);
  await expect.poll(() => heard("receive").length).toBe(1);
  const stopped = consumer.stop();
  answer({ deliveries: [delivery("a"), delivery("b")] });
  await stopped;
  expect(heard("release")).toEqual([{ receipts: ["a", "b"] }]);
  expect(handler).not.toHaveBeenCalled();
  expect(heard("receive")).toHaveLength(1);
});

test("a member by socket gives back what comes when it is to stop, and closes as one that is done", async () => {
  const said: { type: string; receipts?: string[] }[] = [];
  const closes: unknown[] = [];
  class Socket extends EventTarget {
    binaryType = "";
    readyState = 1;
    constructor() {
      super();
      setTimeout(() => this.dispatchEvent(new Event("open")));
    }
    send(text: string) {
      said.push(JSON.parse(text));
    }
    close(code?: number) {
      closes.push(code);
    }
    hear(message: object) {
      this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
    }
  }
  let socket: Socket | undefined;
  const opened = class extends Socket {
    constructor() {
      super();
      socket = this;
    }
  };
  const client = new Millrace({
    url: "http://localhost",
    fetch: async () => Response.json({ config: {} }),
    WebSocket: opened as never,
  });
  let end = () => {};
  const handler = vi.fn(() => new Promise<void>((done) => (end = done)));
  const consumer = client.stream("s").group("g").consume(handler, { concurrency: 3 });
  await expect.poll(() => said).toEqual([{ type: "credit", credits: 3 }]);
  socket?.hear({ type: "deliveries", deliveries: [delivery("a")] });
  const stopped = consumer.stop();
  socket?.hear({ type: "deliveries", deliveries: [delivery("b"), delivery("c")] });
  end();
  await stopped;
  expect(handler).toHaveBeenCalledTimes(1);
  expect(said.slice(1)).toEqual([
    { type: "release", receipts: ["b", "c"] },
    { type: "ack", receipts: ["a"] },
  ]);
  expect(closes[0]).toBe(4005);
});

/** A member by HTTP whose answer has begun and goes on when `go` is called, or when it is cut off. */
function begun() {
  const given: string[][] = [];
  let go: (rest: string) => void = () => {};
  let [ended, cut] = [false, false];
  const fetch = async (url: string, { method, body, signal }: RequestInit = {}) => {
    if (method === "GET") return Response.json({ config: { ackTimeoutMs: 60_000 } });
    if (url.endsWith("/release")) given.push(JSON.parse(body as string).receipts);
    if (!url.endsWith("/receive")) return Response.json({ settled: 1 });
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(" "));
        go = (rest) => {
          ended = true;
          controller.enqueue(new TextEncoder().encode(rest));
          controller.close();
        };
        signal?.addEventListener("abort", () => {
          cut = !ended;
          if (cut) controller.error(signal.reason);
        });
      },
    });
    return new Response(stream);
  };
  const client = new Millrace({ url: "http://localhost", fetch });
  const consumer = client
    .stream("s")
    .group("g")
    .consume(() => {}, { transport: "http" });
  return { consumer, given, go: (rest: string) => go(rest), wasCut: () => cut };
}

test("an answer that has begun when it is to stop is read to its end, and goes back", async () => {
  vi.useFakeTimers();
  try {
    const { consumer, given, go, wasCut } = begun();
    await vi.advanceTimersByTimeAsync(10);
    const stopped = consumer.stop();
    // Far longer than an answer is waited for that has not begun.
    await vi.advanceTimersByTimeAsync(4_000);
    go(JSON.stringify({ deliveries: [delivery("a"), delivery("b")] }));
    await stopped;
    expect(given).toEqual([["a", "b"]]);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(wasCut()).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("but not for ever", async () => {
  vi.useFakeTimers();
  try {
    const { consumer, wasCut } = begun();
    await vi.advanceTimersByTimeAsync(10);
    let over = false;
    void consumer.stop().then(() => (over = true));
    await vi.advanceTimersByTimeAsync(14_000);
    expect([over, wasCut()]).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([over, wasCut()]).toEqual([true, true]);
  } finally {
    vi.useRealTimers();
  }
});

test("acks that went with a question that was cut off are said again", async () => {
  const { consumer, heard } = member([{ deliveries: [delivery("a")] }], () => {});
  await expect.poll(() => heard("receive").some(({ ack }) => (ack as string[]).length > 0)).toBe(true);
  await consumer.stop();
  expect(heard("ack")).toEqual([{ receipts: ["a"] }]);
});

test("a handler is told that its lease was lost, by HTTP too", async () => {
  const lost = vi.fn();
  const { consumer } = member(
    [{ deliveries: [delivery("a")] }],
    (_, { signal }) => new Promise<void>((done) => signal.addEventListener("abort", () => [lost(), done()])),
    { refuse: "extend" },
  );
  await expect.poll(() => lost.mock.calls.length).toBe(1);
  await consumer.stop();
});

test.each<[ConsumeOptions, string]>([
  [{ concurrency: 0 }, "concurrency: must be 1 or more"],
  [{ concurrency: Number.NaN }, "concurrency: must be 1 or more"],
])("a member like %j is refused at once", (options, said) => {
  expect(() => member([], () => {}, options)).toThrow(said);
});
