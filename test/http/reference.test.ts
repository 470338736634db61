import { afterAll, beforeAll, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { routes } from "../../src/http/app.ts";
import { causes } from "../../src/http/causes.ts";
import { operations } from "../../src/http/operations.ts";
import { type Service, service } from "./service.ts";

interface Parameter {
  readonly name: string;
  readonly description?: string;
  readonly schema: { readonly description?: string };
}

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

test("every parameter says what it is", async () => {
  const { json: document } = await millrace.call("GET", "/openapi.json");
  const operations = Object.entries<Record<string, { parameters: Parameter[] }>>(document.paths).flatMap(
    ([path, methods]) => Object.entries(methods).map(([method, { parameters }]) => ({ path, method, parameters })),
  );
  const mute = operations.flatMap(({ path, method, parameters }) =>
    parameters
      .filter(({ description, schema }) => !(description ?? schema.description))
      .map(({ name }) => `${method} ${path}: ${name}`),
  );
  expect(mute).toEqual([]);
  expect(operations.length).toBeGreaterThan(50);
});

test("the type of a refusal leads to what it comes from, and what to do", async () => {
  const { json } = await millrace.call("GET", "/v1/default/streams/none");
  expect(json.type).toBe("/docs#stream-not-found");
  const { text } = await millrace.call("GET", "/docs");
  for (const code of Object.keys(errors) as ErrorCode[]) {
    const row = new RegExp(`<tr id="${code}">(.*)`).exec(text)?.[1] ?? "";
    expect(row, code).toContain(causes[code].slice(0, 12).replace(/[`"&].*/, ""));
    expect(causes[code].length, code).toBeGreaterThan(30);
  }
});

test("the configuration shows the limits that are enforced", async () => {
  expect((await millrace.call("GET", "/v1/config")).json).toMatchObject({ limits, version: "0.1.0" });
});
