/** What the command line makes of options and their values, before anything is asked of a service. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";
import { type Service, service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-arguments-"));
beforeAll(async () => {
  millrace = await service();
  const args = ["streams", "create", "bounded", "--retention-records", "100", "--partitions", "1"];
  expect(await run(...args)).toMatchObject({ code: 0, err: "" });
  expect(await run("append", "bounded", "1", "2", "3")).toMatchObject({ code: 0, err: "" });
});
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const run = (...args: string[]) => runCli(args, { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token });

test("append takes lines of a file that is there, and not of the standard input in its place", async () => {
  const append = (path: string) => run("append", "bounded", "--file", path);
  const missing = join(folder, "missing");
  expect(await append(missing)).toMatchObject({ code: 2, out: "", err: `millrace: there is no file ${missing}\n` });
  expect(await append(folder)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("is a folder") });
  const empty = join(folder, "empty");
  writeFileSync(empty, "");
  const environment = { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token };
  const ran = await runCli(["append", "bounded", "--file", empty], environment, "4\n5\n");
  expect(ran).toMatchObject({ code: 0, out: "0 appended\n" });
});

describe("a number", () => {
  test.each([
    [["streams", "update", "bounded", "--retention-records", "1O0"], "--retention-records must be one number"],
    [["streams", "update", "bounded", "--retention-records", "Infinity"], "--retention-records must be one number"],
    [["streams", "update", "bounded", "--retention-records", ""], "--retention-records must be one number"],
    [["streams", "update", "bounded", "--retention-records="], "--retention-records must be one number"],
    [["streams", "update", "bounded", "--ttl-ms", "1", "--ttl-ms", "2"], "--ttl-ms is one, and was given twice"],
    [["streams", "repair", "bounded", "--mode", "truncate", "--from", "", "--yes"], "--from must be one number"],
    [["groups", "create", "bounded", "g", "--max-deliveries", "many"], "--max-deliveries must be one number"],
    [["groups", "consume", "bounded", "g", "--max", "x"], "--max must be one number"],
    [["snapshot", "get", "bounded", "--before", "x"], "--before must be one number"],
    [["snapshot", "put", "bounded", "three"], "'three' is no offset"],
    [["snapshot", "put", "bounded", ""], "'' is no offset"],
    [["snapshot", "delete", "bounded", "1e400"], "'1e400' is no offset"],
    [["bench", "--records", "x"], "--records must be one number"],
    [["dev", "--port", "x"], "--port must be one number"],
    [["read", "bounded", "--limit", "x"], "--limit must be one number"],
    [["read", "bounded", "--limit", "0"], "--limit is a whole number, 1 or more; not 0"],
    [["read", "bounded", "--limit", "-3"], "--limit is a whole number, 1 or more; not -3"],
    [["tail", "bounded", "-c", "x"], "--lines must be one number"],
    [["tail", "bounded", "-c", "0"], "--lines is a whole number, 1 or more; not 0"],
  ])("is refused in %j", async (args, says) => {
    expect(await run(...args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
  });

  test.each([
    [["streams", "update", "bounded", "--retention-records"], "--retention-records needs a value"],
    [["streams", "update", "bounded", "--retention-records", "--json"], "--retention-records needs a value"],
    [["tail", "bounded", "-c"], "-c needs a value"],
    [["append", "bounded", "4", "--key"], "--key needs a value"],
    [["append", "bounded", "4", "--tag"], "--tag needs a value"],
    [["streams", "list", "--profile"], "--profile needs a value"],
  ])("or a text is missed in %j", async (args, says) => {
    expect(await run(...args)).toMatchObject({ code: 2, out: "", err: expect.stringContaining(says) });
  });

  test("is taken in every form that it has, and nothing that was refused has changed anything", async () => {
    const [shown] = (await run("streams", "show", "bounded", "--json")).lines;
    expect(JSON.parse(shown)).toMatchObject({ config: { retentionRecords: 100 }, partitions: [{ tail: 3 }] });
    for (const args of [["-c", "2"], ["-c2"], ["--lines=2"], ["--from", "-2"], ["-c", "2", "--partition", "0"]])
      expect(await run("tail", "bounded", "--data", ...args), args.join(" ")).toMatchObject({ code: 0, out: "2\n3\n" });
    expect(await run("read", "bounded", "--data", "--limit", "1")).toMatchObject({ code: 0, out: "1\n" });
    const lifted = await run("streams", "update", "bounded", "--config", '{"retentionRecords":null}', "--json");
    expect(JSON.parse(lifted.out).config.retentionRecords ?? null).toBe(null);
  });
});
