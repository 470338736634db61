/** Groups that push, against a real receiver that answers in every way there is. */
import { type CloudEvent, HTTP } from "cloudevents";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Group, newGroup } from "./group.ts";
import { Receiver } from "./receiver.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
const receivers: Receiver[] = [];
const groups: Group[] = [];
beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
});
afterAll(() => millrace.end());
afterEach(async () => {
  await Promise.all(groups.splice(0).map((group) => millrace.call("DELETE", group.path)));
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});

const receive = async (...args: Parameters<typeof Receiver.open>) => {
  const receiver = await Receiver.open(...args);
  receivers.push(receiver);
  return receiver;
};
const pushing = async (receiver: Receiver, push: object = {}, config: object = {}, stream: object = {}) => {
  const group = await newGroup(millrace, { backoff: [10], ...config, push: { url: receiver.url, ...push } }, stream);
  groups.push(group);
  return group;
};
const until = (what: () => unknown, timeout = 15_000) => expect.poll(what, { timeout, interval: 10 });
const lag = async (group: Group) => (await group.get("/status")).json.lag;
const attempts = async (group: Group) => (await group.get("/attempts")).json.attempts;
const secret = () => `whsec_${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64")}`;

describe("a push", () => {
  test("brings every record once, in order per key, at several keys a time", async () => {
    const receiver = await receive((response) => setTimeout(() => response.writeHead(200).end(), 5));
    const group = await pushing(receiver, { concurrency: 4 }, {}, { partitions: 2 });
    const texts = Array.from({ length: 60 }, (_, index) => `${"abcdef"[index % 6]}${index}`);
    await group.append(...texts);
    await until(() => receiver.calls.length).toBe(60);
    await until(() => lag(group)).toBe(0);
    for (const key of "abcdef") {
      const mine = (list: unknown[]) => list.filter((one) => String(one).startsWith(key));
      expect(mine(receiver.data)).toEqual(mine(texts));
    }
    expect(receiver.mostOpen).toBeGreaterThan(1);
    expect(receiver.mostOpen).toBeLessThanOrEqual(8);
  });

  test("of concurrency 1 has one request at a time", async () => {
    const receiver = await receive((response) => setTimeout(() => response.writeHead(200).end(), 3));
    const group = await pushing(receiver, { concurrency: 1 });
    await group.append("a1", "b2", "c3", "d4", "e5", "f6");
    await until(() => receiver.calls.length).toBe(6);
    expect(receiver.mostOpen).toBe(1);
  });

  test.each(["binary", "structured", "batch"])("in %s mode is a CloudEvent that the package reads", async (format) => {
    const receiver = await receive();
    const group = await pushing(receiver, { format });
    const record = {
      id: "e1",
      source: "/test",
      type: "order.placed",
      subject: "a",
      key: "k",
      data: { n: 1 },
      tags: ["x", "y"],
      extensions: { tenant: "acme" },
    };
    await group.appendRecords([record]);
    await until(() => receiver.calls.length).toBe(1);
    const [{ headers, body }] = receiver.calls;
    const read = HTTP.toEvent<{ n: number }>({ headers, body });
    const event = (Array.isArray(read) ? read[0] : read) as CloudEvent<{ n: number }>;
    expect(event).toMatchObject({
      id: "e1",
      source: "/test",
      type: "order.placed",
      subject: "a",
      partitionkey: "k",
      data: { n: 1 },
      tags: "x,y",
      tenant: "acme",
      millraceoffset: "0",
    });
    expect(headers["millrace-group"]).toBe(group.name);
  });

  test("writes into headers what they can hold, percent-encoded as the binding says", async () => {
    const receiver = await receive();
    const group = await pushing(receiver);
    await group.appendRecords([{ id: "e 1", source: "/s", type: "t", subject: 'ä "b" 5%', data: 1 }]);
    await until(() => receiver.calls.length).toBe(1);
    const [{ headers }] = receiver.calls;
    expect(headers["ce-id"]).toBe("e%201");
    expect(headers["ce-subject"]).toBe("%C3%A4%20%22b%22%205%25");
  });

  test("is signed with every secret, so that either verifies while they change", async () => {
    const [old, fresh, other] = [secret(), secret(), secret()];
    const receiver = await receive();
    const group = await pushing(receiver, { secrets: [old, fresh] });
    await group.append("a1");
    await until(() => receiver.calls.length).toBe(1);
    const [{ headers, body }] = receiver.calls;
    const signature = headers as Record<string, string>;
    expect(() => new Webhook(old).verify(body, signature)).not.toThrow();
    expect(() => new Webhook(fresh).verify(body, signature)).not.toThrow();
    expect(() => new Webhook(other).verify(body, signature)).toThrow();
    expect(() => new Webhook(old).verify(`${body} `, signature)).toThrow();
    const { text } = await group.get();
    expect(text).not.toContain(old);
    expect(text).toContain(old.slice(0, 10));
  });

  test("carries the headers of the target, and its batches up to their size", async () => {
    const receiver = await receive();
    const group = await pushing(
      receiver,
      { format: "batch", headers: { authorization: "Bearer theirs", "x-team": "a" } },
      { batch: { records: 3, waitMs: 100 } },
    );
    await group.append("a1", "b2", "c3", "d4");
    await until(() => receiver.calls.length).toBe(2);
    expect(receiver.calls.map(({ body }) => JSON.parse(body).length)).toEqual([3, 1]);
    expect(receiver.calls[0].headers).toMatchObject({ authorization: "Bearer theirs", "x-team": "a" });
  });

  test("of a batch that is not full waits for more", async () => {
    const receiver = await receive();
    const group = await pushing(receiver, { format: "batch" }, { batch: { records: 10, waitMs: 400 } });
    await group.append("a1");
    await group.append("b2");
    await group.append("c3");
    await until(() => receiver.calls.length).toBe(1);
    expect(JSON.parse(receiver.calls[0].body)).toHaveLength(3);
  });

  test("keeps to the rate", async () => {
    const receiver = await receive();
    const group = await pushing(receiver, {}, { rate: { perSecond: 10, burst: 2 } });
    await group.append("a1", "b2", "c3", "d4", "e5", "f6");
    await until(() => receiver.calls.length).toBe(6);
    const took = receiver.calls[5].at - receiver.calls[0].at;
    expect(took).toBeGreaterThanOrEqual(350);
  });

  test("goes to https and public addresses only, where the deployment does not say otherwise", async () => {
    const strict = await service();
    try {
      await strict.call("PUT", "/v1/default/streams/s");
      const put = (url: string) => strict.call("PUT", "/v1/default/streams/s/groups/g", { push: { url } });
      for (const url of [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
      ]) {
        expect(await put(url), url).toMatchObject({ status: 422, json: { code: "bad-target" } });
      }
      expect((await put("https://example.com/hook")).status).toBe(201);
    } finally {
      await strict.end();
    }
  });
});

