/** What the command line prints goes out whole, or it says so: to a device that is full, and to a file that may not grow. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Millrace } from "../../src/client/index.ts";
import { archived } from "./archived.ts";
import { start } from "./cli.ts";
import { type Service, token } from "./service.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-output-"));
const cli = resolve(import.meta.dirname, "../../dist/cli.js");
const at = (name: string) => join(folder, name);
let millrace: Service;
beforeAll(async () => {
  millrace = await archived();
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

/** Says it to a shell, in which `millrace` is the command. */
async function shell(command: string) {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: "/nonexistent",
    MILLRACE_URL: millrace.url,
    MILLRACE_TOKEN: token,
  };
  const child = spawn("bash", ["-c", `millrace() { "${process.execPath}" "${cli}" "$@"; }; ${command}`], { env });
  const said = { out: "", err: "" };
  child.stdout.on("data", (data) => {
    said.out += data;
  });
  child.stderr.on("data", (data) => {
    said.err += data;
  });
  const [code] = await once(child, "close");
  return { code: code as number, ...said };
}

const streamOf = () => new Millrace({ url: millrace.url, token }).stream<{ n: number; text: string }>("output");
const oneLine = /^millrace: the output cannot be written: [^\n]+\n$/;

beforeAll(async () => {
  const stream = streamOf();
  await stream.put();
  await stream.append(Array.from({ length: 40 }, (_, n) => ({ key: `k${n}`, data: { n, text: "x".repeat(500) } })));
  await stream.snapshots.put(3, "a state");
  // Nothing is pushed.
  await new Millrace({ url: millrace.url, token }).stream("quiet").put();
});

test.each([
  "streams ls",
  "streams show output",
  "report",
  "snapshot list output",
  "snapshot get output latest",
  "groups create quiet made --generate-secret --push https://example.com/hook",
  "groups show quiet made",
  "groups status quiet made",
  "groups dead-letters quiet made",
  "namespaces ls",
  "read output",
  "read output --json",
  "tail output",
  "append output 1",
  "dump default/output",
  "dump default/output --gzip",
  "completion bash",
  "completion fish",
  "streams --help",
  "--version",
])("%s > /dev/full ends with 1, and a line", async (command) => {
  const { code, err } = await shell(`millrace ${command} > /dev/full`);
  expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(oneLine) });
  // And with 0 where there is room: it is not the command that fails.
  if (!command.includes("create")) expect(await shell(`millrace ${command} > /dev/null`)).toMatchObject({ code: 0 });
});

test.each(["dump default/output", "dump default/output --gzip", "read output --json", "read output --format '%v'"])(
  "%s > a file that may not grow so far ends with 1",
  async (command) => {
    const file = join(folder, "cut");
    const { code, err } = await shell(`ulimit -f 1; millrace ${command} > ${file}`);
    const length = readFileSync(file).length;
    // What compresses well has room.
    if (length < 1_024) return expect({ code, gzip: command.includes("gzip") }).toEqual({ code: 0, gzip: true });
    expect({ code, err, length }).toEqual({ code: 1, err: expect.stringMatching(oneLine), length: 1_024 });
  },
);

test("consume acknowledges what it has printed whole, and gives the rest back untouched", async () => {
  const group = streamOf().group("printed");
  await group.put({ start: "earliest", maxDeliveries: 1, onFailure: "skip" });
  const file = join(folder, "printed");
  const { code, err } = await shell(`ulimit -f 4; millrace groups consume output printed --json > ${file}`);
  const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
  expect(err).toMatch(
    /^given back: 0\.\d+, and no attempt counted: [^\n]+\nmillrace: the output cannot be written: [^\n]+\n$/,
  );
  expect(code).toBe(1);
  expect(whole.length).toBeGreaterThan(2);
  const status = await group.status();
  expect(status).toMatchObject({ lag: (await streamOf().partition(0).facts()).tail - whole.length, deadLetters: 0 });
  expect(whole.map((line) => JSON.parse(line).offset)).toEqual(whole.map((_, index) => index));
});

test("a reader that has enough ends it quietly", async () => {
  const { code, out, err } = await shell(`millrace read output | head -n 1; exit \${PIPESTATUS[0]}`);
  expect({ code, lines: out.split("\n").length, err }).toEqual({ code: 0, lines: 2, err: "" });
});

test("consume with -- and no command takes nothing", async () => {
  const group = streamOf().group("none");
  await group.put({ start: "earliest" });
  const { code, out, err } = await shell("CMD=; millrace groups consume output none -- $CMD");
  expect({ code, out, err }).toEqual({
    code: 2,
    out: "",
    err: expect.stringContaining("behind -- there is no command"),
  });
  const { lag } = await group.status();
  expect(lag).toBe((await streamOf().partition(0).facts()).tail);
});

test("completion --help is help, and a token that is no line is not kept", async () => {
  for (const words of ["completion --help", "completion fish --help", "completion fish -h"]) {
    const { code, out } = await shell(`SHELL=/usr/bin/fish millrace ${words}`);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("Print a script") });
  }
  const kept = await shell(`millrace profile set --profile ${folder}/p.json --token $'a\\nb'`);
  expect(kept).toMatchObject({ code: 2, err: expect.stringContaining("--token: a token must be one line") });
  expect(await shell(`ls ${folder}/p.json`)).not.toMatchObject({ code: 0 });
});

test("a dump goes to the standard output, a pipe and a device as to a file", async () => {
  const dump = "millrace dump default/output";
  const whole = at("whole.mrdp");
  expect(await shell(`${dump} -o ${whole}`)).toMatchObject({ code: 0, err: "" });
  for (const command of [
    `${dump} -o - > ${at("aside")}`,
    `${dump} --output=- > ${at("aside")}`,
    `mkfifo ${at("pipe")}; cat ${at("pipe")} > ${at("aside")} & ${dump} -o ${at("pipe")}; code=$?; wait; exit $code`,
    `${dump} -o /dev/fd/1 | cat > ${at("aside")}`,
  ]) {
    const { code } = await shell(`cd ${folder}; rm -f pipe; ${command}`);
    expect({ command, code }).toEqual({ command, code: 0 });
    expect(readFileSync(at("aside")).equals(readFileSync(whole)), command).toBe(true);
  }
  expect(await shell(`${dump} -o /dev/null`)).toMatchObject({
    code: 0,
    out: "",
    err: expect.stringMatching(/^dumped /),
  });
  expect(readdirSync(folder)).not.toContain("-");
  for (const option of ["--resume", "--verify"])
    expect(await shell(`${dump} -o /dev/null ${option}`)).toMatchObject({
      code: 2,
      out: "",
      err: expect.stringContaining("is no file"),
    });
  expect(await shell(`${dump} -o ${folder}`)).toMatchObject({ code: 2, err: expect.stringContaining("is a folder") });
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "an import that waits for a pipe ends with 1 by %s, and begins again whole",
  async (signal) => {
    const name = `slow-${signal.toLowerCase()}`;
    const environment = { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token };
    await shell(`millrace streams create ${name}`);
    const args = ["import", name, "--state", at(name)];
    const rows = '{"a":1}\n{"a":2}\n';
    const { child, ended } = start(args, environment, null);
    child.stdin?.write(rows);
    // It has its lock when it reads.
    while (!existsSync(`${at(name)}.lock`)) await pause(50);
    await pause(500);
    child.kill(signal);
    expect(await ended).toMatchObject({ code: 1, out: "", err: "millrace: stopped\n" });
    expect(await start(args, environment, rows).ended).toMatchObject({ code: 0, out: "2 imported\n" });
  },
);
