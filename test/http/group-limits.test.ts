/** Every limit of the groups' bodies, on both sides of its edge, and bodies that mean harm. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { Group, newGroup, newStream } from "./group.ts";
import { type Answer, type Service, service } from "./service.ts";

let millrace: Service;
let group: Group;
beforeAll(async () => {
  millrace = await service();
  group = await newGroup(millrace, {}, { partitions: 2 });
  await group.append("a1", "b1", "c1", "d1");
});
afterAll(() => millrace.end());

const url = "https://example.com/hook";
const texts = (count: number) => Array.from({ length: count }, (_, i) => `k${i}`);
const push = (name: string) => (value: unknown) => ({ push: { url, [name]: value } });
const secrets = (count: number) => Array.from({ length: count }, (_, i) => `whsec_${btoa(`${i}`.repeat(24))}`);
const headers = (count: number) => Object.fromEntries(texts(count).map((name) => [name, "1"]));
const bytes = (count: number) => "é".repeat(count / 2) + "x".repeat(count % 2);

/** A field, the values at its edges, and those one beyond. */
type Edge = readonly [path: string, body: (value: never) => object, inside: unknown[], outside: unknown[]];
const edge = <T>(path: string, body: (value: T) => object, inside: T[], outside: T[]): Edge =>
  [path, body as (value: never) => object, inside, outside] as const;
const range = (path: string, body: (value: number) => object, min: number, max: number) =>
  edge(path, body, [min, max], [min - 1, max + 1]);
const field = (name: string) => (value: unknown) => ({ [name]: value });

describe("a definition's limits", () => {
  const some: Edge[] = [
    range("maxInFlight", field("maxInFlight"), 1, limits.inFlightMax),
    range("memberMaxInFlight", field("memberMaxInFlight"), 1, limits.inFlightMax),
    range("ackTimeoutMs", field("ackTimeoutMs"), limits.ackTimeoutMsMin, limits.ackTimeoutMsMax),
    range("maxDeliveries", field("maxDeliveries"), 1, limits.deliveriesMax),
    range("heartbeatMs", field("heartbeatMs"), limits.heartbeatMsMin, limits.heartbeatMsMax),
    range("backoff.0", (ms) => ({ backoff: [ms] }), 0, limits.delayMsMax),
    edge(
      "backoff",
      (steps: number) => ({ backoff: Array(steps).fill(1) }),
      [1, limits.backoffStepsMax],
      [0, limits.backoffStepsMax + 1],
    ),
    range("backoff.initialMs", (initialMs) => ({ backoff: { initialMs, maxMs: 1_000 } }), 1, limits.delayMsMax),
    range("backoff.maxMs", (maxMs) => ({ backoff: { initialMs: 1, maxMs } }), 1, limits.delayMsMax),
    range("batch.records", (records) => ({ batch: { records } }), 1, limits.deliverMax),
    range("batch.bytes", (bytes) => ({ batch: { bytes } }), 1, limits.deliverBytesMax),
    range("batch.waitMs", (waitMs) => ({ batch: { waitMs } }), 0, limits.batchWaitMsMax),
    edge("only", (keys: number) => ({ only: texts(keys) }), [1, limits.onlyKeysMax], [0, limits.onlyKeysMax + 1]),
    edge(
      "only.0",
      (length: number) => ({ only: [bytes(length)] }),
      [1, limits.keyBytesMax],
      [0, limits.keyBytesMax + 1, limits.keyBytesMax + 2],
    ),
    edge("filter.key", (n: number) => ({ filter: { key: bytes(n) } }), [limits.keyBytesMax], [limits.keyBytesMax + 1]),
    ...["types", "sources", "tags"].map((name) =>
      edge(
        `filter.${name}`,
        (count: number) => ({ filter: { [name]: texts(count), match: "any" } }),
        [1, limits.filterValuesMax],
        [0, limits.filterValuesMax + 1],
      ),
    ),
    edge("push.secrets", (n: number) => push("secrets")(secrets(n)), [0, limits.secretsMax], [limits.secretsMax + 1]),
    edge(
      "push.headers",
      (n: number) => push("headers")(headers(n)),
      [0, limits.pushHeadersMax],
      [limits.pushHeadersMax + 1],
    ),
    range("push.timeoutMs", push("timeoutMs"), 100, limits.pushTimeoutMsMax),
    range("push.concurrency", push("concurrency"), 1, limits.pushConcurrencyMax),
    range("push.pauseAfterMs", push("pauseAfterMs"), 1_000, limits.pauseAfterMsMax),
  ];

  test.each(some)("%s", async (path, body, inside, outside) => {
    const subject = await newGroup(millrace);
    for (const value of inside) {
      const answer = await subject.put(body(value as never));
      expect(answer.status, `${JSON.stringify(value).slice(0, 50)}: ${answer.text.slice(0, 300)}`).toBe(200);
    }
    const before = (await subject.get()).json;
    for (const value of outside) {
      const answer = await subject.put(body(value as never));
      expect(answer, JSON.stringify(value).slice(0, 50)).toMatchObject({
        status: 400,
        json: { code: "invalid", path },
      });
    }
    expect((await subject.get()).json).toEqual(before);
  });

  test("secrets are shown by their beginnings", async () => {
    const [secret] = secrets(1);
    const subject = await newGroup(millrace, push("secrets")([secret]));
    for (const answer of [await subject.get(), await millrace.call("GET", `${subject.stream}/groups`)]) {
      expect(answer.text).not.toContain(secret);
    }
  });
});

