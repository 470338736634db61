/** The file of contexts as commands change it, several of them at once too. Nothing listens. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { start } from "./cli.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-contexts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;
let profile = "";
beforeEach(() => {
  profile = join(folder, String(count++), "profile.json");
});

const run = (...args: string[]) => start([...args, "--profile", profile], {}).ended;
const url = "http://127.0.0.1:9";
const names = Array.from({ length: 8 }, (_, index) => `c${index}`);
const kept = () => JSON.parse(readFileSync(profile, "utf8"));

test("of changes at once none undoes another", async () => {
  const all = (of: (name: string) => string[]) => Promise.all(names.map((name) => run(...of(name))));
  const done = names.map(() => expect.objectContaining({ code: 0, err: "" }));
  expect(await all((name) => ["context", "add", name, "--url", url, "--token", name])).toEqual(done);
  expect(Object.keys(kept().contexts).sort()).toEqual(names);
  expect(await all((name) => ["profile", "set", "--context", name, "--namespace", `of-${name}`])).toEqual(done);
  expect(kept().contexts).toEqual(
    Object.fromEntries(names.map((name) => [name, { url, token: name, namespace: `of-${name}` }])),
  );
  const rest = await all((name) => (name === "c7" ? ["context", "use", name] : ["context", "rm", name, "--yes"]));
  expect(rest).toEqual(done);
  expect(kept()).toEqual({ current: "c7", contexts: { c7: { url, token: "c7", namespace: "of-c7" } } });
  // The lock is gone with who had it.
  expect(existsSync(`${profile}.lock`)).toBe(false);
}, 120_000);

describe("what is none is refused, and nothing is written:", () => {
  test.each([
    ["a URL of another kind", ["--url", "ftp://x"], "--url: must be http(s)://host:port/path, not 'ftp://x'"],
    ["a URL with a query", ["--url", "http://x/?a=1"], "--url: must be http(s)://"],
    ["a URL with a user", ["--url", "http://u:p@x"], "--url: must be http(s)://"],
    ["a URL without a scheme", ["--url", "x"], "--url: 'x' has no scheme"],
    ["a port that is none", ["--url", "http://x:99999"], "--url: must be http(s)://"],
  ])("%s", async (_, options, says) => {
    for (const command of [
      ["context", "add", "one"],
      ["profile", "set"],
    ]) {
      const { code, out, err } = await run(...command, ...options);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(says);
    }
    expect(existsSync(profile)).toBe(false);
  });

  test("a folder in place of the file", async () => {
    mkdirSync(profile, { recursive: true });
    for (const command of [
      ["context", "ls"],
      ["context", "use", "a"],
      ["context", "add", "a", "--url", url],
      ["profile", "set", "--token", "t"],
      ["profile", "show"],
      ["streams", "ls"],
    ]) {
      const { code, out, err } = await run(...command);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toContain(`${profile} is a folder: give the file with the contexts with --profile`);
    }
  });

  test("a change of what is not there", async () => {
    for (const command of [
      ["use", "a"],
      ["rm", "a", "--yes"],
    ])
      expect(await run("context", ...command)).toMatchObject({
        code: 2,
        err: expect.stringContaining("no context 'a'"),
      });
    expect(existsSync(join(profile, ".."))).toBe(false);
  });
});
