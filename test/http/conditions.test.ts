/** A condition that is sent is looked at, or refused: on every route that changes something. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { conditions } from "../../src/http/conditions.ts";
import { operations } from "../../src/http/operations.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(async () => await millrace.end());

const changes = Object.entries(operations).flatMap(([path, methods]) =>
  Object.keys(methods).flatMap((method) =>
    method === "GET" ? [] : conditions.map((condition) => [method, path, condition] as const),
  ),
);

const names: Record<string, string> = { ns: "default", stream: "kept", group: "kept", partition: "0" };
const json = { "content-type": "application/json" };

test("there are routes that change something", () => expect(changes.length).toBeGreaterThan(60));

test.each(changes)("%s %s with %s", async (method, path, condition) => {
  const asked = path.replaceAll(/:(\w+)/g, (_, name) => names[name] ?? "1");
  const known = Object.hasOwn(operations[path][method].headers ?? {}, condition);
  const headers = { ...json, [condition]: "wrong" };
  const { status, json: said } = await millrace.call(method, asked, method === "DELETE" ? undefined : "{}", headers);
  expect({ status, ...said }).toMatchObject({ status: 400, code: "invalid", path: condition.toLowerCase() });
  expect(said.detail).toContain(known ? "send" : "leave it out");
});

test("nothing is deleted, or made, on a condition that nobody looks at", async () => {
  const path = "/v1/default/streams/kept";
  await millrace.call("PUT", path, {});
  await millrace.call("PUT", `${path}/groups/kept`, {});
  for (const [method, one] of [
    ["DELETE", `${path}/groups/kept`],
    ["DELETE", path],
    ["PUT", path],
    ["PATCH", path],
  ]) {
    const body = method === "DELETE" ? undefined : { retentionRecords: 5 };
    const refused = await millrace.call(method, one, body, { "if-match": '"nope"' });
    expect(refused).toMatchObject({ status: 400, json: { code: "invalid", path: "if-match" } });
  }
  expect((await millrace.call("GET", path)).json.config.retentionRecords).toBe(null);
  expect((await millrace.call("GET", `${path}/groups/kept`)).status).toBe(200);
  // What HTTP has for reads alone says nothing of a change.
  const read = { "if-modified-since": new Date().toUTCString(), "if-range": '"x"' };
  expect((await millrace.call("DELETE", path, undefined, read)).status).toBe(204);
});
