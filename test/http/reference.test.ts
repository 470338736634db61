import { afterAll, beforeAll, expect, test } from "vitest";
import { errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { routes } from "../../src/http/app.ts";
import { operations } from "../../src/http/operations.ts";
import { type Service, service } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
});
afterAll(() => millrace.end());

test("every route has its place in the reference", () => {
  const methods = (table: Readonly<Record<string, object>>) =>
    Object.entries(table).flatMap(([path, of]) => Object.keys(of).map((method) => `${method} ${path}`));
  expect(
    methods(operations)
      .filter((one) => one.includes("/v1"))
      .sort(),
  ).toEqual(methods(routes).sort());
});

test("the document names every route, and each of them answers", async () => {
  const document = (await millrace.call("GET", "/openapi.json")).json;
  expect(document.openapi).toBe("3.1.0");
  const known = Object.entries<Record<string, object>>(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  for (const route of known) {
    const [method, template] = route.split(" ");
    const path = template
      .replace("{ns}", "default")
      .replace("{stream}", "none")
      .replace("{partition}", "0")
      .replace("{group}", "none");
    const { json } = await millrace.call(method, path, method === "PUT" || method === "POST" ? "{" : undefined);
    expect(json?.code, route).not.toBe("unknown-route");
    expect(json?.code, route).not.toBe("method-not-allowed");
    const allowed = (await millrace.call("OPTIONS", path)).headers.get("allow") ?? "GET";
    for (const other of allowed.split(", ").filter((one) => one !== "HEAD"))
      expect(known).toContain(`${other} ${template}`);
  }
});

test("the reference is a page that needs nothing from elsewhere, and names every problem and limit", async () => {
  const { text, headers } = await millrace.call("GET", "/docs");
  expect(headers.get("content-type")).toContain("text/html");
  expect(text).not.toMatch(/<script|(src|href)="(https?:)?\/\//);
  for (const name of [...Object.keys(errors), ...Object.keys(limits)]) expect(text).toContain(`<code>${name}</code>`);
});

test("the configuration shows the limits that are enforced", async () => {
  expect((await millrace.call("GET", "/v1/config")).json).toMatchObject({ limits, version: "0.1.0" });
});
