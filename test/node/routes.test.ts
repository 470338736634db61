/** Which handler a path comes to, and by which router: the fast one does not do with every set of paths; and where one is pointed to that comes to none. */
import { describe, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { app, routes } from "../../src/http/app.ts";

const env = { MILLRACE_ROOT_TOKEN: "token" };
const ask = (path: string, method: string, headers = {}) => app.request(path, { method, headers }, env);
const concrete = (path: string) => path.replaceAll(/:(\w+)/g, "$1-1");

test("every route is found, with its methods and no others, by the fast router", async () => {
  for (const [path, methods] of Object.entries(routes)) {
    for (const method of Object.keys(methods)) expect((await ask(concrete(path), method)).status, path).toBe(401);
    const wrong = await ask(concrete(path), "OPTIONS");
    expect([wrong.status, wrong.headers.get("allow")?.split(", ").slice(0, 1)]).toEqual([
      405,
      Object.keys(methods).slice(0, 1),
    ]);
    expect((await ask(`${concrete(path)}/nothing/of/the/kind`, "GET")).status).toBe(404);
  }
  expect(app.router.name).toBe("SmartRouter + RegExpRouter");
});

test("the configuration is no namespace, and what begins like it is one", async () => {
  const headers = { authorization: "Bearer token" };
  const config = await ask("/v1/config", "GET", headers);
  expect(await config.json()).toMatchObject({ limits: { recordBytesMax: limits.recordBytesMax } });
  expect((await ask("/v1/config", "DELETE", headers)).headers.get("allow")).toBe("GET, HEAD");
  expect((await ask("/v1/configs", "OPTIONS", headers)).headers.get("allow")).toBe("GET, PUT, DELETE, HEAD");
});

describe("a path that is no route is answered with the one that comes nearest:", () => {
  const near = async (path: string) => {
    const answer = await ask(path, "GET");
    const { code, detail, nearest } = (await answer.json()) as Record<string, string>;
    expect([answer.status, code], path).toEqual([404, "unknown-route"]);
    expect(detail).toContain("see /docs");
    if (nearest !== undefined) expect(detail).toContain(`comes nearest is ${nearest}`);
    return nearest;
  };
  const named = Object.keys(routes).map((path) => concrete(path.replace(":ns", "default")));

  test.each<[string, (path: string) => string]>([
    ["a slash at its end", (path) => `${path}/`],
    ["slashes too many", (path) => path.replaceAll("/", "//")],
    ["without its version", (path) => path.slice("/v1".length)],
    ["with another version", (path) => path.replace("/v1", "/v2")],
    ["without its namespace", (path) => path.replace("/default", "")],
    ["without both", (path) => path.slice("/v1/default".length)],
    ["streams in the singular", (path) => path.replace("streams/", "stream/")],
    ["groups in the singular", (path) => path.replace("groups/", "group/")],
    ["records in the singular", (path) => path.replace("records", "record")],
    ["letters that changed places", (path) => path.replace(/ei(?=ve$)/, "ie")],
    ["in capitals", (path) => path.replace(/[^/]+$/, (word) => (/-1$/.test(word) ? word : word.toUpperCase()))],
  ])("%s", async (_, change) => {
    let found = 0;
    for (const path of named) {
      const changed = change(path);
      // What is a route by chance has another answer.
      if (changed === path || changed === "" || (await ask(changed, "OPTIONS")).status !== 404) continue;
      // `/v1` and a name are too little to tell.
      if (!/\/(streams|config)/.test(path)) continue;
      expect(await near(changed), changed).toBe(path);
      found++;
    }
    expect(found).toBeGreaterThan(0);
  });

  test.each([
    ["/health", "/healthz"],
    ["/doc", "/docs"],
    ["/v1/orders/records", "/v1/default/streams/orders/records"],
    ["/v1/default/orders/records", "/v1/default/streams/orders/records"],
    ["/nowhere", undefined],
    ["/favicon.ico", undefined],
    ["/v1/default/streams/a/b/c/d", undefined],
  ])("%s: %s", async (path, nearest) => expect(await near(path)).toBe(nearest));

  test("none for what is long", async () => {
    expect(await near(`/v1/default/streams/${"a/".repeat(3_000)}`)).toBeUndefined();
    expect(await near(`/v1/default/${"s".repeat(9_000)}/a`)).toBeUndefined();
  });

  test.each([
    ["/v1", "PUT /v1/{ns} creates"],
    ["/v1/default/streams", "PUT /v1/default/streams/{stream} creates"],
    ["/v1/default/streams/orders", "POST /v1/default/streams/orders/records appends"],
    ["/v1/default/streams/orders/groups", "PUT /v1/default/streams/orders/groups/{group} creates"],
    ["/v1/default/streams/orders/groups/a", "not POST"],
  ])("a POST of %s says %s", async (path, says) => {
    const answer = await ask(path, "POST");
    expect([answer.status, ((await answer.json()) as { detail: string }).detail]).toEqual([
      405,
      expect.stringContaining(says),
    ]);
  });
});

test.each(["token", "Basic dG9rZW4=", "Token token", "Bearer", "Bearer:token"])(
  "'%s' as Authorization is told its form",
  async (authorization) => {
    const answer = await ask("/v1", "GET", { authorization });
    expect([answer.status, ((await answer.json()) as { detail: string }).detail]).toEqual([
      401,
      expect.stringContaining("'Authorization: Bearer <token>'"),
    ]);
  },
);
