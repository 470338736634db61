/** Pages of other origins: what a browser asks first, and what it is allowed to see. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const records = "/v1/default/streams/pages/records";
beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", "/v1/default/streams/pages");
});
afterAll(() => millrace.end());

const origin = { origin: "https://shop.example" };

test("a preflight is answered without a token", async () => {
  const response = await fetch(millrace.url + records, {
    method: "OPTIONS",
    headers: {
      ...origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  });
  expect(response.status).toBe(204);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("access-control-allow-methods")).toContain("POST");
  expect(response.headers.get("access-control-allow-headers")).toContain("authorization");
  expect(response.headers.get("access-control-allow-credentials")).toBeNull();
});

test.each([
  "authorization",
  "content-type",
  "producer-id",
  "last-event-id",
  "ce-specversion",
  "ce-partitionkey",
  "ce-anything",
])("a page may send the header %s", async (name) => {
  const asks = { "access-control-request-method": "POST", "access-control-request-headers": name };
  const { headers } = await fetch(millrace.url + records, { method: "OPTIONS", headers: { ...origin, ...asks } });
  const allowed = (headers.get("access-control-allow-headers") ?? "").split(",").map((one) => one.trim());
  // As the Fetch standard has it: the star is every header but this one, where no credentials of the browser's are sent.
  expect(allowed.includes(name) || (allowed.includes("*") && name !== "authorization")).toBe(true);
});

test("answers and refusals may be seen, with the headers that a reader needs", async () => {
  const get = (headers: Record<string, string>) =>
    fetch(millrace.url + records, { headers: { ...origin, ...headers } });
  const read = await get({ authorization: `Bearer ${token}` });
  expect(read.status).toBe(200);
  expect(read.headers.get("access-control-allow-origin")).toBe("*");
  expect(read.headers.get("access-control-expose-headers")).toContain("millrace-cursor");
  const refused = await get({});
  expect(refused.status).toBe(401);
  expect(refused.headers.get("access-control-allow-origin")).toBe("*");
  const events = await get({ authorization: `Bearer ${token}`, accept: "text/event-stream" });
  expect(events.headers.get("access-control-allow-origin")).toBe("*");
  await events.body?.cancel();
});

test("who is no browser is told nothing of it", async () => {
  const { headers } = await millrace.call("GET", records);
  expect(headers.get("access-control-allow-origin")).toBeNull();
  expect((await millrace.call("OPTIONS", records)).status).toBe(405);
});
