/** Tickets: which are taken, and that what was opened with one ends with it. */
import { hkdfSync } from "node:crypto";
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Millrace } from "../../src/client/index.ts";
import { EventReader } from "./event-reader.ts";
import { newGroup, newStream } from "./group.ts";
import { Member } from "./member.ts";
import { type Service, service, token } from "./service.ts";
import { StreamSocket } from "./stream-socket.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

const ticketFor = async (stream: string, body: object): Promise<string> =>
  (await millrace.call("POST", `${stream}/tickets`, body)).json.ticket;
const bearer = (ticket: string) => ({ authorization: `Bearer ${ticket}` });

describe("a signed ticket", () => {
  const key = new Uint8Array(hkdfSync("sha256", token, "", "millrace ticket", 32));
  const later = () => Math.floor(Date.now() / 1_000) + 60;
  const sign = (claims: object, by: Uint8Array = key) =>
    new SignJWT({ iss: "millrace", ...claims }).setProtectedHeader({ alg: "HS256" }).sign(by);
  const whole = (stream: string) => ({ rights: ["read"], namespace: "default", stream, exp: later() });
  const status = async (stream: string, ticket: string) => {
    const response = await fetch(`${millrace.url}/v1/default/streams/${stream}/records`, { headers: bearer(ticket) });
    return [response.status, ((await response.json()) as { code?: string }).code];
  };

  test("is taken by the key that is derived from the root token, and says what it is for", async () => {
    const stream = (await newStream(millrace)).split("/").pop() as string;
    expect(await status(stream, await sign(whole(stream)))).toEqual([200, undefined]);
    expect(await status(stream, await sign({ ...whole(stream), rights: ["append"] }))).toEqual([403, "forbidden"]);
    expect(await status(stream, await sign({ ...whole(stream), namespace: "other" }))).toEqual([403, "forbidden"]);
  });

  const undefinedOf = (name: string) => ({ [name]: undefined });
  test.each<[string, object]>([
    ...["exp", "namespace", "stream", "rights", "iss"].map((name): [string, object] => [
      `no ${name}`,
      undefinedOf(name),
    ]),
    ["an exp that is a text", { exp: "never" }],
    ["a namespace that is a list", { namespace: ["default"] }],
    ["a stream that is none", { stream: null }],
    ["rights that are a text", { rights: "read" }],
    ["another issuer", { iss: "other" }],
  ])("with %s is refused", async (_, change) => {
    const stream = (await newStream(millrace)).split("/").pop() as string;
    expect(await status(stream, await sign({ ...whole(stream), ...change }))).toEqual([401, "unauthorized"]);
  });

  test("by the root token itself, by its hash, or by another key is refused; one that is over says so", async () => {
    const stream = (await newStream(millrace)).split("/").pop() as string;
    const text = (some: string) => new TextEncoder().encode(some);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", text(`millrace ticket ${token}`)));
    for (const by of [text(token), hash, new Uint8Array(32)]) {
      expect(await status(stream, await sign(whole(stream), by))).toEqual([401, "unauthorized"]);
    }
    expect(await status(stream, await sign({ ...whole(stream), exp: 1 }))).toEqual([401, "ticket-expired"]);
  });
});