describe("an order's limits", () => {
  const receipts = (count: number) => Array(count).fill("0.0.0.00000000001.00000000001");
  const letters = (count: number) => Array(count).fill("0.0");
  const some: [string, ...Edge][] = [
    ["receive", ...range("max", field("max"), 1, limits.deliverMax)],
    ["receive", ...range("maxBytes", field("maxBytes"), 1, limits.deliverBytesMax)],
    ["receive", ...edge("waitSeconds", field("waitSeconds"), [0, 0.1], [-1, limits.waitSecondsMax + 0.1])],
    [
      "receive",
      ...edge(
        "member",
        field("member"),
        [bytes(1), bytes(limits.memberBytesMax)],
        ["", bytes(limits.memberBytesMax + 1)],
      ),
    ],
    ["receive", ...edge("ack", (n: number) => ({ ack: receipts(n) }), [0, limits.ackMax], [limits.ackMax + 1])],
    ...["ack", "nack", "extend"].map((order): [string, ...Edge] => [
      order,
      ...edge("receipts", (n: number) => ({ receipts: receipts(n) }), [2, limits.ackMax], [0, limits.ackMax + 1]),
    ]),
    ["nack", ...range("delayMs", (delayMs) => ({ receipts: receipts(2), delayMs }), 0, limits.delayMsMax)],
    [
      "nack",
      ...edge(
        "reason",
        (n: number) => ({ receipts: receipts(2), reason: bytes(n) }),
        [1, limits.reasonBytesMax],
        [0, limits.reasonBytesMax + 1],
      ),
    ],
    [
      "extend",
      ...range(
        "ackTimeoutMs",
        (ackTimeoutMs) => ({ receipts: receipts(2), ackTimeoutMs }),
        limits.ackTimeoutMsMin,
        limits.ackTimeoutMsMax,
      ),
    ],
    [
      "pause",
      ...edge("reason", (n: number) => ({ reason: bytes(n) }), [limits.reasonBytesMax], [limits.reasonBytesMax + 1]),
    ],
  ];

  test.each(some)("%s: %s", async (order, path, body, inside, outside) => {
    const subject = await newGroup(millrace);
    await subject.append("a1");
    await subject.drain();
    for (const value of inside) {
      const answer = await subject.post(order, body(value as never));
      expect(answer.status, `${JSON.stringify(value).slice(0, 50)}: ${answer.text.slice(0, 300)}`).toBe(200);
    }
    for (const value of outside) {
      const answer = await subject.post(order, body(value as never));
      expect(answer, JSON.stringify(value).slice(0, 50)).toMatchObject({
        status: 400,
        json: { code: "invalid", path },
      });
    }
  });

  test("waiting for as long as allowed is taken where there is something", async () => {
    const subject = await newGroup(millrace);
    await subject.append("a1");
    expect(await subject.receive({ waitSeconds: limits.waitSecondsMax })).toHaveLength(1);
  });

  test("as many dead letters as a page has are listed and settled at once, one more is refused", async () => {
    for (const order of ["dead-letters/redrive", "dead-letters/discard"]) {
      expect((await group.post(order, { letters: letters(limits.listMax) })).json.code).toBe("letter-not-found");
      expect((await group.post(order, { letters: letters(limits.listMax + 1) })).json.code).toBe("invalid");
    }
    expect((await group.get(`/dead-letters?limit=${limits.listMax}`)).status).toBe(200);
    for (const limit of [0, limits.listMax + 1]) {
      expect((await group.get(`/dead-letters?limit=${limit}`)).json).toMatchObject({ code: "invalid", path: "limit" });
      expect((await millrace.call("GET", `${group.stream}/groups?limit=${limit}`)).json.path).toBe("limit");
    }
  });

  test("one receive gives as many as allowed, and the next the rest", async () => {
    const subject = await newGroup(millrace, { maxInFlight: limits.inFlightMax });
    const more = 5;
    await subject.appendRecords(Array.from({ length: limits.deliverMax + more }, (_, data) => ({ data })));
    const first = await subject.receive({ max: limits.deliverMax });
    expect(first).toHaveLength(limits.deliverMax);
    await subject.ack(...first);
    expect(await subject.receive({ max: limits.deliverMax })).toHaveLength(more);
  });
});

