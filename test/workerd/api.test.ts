/** The binding for other Workers: what its props allow, and nothing else. */
import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { StreamMessage } from "../../schemas/frames.ts";
import type { ApiProps, MillraceApi } from "../../src/worker-api.ts";
import { call } from "./call.ts";

const bound = (props: ApiProps) =>
  (exports as unknown as { MillraceApi: (options: { props: ApiProps }) => MillraceApi & Fetcher }).MillraceApi({
    props,
  });

/** A promise of RPC is more than a promise, and a matcher would ask it twice. */
async function reasonOf(asked: Promise<unknown>): Promise<string> {
  try {
    await asked;
    return "it was done";
  } catch (error) {
    return (error as Error).message;
  }
}

test("appends, reads and consumes by RPC, in the namespace of its props", async () => {
  await call("PUT", "/v1/team");
  const api = bound({ namespace: "team", rights: ["read", "append", "consume", "admin"] });
  expect((await api.putStream("orders", { partitions: 2 })).namespace).toBe("team");
  const verdicts = await api.append("orders", [
    { key: "a", data: 1 },
    { key: "b", data: 2 },
  ]);
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(["appended", "appended"]);
  const page = await api.read("orders");
  expect(page.records.map(({ data }) => data).sort()).toEqual([1, 2]);
  expect(await api.read("orders", { from: page.cursor as string })).toMatchObject({ records: [], lost: [] });
  await api.putGroup("orders", "g");
  const deliveries = await api.receive("orders", "g", { max: 10, waitSeconds: 5 });
  expect(deliveries.length).toBeGreaterThan(0);
  await api.ack(
    "orders",
    "g",
    deliveries.slice(0, 1).map(({ receipt }) => receipt),
  );
  await api.nack(
    "orders",
    "g",
    deliveries.slice(1).map(({ receipt }) => receipt),
    { delayMs: 0 },
  );
  expect((await api.groupStatus("orders", "g")).lag).toBe(1);
  expect((await call("GET", "/v1/default/streams/orders")).status).toBe(404);
  await api.deleteStream("orders");
  expect(await reasonOf(api.stream("orders"))).toContain("stream-not-found");
});

test("says what a page misses that was trimmed before it was read", async () => {
  const api = bound({ rights: ["read", "append", "admin"] });
  await api.putStream("trimmed");
  await api.append("trimmed", [{ data: 1 }, { data: 2 }, { data: 3 }]);
  await call("POST", "/v1/default/streams/trimmed/partitions/0/trim", { beforeOffset: 2 });
  const { records, lost } = await api.read("trimmed", { from: 1 });
  expect(records.map(({ data }) => data)).toEqual([3]);
  expect(lost).toEqual([{ partition: 0, from: 1, to: 2, why: "trimmed" }]);
});

test("does no more than its rights", async () => {
  await call("PUT", "/v1/default/streams/bound");
  const reader = bound({});
  expect((await reader.read("bound")).records).toEqual([]);
  expect(await reasonOf(reader.append("bound", [{ data: 1 }]))).toContain("forbidden");
  expect(await reasonOf(reader.deleteStream("bound"))).toContain("forbidden");
  expect(await reasonOf(reader.receive("bound", "g"))).toContain("forbidden");
  const elsewhere = await reader.fetch("http://millrace/v1/team/streams/orders/records");
  expect(elsewhere.status).toBe(403);
  // A token that a caller adds makes it no more.
  const bolder = await reader.fetch("http://millrace/v1", { headers: { authorization: "Bearer test-token" } });
  expect(bolder.status).toBe(403);
});

test("hands sockets through", async () => {
  await call("PUT", "/v1/default/streams/socketed");
  const api = bound({ rights: ["read", "append"] });
  const response = await api.fetch("http://millrace/v1/default/streams/socketed/live", {
    headers: { upgrade: "websocket" },
  });
  const socket = response.webSocket as WebSocket;
  const messages: StreamMessage[] = [];
  socket.addEventListener("message", ({ data }) => messages.push(JSON.parse(String(data))));
  socket.accept();
  socket.send(JSON.stringify({ type: "append", id: 1, records: [{ data: 7 }] }));
  socket.send(JSON.stringify({ type: "subscribe", id: 2, from: "earliest", credits: 10 }));
  await expect.poll(() => messages.some(({ type }) => type === "records")).toBe(true);
  expect(messages.map(({ type }) => type)).toContain("verdicts");
  socket.close();
});
