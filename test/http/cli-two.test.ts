/** Two operators at once: what one does between another's look and change is not undone. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
let door: Server;
/** What the other one does just before the next change comes to the service. */
let meanwhile: (() => Promise<unknown>) | undefined;

beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
  door = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { method = "", url } = request;
    const isChange = !["GET", "HEAD"].includes(method) && !url?.includes("dryRun");
    if (isChange) {
      const others = meanwhile;
      meanwhile = undefined;
      await others?.();
    }
    const { host: _, connection: __, "content-length": ___, ...headers } = request.headers;
    const answer = await fetch(millrace.url + url, {
      method,
      headers: headers as Record<string, string>,
      ...(parts.length > 0 ? { body: Buffer.concat(parts) } : {}),
    });
    const passed = ["content-type", "etag"].map((name) => [name, answer.headers.get(name) ?? ""]);
    response.writeHead(answer.status, Object.fromEntries(passed));
    response.end(await answer.text());
  });
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
  door.close();
  await millrace.end();
});

let count = 0;
let [name, path] = ["", ""];
beforeEach(() => {
  name = `two-${count++}`;
  path = `/v1/default/streams/${name}`;
  meanwhile = undefined;
});

const run = (...args: string[]) => {
  const url = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  return runCli(args, { MILLRACE_URL: url, MILLRACE_TOKEN: token });
};
const configOf = async (of = path) => (await millrace.call("GET", of)).json.config;

describe("create", () => {
  test.each([
    ["a stream", () => path, ["streams", "create"], { retentionRecords: 7 }, ["--retention-records", "9"]],
    ["a group", () => `${path}/groups/g`, ["groups", "create"], { maxInFlight: 7 }, ["--max-in-flight", "9"]],
  ] as const)("of %s leaves what another has made meanwhile", async (what, of, command, theirs, ours) => {
    const names = what === "a group" ? [name, "g"] : [name];
    if (what === "a group") await millrace.call("PUT", path, {});
    meanwhile = () => millrace.call("PUT", of(), theirs);
    expect(await run(...command, ...names, ...ours)).toMatchObject({ code: 1, err: expect.stringContaining("exists") });
    expect(await configOf(of())).toMatchObject(theirs);
    await millrace.call("DELETE", of());
    meanwhile = () => millrace.call("PUT", of(), theirs);
    expect(await run(...command, ...names, ...ours, "--if-not-exists")).toMatchObject({ code: 0, err: "" });
    expect(await configOf(of())).toMatchObject(theirs);
  });
});

describe("update", () => {
  const push = { url: "https://example.com/a", headers: { "x-team": "a" }, timeoutMs: 5_000 };
  beforeEach(async () => {
    await millrace.call("PUT", path, {});
    await millrace.call("PUT", `${path}/groups/g`, { push, batch: { records: 5, waitMs: 100 } });
  });

  test.each([
    ["--push", ["--push", "https://example.com/b"], { url: "https://example.com/b" }],
    ["--secret", ["--secret", `whsec_${btoa("x".repeat(24))}`], { url: push.url, secrets: [expect.any(String)] }],
    ["--generate-secret", ["--generate-secret"], { url: push.url, secrets: [expect.any(String)] }],
  ])("of a push with %s keeps what another changes in it", async (_, ours, becomes) => {
    const theirs = { push: { timeoutMs: 7_000, concurrency: 3, headers: { "x-other": "b" } }, maxInFlight: 7 };
    meanwhile = () => millrace.call("PATCH", `${path}/groups/g`, theirs);
    expect(await run("groups", "update", name, "g", ...ours)).toMatchObject({ code: 0, err: "" });
    const { push: got, maxInFlight } = await configOf(`${path}/groups/g`);
    expect({ ...got, maxInFlight }).toMatchObject({ ...becomes, timeoutMs: 7_000, concurrency: 3, maxInFlight: 7 });
    expect(Object.keys(got.headers).sort()).toEqual(["x-other", "x-team"]);
  });

  test("by roll-secret keeps it, too", async () => {
    meanwhile = () => millrace.call("PATCH", `${path}/groups/g`, { push: { url: "https://example.com/c" } });
    expect(await run("groups", "roll-secret", name, "g")).toMatchObject({ code: 0, err: "" });
    const { push: got } = await configOf(`${path}/groups/g`);
    expect(got).toMatchObject({ url: "https://example.com/c", secrets: [expect.any(String)], timeoutMs: 5_000 });
  });

  const secretsOf = async () => (await configOf(`${path}/groups/g`)).push.secrets as string[];
  const secret = (letter: string) => `whsec_${letter.repeat(32)}`;
  const shown = (letter: string) => `whsec_${letter.repeat(4)}…`;

  test.each([
    ["--generate-secret", ["groups", "update"], ["--generate-secret"]],
    ["roll-secret", ["groups", "roll-secret"], []],
    ["roll-secret --finish", ["groups", "roll-secret"], ["--finish"]],
  ])("with %s undoes no secret that another makes at once", async (_, command, ours) => {
    await millrace.call("PATCH", `${path}/groups/g`, { push: { secrets: [secret("a")] } });
    meanwhile = () => millrace.call("PATCH", `${path}/groups/g`, { push: { secrets: [shown("a"), secret("b")] } });
    expect(await run(...command, name, "g", ...ours)).toMatchObject({
      code: 1,
      err: expect.stringContaining("the secrets of 'g' were changed meanwhile; look at them, and say it again"),
    });
    expect(await secretsOf()).toEqual([shown("a"), shown("b")]);
    // Said again, it is about those.
    expect(await run(...command, name, "g", ...ours)).toMatchObject({ code: 0, err: "" });
    const after = await secretsOf();
    const kept = { "--generate-secret": ["a", "b"], "roll-secret": ["b"], "roll-secret --finish": ["b"] }[_];
    expect(after.slice(0, kept?.length)).toEqual(kept?.map(shown));
    expect(after).toHaveLength((kept?.length ?? 0) + (ours.includes("--finish") ? 0 : 1));
  });

  test("by roll-secret goes through a pause that comes between, and growth", async () => {
    meanwhile = async () => {
      await millrace.call("POST", `${path}/groups/g/pause`, {});
      await millrace.call("PUT", path, { partitions: 4 });
    };
    expect(await run("groups", "roll-secret", name, "g")).toMatchObject({ code: 0, err: "" });
    expect(await secretsOf()).toHaveLength(1);
  });

  test("by --config changes what is named, at every depth", async () => {
    expect(await run("groups", "update", name, "g", "--config", '{"batch":{"records":6}}')).toMatchObject({ code: 0 });
    expect((await configOf(`${path}/groups/g`)).batch).toMatchObject({ records: 6, waitMs: 100 });
    const out = '{"push":{"headers":{"x-team":null}}}';
    expect(await run("groups", "update", name, "g", "--config", out)).toMatchObject({ code: 0 });
    expect((await configOf(`${path}/groups/g`)).push.headers ?? {}).toEqual({});
  });

  test("makes nothing that another has deleted", async () => {
    meanwhile = () => millrace.call("DELETE", `${path}/groups/g`);
    expect(await run("groups", "update", name, "g", "--max-in-flight", "9")).toMatchObject({ code: 1 });
    expect((await millrace.call("GET", `${path}/groups/g`)).status).toBe(404);
    meanwhile = () => millrace.call("DELETE", path);
    expect(await run("streams", "update", name, "--retention-records", "9")).toMatchObject({ code: 1 });
    expect((await millrace.call("GET", path)).status).toBe(404);
  });
});