test("a stream has as many groups as allowed; one more is refused until another goes", {
  timeout: 60_000,
}, async () => {
  const stream = await newStream(millrace);
  const put = (index: number, config: object = {}) => new Group(millrace, stream, `g${index}`).put(config);
  for (let index = 0; index < limits.groupsMax; index++) expect((await put(index)).status).toBe(201);
  expect(await put(limits.groupsMax)).toMatchObject({
    status: 429,
    json: { code: "too-many", limit: limits.groupsMax, detail: expect.stringContaining(String(limits.groupsMax)) },
  });
  expect((await put(0, { maxInFlight: 5 })).status).toBe(200);
  const { groups } = (await millrace.call("GET", `${stream}/groups?limit=1000`)).json;
  expect(groups).toHaveLength(limits.groupsMax);
  await new Group(millrace, stream, "writer").append("a1");
  for (const index of [0, limits.groupsMax - 1]) {
    expect(await new Group(millrace, stream, `g${index}`).next()).toMatchObject([{ data: "a1" }]);
  }
  await millrace.call("DELETE", `${stream}/groups/g3`);
  expect((await put(limits.groupsMax)).status).toBe(201);
});

describe("what means harm", () => {
  function isProblem(answer: Answer): void {
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(errors).toHaveProperty(answer.json.code);
    expect(answer.json.status).toBe(answer.status);
    expect(answer.json.detail.length).toBeGreaterThan(0);
  }

  test.each([
    ["GET", "live", 426, "upgrade-required"],
    ["DELETE", "receive", 405, "method-not-allowed"],
    ["GET", "ack", 405, "method-not-allowed"],
    ["POST", "status", 405, "method-not-allowed"],
    ["POST", "nowhere", 404, "unknown-route"],
    ["POST", "dead-letters/nowhere", 404, "unknown-route"],
  ])("%s …/%s is a problem", async (method, route, status, code) => {
    const answer = await millrace.call(method, `${group.path}/${route}`);
    isProblem(answer);
    expect(answer).toMatchObject({ status, json: { code } });
  });

  test("a body larger than any order needs is cut off", async () => {
    for (const order of ["ack", "nack", "receive", "seek"]) {
      expect(await group.post(order, { receipts: ["x".repeat(2_000_000)] })).toMatchObject({
        status: 413,
        json: { code: "body-too-large" },
      });
    }
  });

  const number = fc.constantFrom<unknown>(
    ...[-1, 0, 1, 1.5, Number.MAX_VALUE, 2 ** 31, 2 ** 53, 9_999_999_999_999_998, "1", "NaN", null, true, [], {}],
  );
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom<unknown>(
      ...["0.0", "1.0", "0.9999999999999999", "9999999.0", "0.0.0.1", "1.0.0.zzzzzzzzzz", "0.zzzzzzzzzz.0.1"],
      ...["earliest", "latest", "-5", "9999999999999999", "9007199254740992", "2026-99-99T00:00:00Z"],
      ...["9999-12-31T23:59:59Z", "275760-09-13T00:00:00Z", "\ud800", "__proto__", "", "%00", 7, null],
    ),
  );
  const several = fc.oneof(fc.array(text, { maxLength: 3 }), text);
  const body = fc.oneof(
    fc.record({ receipts: several, delayMs: number, reason: text, ackTimeoutMs: number }, { requiredKeys: [] }),
    fc.record({ receipts: several }),
    fc.record({ to: fc.oneof(text, number), partition: number }, { requiredKeys: ["to"] }),
    fc.record({ letters: several }),
    fc.record({ letter: text, data: fc.jsonValue() }),
    fc.record({ lane: text }),
    fc.record({ all: fc.constantFrom<unknown>(true, "true", 1) }),
    fc.record({ max: number, maxBytes: number, member: text, ack: several, partition: number }, { requiredKeys: [] }),
    fc.record({ start: fc.oneof(text, number), maxInFlight: number, filter: fc.jsonValue() }, { requiredKeys: [] }),
    fc.record(
      { backoff: fc.oneof(number, fc.array(number)), rate: fc.jsonValue(), only: several },
      { requiredKeys: [] },
    ),
    fc.record({ deadLetterStream: text, batch: fc.jsonValue() }, { requiredKeys: [] }),
    fc.record({
      push: fc.record(
        { url: fc.oneof(fc.webUrl(), text), headers: fc.jsonValue(), secrets: several },
        { requiredKeys: [] },
      ),
    }),
    fc.jsonValue(),
  );
  const hostile = fc.record({
    method: fc.constantFrom("POST", "POST", "POST", "PUT", "GET", "DELETE", "PATCH"),
    route: fc.constantFrom(
      ...["", "/receive", "/ack", "/nack", "/extend", "/pause", "/resume", "/seek", "/status", "/live", "/attempts"],
      ...["/lanes", "/lanes/resume", "/lanes/skip", "/dead-letters", "/dead-letters/redrive", "/dead-letters/discard"],
    ),
    name: fc.constantFrom("hostile", "hostile", "hostile", "hostile", "none", "%00", "%ff", "a%2Fb", ".."),
    query: fc.constantFrom(
      "",
      "",
      "",
      "?after=9999999.9999999999999999",
      "?after=0.0&limit=1",
      "?partition=-1",
      "?x=%",
    ),
    raw: fc.option(
      fc.constantFrom("{", "[", "[".repeat(10_000), '{"receipts":["\ud800"]}', '{"__proto__":{"a":1}}', "\0"),
    ),
    body,
  });

  test("a thousand requests on every route are never answered with a 5xx", { timeout: 120_000 }, async () => {
    const subject = new Group(millrace, group.stream, "hostile");
    const revive = () => subject.put({ backoff: [0], maxDeliveries: 1, onFailure: "park" });
    await revive();
    let refused = 0;
    for (const [index, one] of fc.sample(hostile, 1_500).entries()) {
      // There should be something to spoil: leases, lanes and dead letters.
      if (index % 50 === 0) {
        await revive();
        await subject.append("a1", "b1");
        const receipts = (await subject.receive()).map(({ receipt }) => receipt);
        if (receipts.length > 0) await subject.post("nack", { receipts });
      }
      const sent = one.method === "GET" ? undefined : (one.raw ?? JSON.stringify(one.body));
      const path = `${group.stream}/groups/${one.name}${one.route}${one.query}`;
      const answer = await millrace.call(one.method, path, sent, { "content-type": "application/json" });
      expect(answer.status, JSON.stringify({ ...one, answer: answer.text })).toBeLessThan(500);
      if (answer.status >= 400) {
        refused++;
        isProblem(answer);
      }
    }
    expect(refused).toBeGreaterThan(500);
    await millrace.call("DELETE", subject.path);
    await revive();
    await subject.append("z1");
    expect((await subject.drain()).at(-1)).toBeDefined();
  });
});
