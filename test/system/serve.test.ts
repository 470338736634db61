/** `npm run serve`, as the README has it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { call } from "../http/service.ts";

const root = resolve(import.meta.dirname, "../..");

async function serve(data: string): Promise<{ child: ChildProcess; url: string }> {
  const args = ["run", "--silent", "serve", "--", "--port", "0", "--data", data];
  const env = { ...process.env, MILLRACE_ROOT_TOKEN: "test-token" };
  // A group of its own, as a terminal makes it: an interrupt is for all of it.
  const child = spawn("npm", args, { cwd: root, env, detached: true, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  await expect.poll(() => said, { timeout: 30_000 }).toContain("Ctrl-C stops");
  return { child, url: /up on (\S+)/.exec(said)?.[1] as string };
}

test("serves until it is interrupted, and has everything when it serves again", async () => {
  const data = mkdtempSync(join(tmpdir(), "millrace-"));
  try {
    for (const tail of [1, 2]) {
      const { child, url } = await serve(data);
      await call(url, "PUT", "/v1/default/streams/kept", {});
      await call(url, "POST", "/v1/default/streams/kept/records", { records: [{ data: tail }] });
      expect((await call(url, "GET", "/v1/default/streams/kept/partitions/0")).json.tail).toBe(tail);
      const ended = once(child, "close");
      process.kill(-(child.pid as number), "SIGINT");
      await ended;
    }
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});

test("ends though somebody listens", async () => {
  const data = mkdtempSync(join(tmpdir(), "millrace-"));
  try {
    const { child, url } = await serve(data);
    await call(url, "PUT", "/v1/default/streams/heard", {});
    const headers = { authorization: "Bearer test-token", accept: "text/event-stream" };
    const heard = await fetch(`${url}/v1/default/streams/heard/records`, { headers });
    expect(heard.status).toBe(200);
    const ended = once(child, "close");
    process.kill(-(child.pid as number), "SIGTERM");
    await ended;
    await expect(heard.text()).rejects.toThrow();
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
});

test.each(["SIGTERM", "SIGKILL"] as const)("ends with npm, though %s comes to npm alone", async (signal) => {
  const data = mkdtempSync(join(tmpdir(), "millrace-"));
  const { child, url } = await serve(data);
  try {
    child.kill(signal);
    const answers = () =>
      fetch(`${url}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await expect.poll(answers, { timeout: 15_000 }).toBe(false);
  } finally {
    try {
      process.kill(-(child.pid as number), "SIGKILL");
    } catch {
      // All of it has ended.
    }
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  }
});

test.each([
  ["serve", ["--help"], 0, "--data"],
  ["serve", ["--port", "65536"], 1, "--port must be a number from 0 to 65535"],
  ["serve", ["--inspector", "foo"], 1, "--inspector must be an address with a port"],
  ["serve", ["--prot", "8787"], 1, "Unknown argument: prot"],
  ["start", ["--help"], 0, "--port"],
  ["build", ["--help"], 0, "has no options"],
  ["build", ["--watch"], 1, "has no options, and was given '--watch'"],
  ["deploy:check", ["--help"], 0, "has no options"],
  ["soak:slow", ["--help"], 0, "[seconds]"],
  ["soak:slow", ["20", "no-scene"], 2, "The scenes are"],
  ["soak", ["--help"], 0, "--minutes"],
  ["bench", ["--help"], 0, "--quick"],
  ["demo", ["--help"], 0, "--records"],
  ["demo", ["--records", "many"], 1, "--records must be a number from 1 to 20000, not 'many'"],
  ["demo", ["--token", ""], 1, "--token is empty"],
  ["demo", ["--ulr", "http://x"], 1, "Unknown argument: ulr"],
])("npm run %s says what it takes: %j", async (script, options, code, words) => {
  const child = spawn("npm", ["run", "--silent", script, "--", ...options], { cwd: root, stdio: "pipe" });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  expect(await once(child, "close")).toEqual([code, null]);
  expect(said).toContain(words);
  expect(said).not.toMatch(/^\s+at /m);
});

/** As npm starts them. */
function script(name: string, options: readonly string[], env: Readonly<Record<string, string>>) {
  const flags = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning", `scripts/${name}.ts`];
  const child = spawn(process.execPath, [...(name === "dev" ? ["dist/cli.js", "dev"] : flags), ...options], {
    cwd: root,
    stdio: "pipe",
    env: { ...process.env, ...env },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  return once(child, "close").then(([code]) => ({ code, said }));
}

test.each<[string, readonly string[], string, Readonly<Record<string, string>>?]>([
  ["demo", ["--token", ""], "--token is empty"],
  ["demo", ["--token", "a\nb"], "--token: a token must be one line of visible ASCII"],
  ["demo", ["--token", " "], "--token: a token must be one line of visible ASCII"],
  ["demo", ["--url", ""], "--url is empty"],
  ["demo", ["--url", "http://a b"], "--url is no URL: 'http://a b'"],
  ["demo", ["--records", ""], "--records is empty"],
  ["demo", ["--records", "7", "--records", "8"], "--records is one, and was given twice"],
  ["demo", [], "MILLRACE_ROOT_TOKEN is empty: give it a value, or unset it", { MILLRACE_ROOT_TOKEN: "" }],
  ["serve", ["--port", ""], "--port is empty"],
  ["serve", [], "PORT is empty: give it a value, or unset it", { PORT: "" }],
  ["serve", ["--host", ""], "--host is empty"],
  ["serve", ["--data", ""], "--data is empty"],
  ["serve", ["--data", "a", "--data", "b"], "--data is one, and was given twice"],
  ["serve", ["--inspector="], "--inspector is empty"],
  ["serve", [], "MILLRACE_ROOT_TOKEN is empty", { MILLRACE_ROOT_TOKEN: "" }],
  ["serve", [], "MILLRACE_ROOT_TOKEN: a token must be one line", { MILLRACE_ROOT_TOKEN: "a\nb" }],
  ["start", ["--port", "0"], "--port must be a number from 1 to 65535"],
  ["start", ["--data", ""], "--data is empty"],
  ["start", ["--port", "1", "--port", "2"], "--port is one, and was given twice"],
  ["start", [], "MILLRACE_ROOT_TOKEN is empty", { MILLRACE_ROOT_TOKEN: "" }],
  ["dev", ["--token", ""], "--token is empty"],
  ["dev", ["--token", "a\nb"], "--token: a token must be one line of visible ASCII"],
  ["dev", ["--host", ""], "--host is empty"],
  ["dev", ["--port", ""], "--port must be one number"],
  ["dev", ["--port", "65536"], "--port"],
  ["dev", ["--port", "1.5"], "--port"],
  ["dev", [], "MILLRACE_ROOT_TOKEN is empty", { MILLRACE_ROOT_TOKEN: "" }],
])("%s %j is refused, and nothing is started: %s", async (name, options, words, env = {}) => {
  const { code, said } = await script(name, options, env);
  expect(said).toContain(words);
  expect(said).not.toMatch(/^\s+at /m);
  expect(said).not.toContain("is up on");
  expect(code).toBeGreaterThan(0);
});

test("the demo takes nothing for a service that is none", async () => {
  const server = createServer((_, response) => response.end("<html>"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  expect(await script("demo", ["--url", url], {})).toEqual({
    code: 1,
    said: `Something answers on ${url} (200), and it is no Millrace: name another with --url.\n`,
  });
  server.close();
});
