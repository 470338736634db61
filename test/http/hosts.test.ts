/** What stands in the Host, or where the target should begin, never becomes the path, and never a 500. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", "/v1/default/streams/t1", {});
});
afterAll(() => millrace.end());

function ask(method: string, target: string, host: string, more = ""): Promise<{ status: number; text: string }> {
  const { hostname, port } = new URL(millrace.url);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve({ status: Number(text.slice(9, 12)), text }));
    socket.write(
      `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`,
    );
  });
}

const targets = [
  "/healthz",
  "/docs",
  "/v1/config",
  "/v1/default/streams?limit=1",
  "/v1/default/streams/t1",
  "/v1/default/streams/t1/records?from=0",
  "/v1/default/streams/t1/live?ticket=a",
  "/nowhere?ticket=a",
];
const good = [
  "h",
  "h:80",
  "127.0.0.1:8787",
  "[::1]",
  "[::1]:80",
  "EXAMPLE.com.",
  "ex_ample.com",
  "xn--mnchen-3ya.de",
  "x:",
];
const wrong = ["x:99999", "x:a", "[::", "a<b", "a b", "h:80:80", "h\\x", "a@b", "h?x", "h#x", "h/", "h//v1/config"];
const paths = ["h/v1/default/streams/t1?", "h/healthz?", "h/healthz#", "x@h/healthz?"];

describe.each(targets)("%s", (target) => {
  test.each([...wrong, ...paths])("of %s is refused before anything is looked at", async (host) => {
    for (const more of ["", "Origin: https://page.example\r\n"]) {
      const { status, text } = await ask("GET", target, host, more);
      expect(status, text).toBe(400);
      expect(text).toContain('"code":"bad-host"');
    }
  });

  test.each(good)("of %s is answered as of any other", async (host) => {
    // One that is refused between two that are not changes nothing.
    for (const one of [host, "h/healthz?", host, "other", host]) {
      const { status, text } = await ask("GET", target, one);
      if (one === "h/healthz?") expect(status).toBe(400);
      else expect([200, 404, 426], text).toContain(status);
    }
  });
});

test.each([":99999", ":a", "<", "[", "x:99999/v1/config"])(
  "a target %s that does not begin a path is no 500",
  async (target) => {
    const { status, text } = await ask("GET", target, "h");
    expect(status, text).toBeGreaterThanOrEqual(200);
    expect(status, text).toBeLessThan(500);
  },
);

test.each(["PROPFIND", "TRACE", "QUERY", "PATCH", "SEARCH"])("%s is a method that no route knows", async (method) => {
  const { status, text } = await ask(method, "/v1/config", "h");
  expect(status, text).toBe(405);
  expect(text).toContain('"code":"method-not-allowed"');
});
