/** Bodies that break off, stop, come too slowly, or are too many: the client's fault, and told so, while others are served. */
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { archived } from "./archived.ts";
import { type Service, token } from "./service.ts";

let millrace: Service;
const stream = "/v1/default/streams/bodies";
beforeAll(async () => {
  millrace = await archived();
  await millrace.call("PUT", stream, {});
  await millrace.call("POST", `${stream}/records`, { records: [{ data: 1 }] });
});
afterAll(() => millrace.end());

/** Every door that takes a body, with one of a length that is more than it keeps in one read, where there is such. */
const doors: readonly (readonly [what: string, method: string, path: () => string | Promise<string>, bytes: number])[] =
  [
    ["a small append", "POST", () => `${stream}/records?raw=true`, 1_000],
    ["a large append", "POST", () => `${stream}/records?raw=true`, 900_000],
    ["a definition", "PUT", () => stream, 1_000],
    ["a snapshot", "PUT", () => `${stream}/snapshots/1`, 900_000],
    [
      "a snapshot's part",
      "PUT",
      async () =>
        `${stream}/snapshots/1/uploads/${(await millrace.call("POST", `${stream}/snapshots/1/uploads`, {})).json.upload}/1`,
      900_000,
    ],
    ["a stream's dump", "POST", () => `/v1/default/streams/restored/restore?dump=${"a".repeat(64)}`, 1_000],
  ];

interface Said {
  readonly status: number;
  readonly code: string | undefined;
  readonly clean: boolean | undefined;
  readonly retryAfter: boolean;
}

class Sender {
  readonly socket: Socket;
  readonly #text: Promise<string>;

  constructor(method: string, path: string, head: string) {
    const { hostname, port, host } = new URL(millrace.url);
    this.socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    this.socket.on("error", () => {});
    this.#text = new Promise((resolve) => {
      let text = "";
      this.socket.on("data", (data) => {
        text += data.toString("latin1");
        const body = text.indexOf("\r\n\r\n");
        // Problems end so, and so does whatever else is answered here.
        if (body > 0 && text.endsWith("}\n")) resolve(text);
      });
      this.socket.on("close", () => resolve(text));
    });
    this.socket.write(
      `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${path.includes("/restore") ? "application/vnd.millrace.dump" : "application/json"}\r\n${head}\r\n\r\n`,
    );
  }

  async said(): Promise<Said> {
    const text = await this.#text;
    this.socket.destroy();
    const { code, clean } = JSON.parse(/\{.*\}/s.exec(text)?.[0] ?? "{}");
    return { status: Number(text.slice(9, 12)), code, clean, retryAfter: /^retry-after:/im.test(text) };
  }
}

const chunk = (bytes: number) => `${bytes.toString(16)}\r\n${" ".repeat(bytes)}\r\n`;

describe.each(doors)("%s", (_, method, path, bytes) => {
  const cut: Said = { status: 400, code: "body-cut-off", clean: true, retryAfter: false };

  test("that is shorter than it says", async () => {
    const sender = new Sender(method, await path(), `Content-Length: ${bytes}`);
    sender.socket.end(" ".repeat(bytes / 2));
    expect(await sender.said()).toEqual(cut);
  });

  test("whose chunks break off", async () => {
    const sender = new Sender(method, await path(), "Transfer-Encoding: chunked");
    sender.socket.end(chunk(bytes / 2));
    expect(await sender.said()).toEqual(cut);
  });

  test("with a broken chunk", async () => {
    const sender = new Sender(method, await path(), "Transfer-Encoding: chunked");
    sender.socket.write(`${chunk(bytes / 2)}ZZ\r\n`);
    expect(await sender.said()).toEqual(cut);
  });
});

test("a body that stops, or drips, ends with 408, and one that only rests goes on", { timeout: 90_000 }, async () => {
  const late: Said = { status: 408, code: "body-too-slow", clean: true, retryAfter: false };
  const heads = [(bytes: number) => `Content-Length: ${bytes}`, () => "Transfer-Encoding: chunked"];
  const cases = doors.flatMap(([what, method, path, bytes]) =>
    heads.flatMap((head, index) => [false, true].map((drips) => ({ what, method, path, bytes, head, index, drips }))),
  );
  const answers = cases.map(async ({ method, path, bytes, head, index, drips }) => {
    const sender = new Sender(method, await path(), head(bytes));
    // What has come well may drip for longer: a rate is asked for, not a time.
    const begun = drips ? 100 : bytes / 2;
    sender.socket.write(index === 0 ? " ".repeat(begun) : chunk(begun));
    const drip = setInterval(() => {
      if (drips) sender.socket.write(index === 0 ? " " : chunk(1));
    }, 1_000);
    const said = await sender.said();
    clearInterval(drip);
    return said;
  });
  const resting = (async () => {
    const sender = new Sender("POST", `${stream}/records?raw=true`, "Content-Length: 200000");
    const half = `"${"x".repeat(99_998)}"`;
    sender.socket.write(" ".repeat(100_000));
    await pause(5_000);
    sender.socket.write(half);
    return sender.said();
  })();
  const all = await Promise.all(answers);
  for (const [index, said] of all.entries()) expect(said, JSON.stringify(cases[index])).toEqual(late);
  expect((await resting).status).toBe(201);
  expect(errors["body-too-slow"]).toMatchObject({ retryable: true, clean: true });
});