describe("a test of the receiver", () => {
  test.each(["binary", "structured", "batch"])(
    "is one event, %s, signed and with the headers, and answers what came",
    async (format) => {
      const receiver = await receive((response) =>
        response.writeHead(202, { "x-mine": "yes", "x-theirs": "Bearer theirs" }).end("taken, Bearer theirs"),
      );
      const key = secret();
      const group = await pushing(receiver, { format, secrets: [key], headers: { authorization: "Bearer theirs" } });
      const tried = await group.post("test");
      expect(tried, tried.text).toMatchObject({
        status: 200,
        json: { outcome: "done", status: 202, headers: { "x-mine": "yes", "x-theirs": "…" }, answer: "taken, …" },
      });
      expect(tried.json.durationMs).toBeGreaterThanOrEqual(0);
      const [{ headers, body }] = receiver.calls;
      expect(() => new Webhook(key).verify(body, headers as Record<string, string>)).not.toThrow();
      expect(headers).toMatchObject({ authorization: "Bearer theirs", "millrace-group": group.name });
      expect(headers["webhook-id"]).toBe(tried.json.webhookId);
      const event = HTTP.toEvent({ headers, body });
      const [one] = (Array.isArray(event) ? event : [event]) as CloudEvent<object>[];
      expect(one).toMatchObject({ type: "dev.millrace.test", source: group.path, id: tried.json.webhookId });
      expect(Object.keys(one).filter((name) => name.startsWith("millrace"))).toEqual([]);
      // It is in no count, and a record has its place yet.
      expect(await attempts(group)).toEqual([]);
      expect((await group.status()).lag).toBe(0);
      await group.append("a1");
      await until(() => receiver.calls.length).toBe(2);
      expect(receiver.calls[1].headers["webhook-id"]).not.toBe(tried.json.webhookId);
    },
  );

  test("says in words why there is no good answer, and leaves the group as it is", async () => {
    const receiver = await receive((response, _, before) => {
      if (before === 0) response.writeHead(500).end("broken");
      else if (before === 1) response.writeHead(429, { "retry-after": "60" }).end();
      else if (before === 2) response.writeHead(410).end();
      else if (before > 3) response.writeHead(204).end();
    });
    const group = await pushing(receiver, { timeoutMs: 300 });
    const outcomes: unknown[] = [];
    for (let times = 0; times < 4; times++) {
      const { json } = await group.post("test");
      outcomes.push([json.outcome, json.status, json.error]);
    }
    expect(outcomes).toEqual([
      ["failed", 500, "HTTP 500"],
      ["busy", 429, undefined],
      ["gone", 410, undefined],
      ["failed", undefined, "no answer in time"],
    ]);
    expect((await group.get()).json.paused).toBe(false);
    await group.append("a1");
    await until(() => lag(group)).toBe(0);
    await receivers.pop()?.close();
    expect((await group.post("test")).json).toMatchObject({ outcome: "failed", error: expect.any(String) });
  });

  test("keeps to the rules for targets, and to the handshake; and wants somebody to push to", async () => {
    const receiver = await receive();
    const group = await pushing(receiver, { validate: true });
    expect((await group.post("test")).json).toMatchObject({
      outcome: "failed",
      error: expect.stringContaining("did not agree"),
    });
    expect(receiver.calls.map(({ method }) => method)).toEqual(["OPTIONS"]);
    const pulled = await newGroup(millrace);
    expect(await pulled.post("test")).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect(await pulled.post("test", { to: "me" })).toMatchObject({ status: 400, json: { code: "unknown-field" } });
  });
});