describe("what was opened with a ticket ends with it, and says why:", () => {
  const over = { code: "ticket-expired", detail: expect.stringContaining("new one") };

  test.each([
    [1, ""],
    [3, ""],
    [3, "?partition=1"],
  ])("a socket of a stream of %i partitions %s", async (partitions, query) => {
    const stream = await newStream(millrace, { partitions });
    const ticket = await ticketFor(stream, { rights: ["read", "append"], expiresInSeconds: 1 });
    const client = await StreamSocket.open(`${millrace.url}${stream}/live${query}`, { headers: bearer(ticket) });
    client.send({ type: "subscribe", id: 1, from: "earliest", credits: 100 });
    expect(await client.untilClosed()).toMatchObject({ code: 4003, reason: over.detail });
    expect(client.of("error")).toMatchObject([{ ...over, fatal: true, retryable: false }]);
    await millrace.call("POST", `${stream}/records`, { records: [{ data: 1 }] });
    expect(client.records()).toEqual([]);
  });

  test.each([1, 2])(
    "a member's socket of a group on %i partitions, and its records count no attempt",
    async (partitions) => {
      const group = await newGroup(millrace, { backoff: [0] }, { partitions });
      await group.append("a1", "b2", "c3", "d4");
      const ticket = await ticketFor(group.stream, { rights: ["consume"], expiresInSeconds: 1 });
      const member = await Member.open(millrace, group.path, ticket);
      member.send({ type: "credit", credits: 10 });
      await member.until(4);
      await expect.poll(() => member.closed, { timeout: 10_000 }).toMatchObject({ code: 4003, reason: over.detail });
      expect(member.messages.filter(({ type }) => type === "error")).toMatchObject([
        { ...over, fatal: true, retryable: false, clean: true },
      ]);
      const got = new Map<number, number>();
      const all = async () => {
        for (const { offset, partition, attempt } of await group.receive()) got.set(partition * 100 + offset, attempt);
        return got.size;
      };
      await expect.poll(all, { timeout: 10_000 }).toBe(4);
      expect([...got.values()]).toEqual([1, 1, 1, 1]);
    },
  );

  test("a stream of events", async () => {
    const stream = await newStream(millrace);
    const ticket = await ticketFor(stream, { expiresInSeconds: 1 });
    const reader = await EventReader.open(`${millrace.url}${stream}/records?from=latest`, bearer(ticket));
    expect((await reader.until(1, "problem"))[0].data).toMatchObject(over);
    await expect.poll(() => reader.ended).toBe(true);
  });

  test("everything up to the tail, in every form, breaks off", { timeout: 60_000 }, async () => {
    const stream = await newStream(millrace);
    // More than a connection holds by itself, which may be some 40 MB.
    const type = { "content-type": "application/octet-stream" };
    const body = Buffer.alloc(900_000, 7);
    for (let at = 0; at < 70; at++) {
      expect((await millrace.call("POST", `${stream}/records`, body, type)).status).toBe(201);
    }
    const ticket = await ticketFor(stream, { expiresInSeconds: 1 });
    const forms = ["application/json", "application/x-ndjson", "application/vnd.millrace.frames"];
    const slow = forms.map(async (accept) => {
      const answer = await fetch(`${millrace.url}${stream}/records?maxBytes=all`, {
        headers: { accept, ...bearer(ticket) },
      });
      expect(answer.status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      return answer.arrayBuffer().then(
        ({ byteLength }) => `whole: ${byteLength}`,
        () => "broken off",
      );
    });
    expect(await Promise.all(slow)).toEqual(forms.map(() => "broken off"));
  });

  test.each([1, 2])("a read and a receive that wait, over %i partitions", async (partitions) => {
    const group = await newGroup(millrace, {}, { partitions });
    await group.append("a1");
    await group.ack((await group.receive())[0]);
    const ticket = await ticketFor(group.stream, { rights: ["read", "consume"], expiresInSeconds: 1 });
    const began = Date.now();
    const headers = { ...bearer(ticket), "content-type": "application/json" };
    const [page, got] = await Promise.all([
      fetch(`${millrace.url}${group.stream}/records?from=latest&wait=20`, { headers }),
      fetch(`${millrace.url}${group.path}/receive`, { method: "POST", headers, body: '{"waitSeconds":20}' }),
    ]);
    expect(await page.json()).toMatchObject({ records: [] });
    expect(await got.json()).toMatchObject({ deliveries: [] });
    expect(Date.now() - began).toBeLessThan(8_000);
  });
});

describe("the library", () => {
  const browser = (ticket: () => Promise<string>) =>
    new Millrace({ url: millrace.url, ticket, retry: { initialMs: 1 } });

  test.each([1, 2])("goes on with new tickets, on %i partitions", async (partitions) => {
    const path = await newStream(millrace, { partitions });
    const name = path.split("/").pop() as string;
    let asked = 0;
    const ticket = () => {
      asked++;
      return ticketFor(path, { rights: ["read", "consume"], expiresInSeconds: 1 });
    };
    const stream = browser(ticket).stream<number>(name);
    await newGroup(millrace, {}, path).then(async (group) => {
      const worked: number[] = [];
      const consumer = stream.group(group.name).consume(({ data }) => void worked.push(data));
      const seen: number[] = [];
      const follower = (async () => {
        for await (const { data } of stream.follow({ from: "earliest" })) {
          seen.push(data);
          if (data === 9) return;
        }
      })();
      for (let data = 0; data < 10; data++) {
        await millrace.call("POST", `${path}/records`, { records: [{ key: "k", data }] });
        // So that each has had its tickets end more than once.
        const [before] = [asked];
        if (data % 4 === 3) await expect.poll(() => asked, { timeout: 10_000 }).toBeGreaterThan(before + 1);
      }
      await follower;
      expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      await expect.poll(() => worked, { timeout: 10_000 }).toEqual(seen);
      await consumer.stop();
    });
  });

  test("ends where it has one ticket only", async () => {
    const path = await newStream(millrace);
    const ticket = await ticketFor(path, { expiresInSeconds: 1 });
    const stream = new Millrace({ url: millrace.url, ticket }).stream(path.split("/").pop() as string);
    const follow = async () => {
      for await (const _ of stream.follow());
    };
    await expect(follow()).rejects.toMatchObject({ code: "ticket-expired" });
  });
});
