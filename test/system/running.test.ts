/** What a service on this machine says as it starts, or cannot; and to whom. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { welcome } from "../../scripts/welcome.ts";
import { freePort } from "../adversary/frame/service.ts";

const root = resolve(import.meta.dirname, "../..");
const flags = ["--experimental-transform-types", "--disable-warning=ExperimentalWarning"];
const forms = {
  serve: [...flags, "scripts/serve.ts"],
  dev: ["dist/cli.js", "dev"],
  start: [...flags, "scripts/start.ts"],
} as const;
type Form = keyof typeof forms;

const taken: Server = createServer();
const started: ChildProcess[] = [];
const folders: string[] = [];
let port = 0;

beforeAll(async () => {
  await once(taken.listen(0, "127.0.0.1"), "listening");
  ({ port } = taken.address() as { port: number });
});
afterAll(() => void taken.close());
afterEach(async () => {
  await Promise.all(started.splice(0).map(ended));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGINT");
  await gone;
}

function start(form: Form, options: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const data = mkdtempSync(join(tmpdir(), "millrace-running-"));
  folders.push(data);
  const child = spawn(process.execPath, [...forms[form], "--data", data, ...options], {
    cwd: root,
    env: { ...process.env, MILLRACE_ROOT_TOKEN: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  const said = { text: "" };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said.text += data));
  return { child, said };
}

test.each(["serve", "dev", "start"] as const)(
  "%s says which port is taken, and how to choose another",
  async (form) => {
    const { child, said } = start(form, ["--port", String(port)]);
    expect(await once(child, "close")).toEqual([1, null]);
    expect(said.text).toContain(`port ${port} is taken`);
    expect(said.text).toContain("choose another");
    expect(said.text).toContain("--port");
    expect(said.text.trim().split("\n").length).toBe(1);
    // What it proposes is another, and is free.
    if (form !== "start") return;
    const proposed = Number(/npm start -- --port (\d+)/.exec(said.text)?.[1]);
    expect(proposed).toBeGreaterThan(port);
    const free = createServer();
    await once(free.listen(proposed, "127.0.0.1"), "listening");
    free.close();
  },
);

test.each([
  ["an inspector's that is taken", () => ["--inspector", `127.0.0.1:${port}`], "choose another with --inspector"],
  ["a host's that is not here", () => ["--host", "192.0.2.1"], "choose another with --host"],
])("serve says which address cannot be had: %s", async (_, options, words) => {
  const { child, said } = start("serve", ["--port", "0", ...options()], { MILLRACE_ROOT_TOKEN: "secret-of-a-user" });
  expect(await once(child, "close")).toEqual([1, null]);
  expect(said.text).toContain(words);
  expect(said.text.trim().split("\n").length).toBe(1);
});

test.each([
  ["serve", 1],
  ["start", 1],
  ["dev", 2],
] as const)("%s does not take a token that is empty for the one that all know", async (form, code) => {
  const { child, said } = start(form, form === "start" ? [] : ["--port", "0"], { MILLRACE_ROOT_TOKEN: "" });
  expect(await once(child, "close")).toEqual([code, null]);
  expect(said.text).toContain("MILLRACE_ROOT_TOKEN is empty: give it a value, or unset it");
});

test.each(["1.5", "65536", "-1", "x"])("dev --port=%s is refused by its name", async (port) => {
  const { child, said } = start("dev", [`--port=${port}`]);
  expect(await once(child, "close")).toEqual([2, null]);
  expect(said.text).toContain("--port");
});

test.each([
  ["serve", [], { MILLRACE_ROOT_TOKEN: "secret-of-a-user" }, "as MILLRACE_ROOT_TOKEN has it"],
  ["dev", [], { MILLRACE_ROOT_TOKEN: "secret-of-a-user" }, "as MILLRACE_ROOT_TOKEN has it"],
  ["dev", ["--token", "secret-of-a-user"], {}, "as --token has it"],
  ["dev", [], {}, "#token=millrace-dev"],
] as const)("%s %j prints no token but the one that all know", async (form, options, env, words) => {
  const { said } = start(form, ["--port", "0", ...options], env);
  await expect.poll(() => said.text, { timeout: 60_000 }).toContain("Ctrl-C stops");
  expect(said.text).toContain(words);
  expect(said.text).not.toContain("secret-of-a-user");
});

test("what is said of a start, to be copied, has no token but the one that all know", () => {
  expect(welcome("http://x", "secret-of-a-user")).not.toContain("secret-of-a-user");
  expect(welcome("http://x", "secret-of-a-user")).toContain("Bearer $MILLRACE_ROOT_TOKEN");
  expect(welcome("http://x", "millrace-dev")).toContain("Bearer millrace-dev");
});

test.each(["serve", "dev"] as const)("%s goes on when nobody reads what it says any more", async (form) => {
  const { child, said } = start(form, ["--port", "0"]);
  await expect.poll(() => said.text, { timeout: 60_000 }).toContain("is up on");
  child.stdout.destroy();
  child.stderr.destroy();
  const url = /up on (\S+)/.exec(said.text)?.[1] as string;
  await new Promise((done) => setTimeout(done, 500));
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect(child.exitCode).toBeNull();
});

test("dev goes on though its reader had enough before it was up", async () => {
  const mine = await freePort();
  const { child } = start("dev", ["--port", String(mine)]);
  child.stdout.destroy();
  const up = () =>
    fetch(`http://127.0.0.1:${mine}/healthz`).then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(up, { timeout: 60_000 }).toBe(200);
  await new Promise((done) => setTimeout(done, 500));
  expect(await up()).toBe(200);
  expect(child.exitCode).toBeNull();
});