describe("a receiver", () => {
  test("that fails, and then does not, gets the record again under the same id", async () => {
    const receiver = await receive((response, _call, before) => response.writeHead(before < 2 ? 500 : 200).end("oh"));
    const group = await pushing(receiver);
    await group.append("a1", "a2");
    await until(() => receiver.calls.length).toBe(4);
    expect(receiver.data).toEqual(["a1", "a1", "a1", "a2"]);
    expect(new Set(receiver.calls.slice(0, 3).map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    expect(receiver.calls.map(({ headers }) => headers["millrace-attempt"])).toEqual(["1", "2", "3", "1"]);
    expect((await attempts(group))[0]).toMatchObject({ status: 500, attempt: 1, answer: "oh", records: 1 });
    await until(() => lag(group)).toBe(0);
  });

  test("that is busy is left alone for as long as it asks, and the record is not to blame", async () => {
    const receiver = await receive((response, _call, before) =>
      response.writeHead(before === 0 ? 429 : 200, before === 0 ? { "retry-after": "1" } : {}).end(),
    );
    const group = await pushing(receiver, {}, { onFailure: "skip", maxDeliveries: 1 });
    await group.append("a1", "b2");
    await until(() => receiver.calls.length).toBe(3);
    const [refused, again] = receiver.calls.filter(({ body }) => body === receiver.calls[0].body);
    expect(again.at - refused.at).toBeGreaterThanOrEqual(990);
    await until(() => lag(group)).toBe(0);
    expect((await group.get("/status")).json.deadLetters).toBe(0);
  });

  test("that is busy is left alone while the stream grows, too", async () => {
    const receiver = await receive((response) => response.writeHead(429, { "retry-after": "60" }).end());
    const group = await pushing(receiver, { concurrency: 1 });
    await group.append("a1", "b2", "c3");
    await until(() => receiver.calls.length).toBe(1);
    expect((await millrace.call("PUT", group.stream, { partitions: 2 })).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(receiver.calls).toHaveLength(1);
    // Whoever changes the group has seen to the receiver.
    await group.put({ push: { url: receiver.url, timeoutMs: 5_000 } });
    await until(() => receiver.calls.length).toBeGreaterThan(1);
  });

  test("that is gone pauses the group, which says why, and goes on when it is resumed", async () => {
    const receiver = await receive((response, _call, before) => response.writeHead(before === 0 ? 410 : 200).end());
    const group = await pushing(receiver, { concurrency: 1 });
    await group.append("a1", "b2");
    await until(async () => (await group.get("/status")).json.partitions[0].paused?.reason).toContain("410");
    expect(receiver.calls).toHaveLength(1);
    expect((await group.post("resume")).status).toBe(200);
    await until(() => lag(group)).toBe(0);
    expect(receiver.data).toEqual(["a1", "a1", "b2"]);
  });

  test("that hangs, resets, or redirects has failed, and the reason is written down", async () => {
    const reset = (response: { socket: { destroy(): void } | null }) => response.socket?.destroy();
    const behaviours = [
      () => {},
      // A lost connection may be the connection's fault: it is tried twice more at once.
      reset,
      reset,
      reset,
      (response: { writeHead(status: number, headers: object): { end(): void } }) =>
        response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    ];
    const receiver = await receive((response, _call, before) => {
      if (before < behaviours.length) behaviours[before](response as never);
      else response.writeHead(200).end();
    });
    const group = await pushing(receiver, { timeoutMs: 200 });
    await group.append("a1");
    await until(() => receiver.calls.length).toBe(6);
    await until(() => lag(group)).toBe(0);
    const log = await attempts(group);
    expect(log.map(({ status }: { status?: number }) => status)).toEqual([undefined, undefined, 302, 200]);
    expect(log[0].error).toContain("in time");
    expect(log[1].error).toBeTruthy();
  });

  test("that loses a connection twice running has not failed", async () => {
    const receiver = await receive((response, _call, before) => {
      if (before < 2) (response as { socket: { destroy(): void } | null }).socket?.destroy();
      else response.writeHead(200).end();
    });
    const group = await pushing(receiver, {}, { onFailure: "skip", maxDeliveries: 1 });
    await group.append("a1");
    await until(() => lag(group)).toBe(0);
    expect(await attempts(group)).toMatchObject([{ attempt: 1, status: 200 }]);
  });

  test("that is not there yet gets everything when it is", async () => {
    const gone = await receive();
    const { port } = gone;
    await gone.close();
    const group = await pushing(gone, {}, { backoff: [50] });
    await group.append("a1", "b2", "a3");
    await until(async () => (await attempts(group)).length).toBeGreaterThan(1);
    const receiver = await receive(undefined, port);
    await until(() => lag(group)).toBe(0);
    expect([...receiver.data].sort()).toEqual(["a1", "a3", "b2"]);
  });

  test("that fails for too long pauses the group", async () => {
    const receiver = await receive((response) => response.writeHead(500).end());
    const group = await pushing(receiver, { pauseAfterMs: 1_000 }, { backoff: [50] });
    // Ten different records: fewer may all be poisoned.
    await group.append(..."abcdefghij".split("").map((key) => `${key}1`));
    await until(async () => (await group.get("/status")).json.paused).toBe(true);
    const before = receiver.calls.length;
    expect((await group.get("/status")).json.partitions[0].paused.reason).toContain("500");
    await until(async () => (await group.get()).json).toMatchObject({
      paused: true,
      pausedBecause: { reason: expect.stringContaining("500") },
    });
    await group.append("x2");
    expect(receiver.calls.length).toBe(before);
  });

  test("that agrees by the handshake is pushed to, and one that does not is not", async () => {
    const agrees = await receive((response, { method }) =>
      response.writeHead(200, method === "OPTIONS" ? { "webhook-allowed-origin": "*" } : {}).end(),
    );
    const group = await pushing(agrees, { validate: true });
    await group.append("a1", "b2");
    await until(() => lag(group)).toBe(0);
    expect(agrees.calls[0].method).toBe("OPTIONS");
    expect(agrees.calls[0].headers["webhook-request-origin"]).toBe("millrace");
    const refuses = await receive((response) => response.writeHead(200).end());
    const refused = await pushing(refuses, { validate: true });
    await refused.append("a1");
    await until(async () => (await attempts(refused))[0]?.error).toContain("did not agree");
    expect(refuses.calls.every(({ method }) => method === "OPTIONS")).toBe(true);
  });

  test("that fails one record of a batch gets all the others, and the one is found", async () => {
    const receiver = await receive((response, { body }) =>
      response.writeHead(body.includes('"bad7"') ? 500 : 200).end(),
    );
    const group = await pushing(
      receiver,
      { format: "batch", concurrency: 1 },
      { batch: { records: 20 }, onFailure: "skip", maxDeliveries: 2 },
    );
    await group.append(
      ...Array.from({ length: 20 }, (_, index) =>
        index === 7 ? "bad7" : `k${String.fromCharCode(97 + index)}${index}`,
      ),
    );
    await until(async () => (await group.get("/status")).json.deadLetters).toBe(1);
    await until(() => lag(group)).toBe(0);
    const good = receiver.calls.filter(({ body }) => !body.includes('"bad7"')).flatMap(({ body }) => JSON.parse(body));
    expect(new Set(good.map(({ millraceoffset }: { millraceoffset: string }) => millraceoffset)).size).toBe(19);
    const [letter] = (await group.get("/dead-letters")).json.letters;
    expect(letter).toMatchObject({ offset: 7, attempts: 2, reason: "HTTP 500", data: "bad7" });
  });

  test("that fails one key for ever gets the others as if nothing were", async () => {
    const receiver = await receive((response, { body }) => response.writeHead(body.includes("bad") ? 500 : 200).end());
    const group = await pushing(receiver, {}, { onFailure: "park", maxDeliveries: 2 });
    await group.append("bad1", "a2", "bad3", "a4", "b5");
    await until(async () => (await group.get("/status")).json.deadLetters).toBe(1);
    await until(() => lag(group)).toBe(2);
    expect(receiver.data.filter((one) => !String(one).startsWith("bad"))).toEqual(
      expect.arrayContaining(["a2", "a4", "b5"]),
    );
    expect(receiver.data).not.toContain("bad3");
    expect((await group.get("/status")).json).toMatchObject({ deadLetters: 1, lanes: { parked: 1 } });
  });
});

test("a group that is deleted pushes no more", async () => {
  const receiver = await receive((response) => setTimeout(() => response.writeHead(200).end(), 20));
  const group = await pushing(receiver, { concurrency: 1 });
  await group.append(...Array.from({ length: 50 }, (_, index) => `k${index}`));
  await until(() => receiver.calls.length).toBeGreaterThan(2);
  expect((await millrace.call("DELETE", group.path)).status).toBe(204);
  const then = receiver.calls.length;
  await group.append("late1");
  await expect.poll(() => receiver.open, { timeout: 2_000 }).toBe(0);
  expect(receiver.calls.length).toBeLessThanOrEqual(then + 1);
});
