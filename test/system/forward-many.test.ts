/** A forwarder of more files than it may have open: those that are open go on, and the others lose nothing. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Running, run } from "../../scripts/workerd.ts";
import { Millrace, type Stream } from "../../src/client/index.ts";
import { token } from "../http/service.ts";

const data = mkdtempSync(join(tmpdir(), "millrace-many-"));
const cli = resolve(import.meta.dirname, "../../dist/cli.js");
const [files, lines] = [100, 3];
let running: Running;
beforeAll(async () => {
  running = await run({ data, token });
});
afterAll(async () => {
  await running.stop("SIGKILL");
  rmSync(data, { recursive: true, force: true });
});

const names = Array.from({ length: files }, (_, index) => `f${index}.log`);

async function made(name: string): Promise<{ stream: Stream; folder: string }> {
  const folder = join(data, name);
  mkdirSync(folder);
  for (const file of names)
    for (let line = 0; line < lines; line++) appendFileSync(join(folder, file), `${file} ${line}\n`);
  const stream = new Millrace({ url: running.url, token }).stream(name);
  await stream.put();
  return { stream, folder };
}

/** Forwards the folder's files, with so many descriptors at most. */
function forward(stream: Stream, folder: string, limit: number, ...options: string[]) {
  const command = `ulimit -n ${limit}; exec "${process.execPath}" "${cli}" forward ${stream.name} f*.log --state state ${options.join(" ")}`;
  const { PATH = "" } = process.env;
  const env = { PATH, HOME: "/nonexistent", MILLRACE_URL: running.url, MILLRACE_TOKEN: token };
  const child = spawn("bash", ["-c", command], { cwd: folder, env });
  const said = { out: "", err: "" };
  child.stdout.on("data", (part) => {
    said.out += part;
  });
  child.stderr.on("data", (part) => {
    said.err += part;
  });
  const ended = once(child, "close").then(([code]) => ({ code: code as number, ...said }));
  return { child, said, ended };
}

async function linesIn(stream: Stream): Promise<string[]> {
  const found: string[] = [];
  for await (const { data } of stream.read()) found.push(String(data));
  return found.sort();
}

const all = names.flatMap((file) => Array.from({ length: lines }, (_, line) => `${file} ${line}`)).sort();

test("with --once what can be opened is forwarded, the rest is told, and comes with the next run", async () => {
  const { stream, folder } = await made("once");
  const { code, out, err } = await forward(stream, folder, 70, "--once").ended;
  expect({ code, out, err }).toMatchObject({ code: 1, err: expect.stringContaining("files could not be read") });
  expect(err).toContain("too many files are open; raise the limit (ulimit -n)");
  const first = await linesIn(stream);
  expect(first.length).toBeGreaterThan(0);
  expect(first.length % lines).toBe(0);
  expect(first.length).toBeLessThan(all.length);
  expect(await forward(stream, folder, 1_000, "--once").ended).toMatchObject({ code: 0 });
  expect(await linesIn(stream)).toEqual(all);
});

test("it goes on, with what is written to those that are open too", async () => {
  const { stream, folder } = await made("running");
  const { child, said, ended } = forward(stream, folder, 70);
  for (let tried = 0; tried < 300 && !said.err.includes("too many files"); tried++) await pause(100);
  while ((await linesIn(stream)).length === 0 && child.exitCode === null) await pause(200);
  appendFileSync(join(folder, names[0]), `${names[0]} ${lines}\n`);
  const more = [...all, `${names[0]} ${lines}`].sort();
  while (!(await linesIn(stream)).includes(`${names[0]} ${lines}`) && child.exitCode === null) await pause(200);
  expect(child.exitCode).toBeNull();
  child.kill("SIGTERM");
  expect(await ended).toMatchObject({ code: 0 });
  expect(await forward(stream, folder, 1_000, "--once").ended).toMatchObject({ code: 0 });
  expect(await linesIn(stream)).toEqual(more);
});
