/** Which handler a path comes to, and by which router: the fast one does not do with every set of paths. */
import { expect, test } from "vitest";
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
