import { afterAll, beforeAll, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { clientMessage, groupMessage, memberMessage, streamMessage } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { routes } from "../../src/http/app.ts";
import { causes } from "../../src/http/causes.ts";
import { operations } from "../../src/http/operations.ts";
import { type Service, service } from "./service.ts";

interface Typed {
  readonly type?: string;
}

interface Parameter {
  readonly name: string;
  readonly description?: string;
  readonly schema: Typed & { readonly description?: string; readonly anyOf?: readonly Typed[] };
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

test("it says itself what a socket is sent, and sends, and names no file that is not there", async () => {
  const { text } = await millrace.call("GET", "/docs");
  for (const message of [clientMessage, streamMessage, memberMessage, groupMessage]) {
    for (const { shape } of message.options) {
      const [type] = shape.type.values;
      const row = new RegExp(`<tr><td><code>${type}</code><td>(.*)`).exec(text)?.[1];
      expect(row, type).toBeDefined();
      for (const name of Object.keys(shape)) if (name !== "type") expect(text).toContain(`<code>${name}</code>`);
    }
  }
  expect(text).not.toMatch(/docs\/PROTOCOL|docs\/STORAGE\.md(?!(<\/code>|`) of the package)/);
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

/** Every operation, on a stream, a group and a snapshot that would be there. */
async function everyOperation() {
  const { json: document } = await millrace.call("GET", "/openapi.json");
  const names = {
    ns: "default",
    stream: "asked",
    partition: "0",
    group: "g",
    erasure: "e",
    snapshot: "1",
    upload: "u",
  };
  const pathOf = (template: string, method = "GET") =>
    template
      .replace("{part}", method === "POST" ? "complete" : "1")
      .replace(/\{(\w+)\}/g, (_, name: keyof typeof names) => names[name]);
  await millrace.call("PUT", pathOf("/v1/{ns}/streams/{stream}"), {});
  await millrace.call("PUT", pathOf("/v1/{ns}/streams/{stream}/groups/{group}"), {});
  return Object.entries<Record<string, { parameters: (Parameter & { in: string })[] }>>(document.paths)
    .filter(([template]) => template.startsWith("/v1"))
    .flatMap(([template, methods]) =>
      Object.entries(methods).map(([method, { parameters }]) => ({
        method: method.toUpperCase(),
        path: pathOf(template, method.toUpperCase()),
        query: parameters.filter((one) => one.in === "query"),
      })),
    );
}

/** What is read before the query must be right. */
function bodyOf(method: string, path: string): object | undefined {
  if (method === "GET" || method === "DELETE") return undefined;
  return path.endsWith("/complete") ? { parts: [{ number: 1, etag: "e" }] } : {};
}

test("a parameter that an operation does not have is named, and nothing is done", async () => {
  const asked = await everyOperation();
  expect(asked.length).toBeGreaterThan(50);
  for (const { method, path } of asked) {
    const { json } = await millrace.call(method, `${path}?Partition=0`, bodyOf(method, path));
    expect(json, `${method} ${path}`).toMatchObject({ status: 400, code: "unknown-field", fields: ["Partition"] });
  }
  expect((await millrace.call("GET", "/v1/default/streams/asked/groups/g")).status).toBe(200);
});

test("a number in a query is digits, and nothing else that could be read as one", async () => {
  const isNumber = ({ schema }: Parameter): boolean =>
    [schema, ...(schema.anyOf ?? [])].some(({ type }) => type === "integer" || type === "number");
  const asked = (await everyOperation()).flatMap(({ query, ...one }) =>
    query.filter(isNumber).map(({ name }) => ({ ...one, name })),
  );
  expect(asked.length).toBeGreaterThan(20);
  for (const { method, path, name } of asked) {
    for (const value of ["", "%205", "5%20", "0x5", "5e0", "+5", "-0", "5,0", "true", "%D9%A5", "Infinity", "null"]) {
      const { json } = await millrace.call(method, `${path}?${name}=${value}`, bodyOf(method, path));
      expect(json, `${method} ${path} ${name}=${value}`).toMatchObject({ status: 400, code: "invalid", path: name });
    }
  }
});

test("both forms of an append's verdicts are in the document", async () => {
  const { json: document } = await millrace.call("GET", "/openapi.json");
  const { responses } = document.paths["/v1/{ns}/streams/{stream}/records"].post;
  const stream = "/v1/default/streams/verdicts";
  await millrace.call("PUT", stream, {});
  for (const form of ["each", "runs"]) {
    const { status, json } = await millrace.call("POST", `${stream}/records?verdicts=${form}`, { records: [{}, {}] });
    expect(status).toBe(201);
    for (const code of [200, 201]) {
      const { anyOf } = responses[code].content["application/json"].schema;
      const forms = anyOf.map(({ properties }: { properties: object }) => Object.keys(properties));
      expect(forms).toContainEqual(Object.keys(json));
    }
  }
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