test("bodies beyond what an isolate reads at once are refused, small ones and other routes are served", {
  timeout: 60_000,
}, async () => {
  const size = limits.batchBytesMax;
  const senders = Array.from({ length: 12 }, () => {
    const sender = new Sender("POST", `${stream}/records?raw=true`, `Content-Length: ${size}`);
    sender.socket.write(Buffer.alloc(size - 1, 32));
    return sender;
  });
  const said = await Promise.all(senders.map((sender) => sender.said()));
  const refused = said.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThanOrEqual(senders.length - Math.floor(limits.bodiesBytesMax / size) - 1);
  expect(refused.length).toBeLessThan(senders.length);
  for (const one of refused) expect(one).toEqual({ status: 429, code: "too-many", clean: true, retryAfter: true });
  for (const { status } of said) expect([408, 429]).toContain(status);
  const body = Buffer.from('{"records":[{"data":2}]}');
  expect((await millrace.call("POST", `${stream}/records`, body, { "content-type": "application/json" })).status).toBe(
    201,
  );
  // What was held is given back: as much again is read.
  const whole = JSON.stringify({ records: Array.from({ length: 8 }, () => ({ data: "y".repeat(900_000) })) });
  const again = await Promise.all(
    Array.from({ length: 5 }, () =>
      millrace.call("POST", `${stream}/records`, Buffer.from(whole), { "content-type": "application/json" }),
    ),
  );
  expect(again.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
});

test("what is at hand of snapshots that do not say their length counts with the bodies, and is given back", {
  timeout: 90_000,
}, async () => {
  const count = 16;
  const size = limits.snapshotPartBytes - 200_000;
  const begun = await millrace.call("POST", `${stream}/snapshots/1/uploads`, {});
  const paths = ["snapshots/0", `snapshots/1/uploads/${begun.json.upload}/1`];
  const senders = Array.from({ length: count }, (_, index) => {
    const sender = new Sender("PUT", `${stream}/${paths[index % 2]}`, "Transfer-Encoding: chunked");
    sender.socket.write(chunk(size));
    return sender;
  });
  const said = await Promise.all(senders.map((sender) => sender.said()));
  const refused = said.filter(({ status }) => status === 429);
  // One that is given up makes room for another that waits.
  expect(refused.length).toBeGreaterThan((count - Math.ceil(limits.bodiesBytesMax / size)) / 2);
  expect(refused.length).toBeLessThan(count);
  for (const one of refused) expect(one).toEqual({ status: 429, code: "too-many", clean: true, retryAfter: true });
  for (const { status } of said) expect([408, 429]).toContain(status);
  const whole = Array.from({ length: 2 }, async () => {
    const body = new ReadableStream({
      pull(controller) {
        for (let at = 0; at < 20; at++) controller.enqueue(Buffer.alloc(1_000_000, at));
        controller.close();
      },
    });
    const headers = { authorization: `Bearer ${token}` };
    const to = `${millrace.url}${stream}/snapshots/1`;
    return (await fetch(to, { method: "PUT", body, headers, duplex: "half" } as RequestInit)).status;
  });
  expect(await Promise.all(whole)).toEqual([201, 201]);
  const kept = await fetch(`${millrace.url}${stream}/snapshots/1`, { headers: { authorization: `Bearer ${token}` } });
  const bytes = Buffer.from(await kept.arrayBuffer());
  expect(bytes.length).toBe(20_000_000);
  for (let at = 0; at < 20; at++) expect(bytes[at * 1_000_000 + 500_000]).toBe(at);
});

test("many small bodies that stop count from some hundred on; others are read", { timeout: 60_000 }, async () => {
  const size = 262_144;
  const room = limits.smallBodiesBytesMax + limits.bodiesBytesMax;
  const count = Math.ceil((room * 1.2) / size);
  const senders = Array.from({ length: count }, () => {
    const sender = new Sender("POST", `${stream}/records?raw=true`, `Content-Length: ${size}`);
    sender.socket.write(Buffer.alloc(size - 1, 32));
    return sender;
  });
  await pause(1_000);
  expect((await millrace.call("POST", `${stream}/records`, { records: [{ data: 3 }] })).status).toBe(201);
  const said = await Promise.all(senders.map((sender) => sender.said()));
  const statuses = Map.groupBy(said, ({ status }) => status);
  expect([...statuses.keys()].sort()).toEqual([408, 429]);
  expect(statuses.get(429)?.length).toBeGreaterThan(count / 20);
  const body = Buffer.alloc(size, 32);
  body.write('{"records":[{"data":4}]}');
  const type = { "content-type": "application/json" };
  const again = await Promise.all(
    Array.from({ length: 100 }, () => millrace.call("POST", `${stream}/records`, body, type)),
  );
  expect(new Set(again.map(({ status }) => status))).toEqual(new Set([201]));
});
