/** `millrace snapshot …` against a service with an archive. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pattern } from "../cases/blobs.ts";
import { archived } from "./archived.ts";
import { runCli } from "./cli.ts";
import { type Service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-snapshots-"));
beforeAll(async () => {
  millrace = await archived();
  const kept = ["--keep-for-snapshot", "--snapshots-kept", "3"];
  expect(await run("streams", "create", "orders", ...kept)).toMatchObject({ code: 0, err: "" });
  await run("append", "orders", "1", "2", "3", "4", "5");
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const environment = () => ({ MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });
const run = (...args: string[]) => runCli(args, environment());
const given = (input: string, ...args: string[]) => runCli(args, environment(), input);

test("stores a file, or what comes on the standard input, and gives it back", async () => {
  const file = join(folder, "state.bin");
  // More than goes in one part.
  writeFileSync(file, pattern(9_000_000));
  const put = await run("snapshot", "put", "orders", "3", file, "--content-type", "a/b", "--name", "me", "--json");
  expect(put).toMatchObject({ code: 0, err: "" });
  expect(JSON.parse(put.out)).toMatchObject({ offset: 3, bytes: 9_000_000, contentType: "a/b", name: "me" });
  expect((await run("read", "orders", "--from", "snapshot", "--data")).lines).toEqual(["4", "5"]);
  expect((await given('{"total":42}', "snapshot", "put", "orders", "5")).out).toMatch(/OFFSET.*\n +0 +5 +12 B /);

  const copy = join(folder, "copy.bin");
  expect(await run("snapshot", "get", "orders", "3", copy)).toMatchObject({ code: 0, err: "" });
  expect(readFileSync(copy).equals(readFileSync(file))).toBe(true);
  expect(await run("snapshot", "get", "orders")).toMatchObject({
    code: 0,
    out: '{"total":42}',
    err: "millrace: offset 5, 12 bytes\n",
  });
  expect((await run("snapshot", "get", "orders", "latest", "-", "--before", "5", "--json")).err).toContain(
    '"offset":3',
  );
});

test("lists and deletes them, and says where there is none", async () => {
  const listed = await run("snapshot", "list", "orders", "--json");
  expect(listed.lines.map((line) => JSON.parse(line).offset)).toEqual([5, 3]);
  expect(await run("snapshot", "delete", "orders", "3")).toMatchObject({ code: 2, out: "" });
  const removed = await run("snapshot", "delete", "orders", "3", "--yes");
  expect(removed).toMatchObject({ code: 0, out: "deleted the snapshot at 3\n" });
  expect(await run("snapshot", "delete", "orders", "3", "--yes")).toMatchObject({
    code: 1,
    out: "",
    err: expect.stringContaining("there is no snapshot at offset 3"),
  });
  const missing = join(folder, "missing");
  expect(await run("snapshot", "get", "orders", "3", missing)).toMatchObject({
    code: 1,
    err: expect.stringContaining("no such snapshot at offset 3"),
  });
  expect([missing, `${missing}.part`].some((path) => existsSync(path))).toBe(false);
  expect(await run("snapshot", "get", "orders", "three")).toMatchObject({ code: 2 });
  expect(await run("snapshot", "put", "orders", "3", missing)).toMatchObject({ code: 2 });
  await run("streams", "create", "empty");
  expect((await run("snapshot", "list", "empty")).out).toContain("no snapshots");
});

test("takes a lease, under which a snapshot is stored", async () => {
  const lease = async (holder: string, ...more: string[]) =>
    run("snapshot", "lease", "orders", "--holder", holder, "--json", ...more);
  const { lease: mine, offset } = JSON.parse((await lease("a", "--seconds", "60")).out);
  expect(offset).toBe(5);
  expect(await lease("b")).toMatchObject({ code: 1, err: expect.stringContaining("a makes a snapshot at offset 5") });
  expect(await given("x", "snapshot", "put", "orders", "5", "--lease", mine)).toMatchObject({ code: 0 });
  expect(await lease("b")).toMatchObject({ code: 0 });
  expect(await given("x", "snapshot", "put", "orders", "5", "--lease", mine)).toMatchObject({ code: 1 });
});
