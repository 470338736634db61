/** `npm run serve`, as the README has it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
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
