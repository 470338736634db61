/** What the tests run without a process says and ends with what the same command does as one. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { start } from "./cli.ts";
import { type Service, service, token } from "./service.ts";
import { runVirtual } from "./virtual.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-cli-"));
const file = (name: string) => join(folder, name);
/** More than a pipe takes at once, and a character that lies over two pieces of it. */
const large = `"${"x".repeat(65_534)}é"\n`.repeat(3);

beforeAll(async () => {
  millrace = await service();
  await millrace.call("PUT", "/v1/default/streams/shown", { partitions: 2 });
  await millrace.call("POST", "/v1/default/streams/shown/records", { records: [{ key: "k", data: large }] });
  writeFileSync(file("unpacked.mrdp"), "no dump");
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

test.each<[words: string, code: number, input?: string]>([
  ["--version", 0],
  ["groups --help", 0],
  ["completion bash", 0],
  ["shout", 2],
  ["streams delete shown", 2],
  ["streams show shown", 0],
  ["streams list --json", 0],
  ["streams list --url http://127.0.0.1:1", 3],
  ["streams list --token wrong", 4],
  ["streams list --profile FOLDER/none.json", 2],
  ["read shown", 0],
  ["read absent", 1],
  ["append shown --key k", 0, large],
  ["append shown --key k", 2, '{"total":7'],
  ["verify FOLDER/unpacked.mrdp", 1],
  ["profile show", 0],
  ["doctor", 0],
])("%s", async (words, code, input = "") => {
  const args = words.replace("FOLDER", folder).split(" ");
  const env = { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token };
  const { PATH = "" } = process.env;
  const without = await runVirtual(args, { PATH, HOME: "/nonexistent", ...env }, input);
  const { lines: _, ...as } = await start(args, env, input).ended;
  /** How long it took is another's. */
  const timeless = (said: object) => JSON.parse(JSON.stringify(said).replace(/\d+ ms/, "some ms"));
  expect(timeless(without)).toEqual(timeless(as));
  expect(as.code).toBe(code);
});
