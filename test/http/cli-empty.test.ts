/** What is empty, or cannot be meant, is refused before anything is sent: nobody listens where these commands are to send it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { runCli } from "./cli.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-empty-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const environment = { MILLRACE_URL: "http://127.0.0.1:9", MILLRACE_TOKEN: "t" };
const run = (args: readonly string[], more: Record<string, string> = {}) => runCli(args, { ...environment, ...more });

const remove = ["streams", "rm", "orders", "--yes"];

describe("an option that is empty, as that of a variable which is not set, does not stand for the default:", () => {
  test.each([
    [[...remove, "-n", ""], "--namespace"],
    [[...remove, "--namespace="], "--namespace"],
    [[...remove, "--url", ""], "--url"],
    [[...remove, "--token", ""], "--token"],
    [[...remove, "--context", ""], "--context"],
    [[...remove, "--profile", ""], "--profile"],
    [["append", "orders", "1", "--key", ""], "--key"],
    [["append", "orders", "1", "--tag", "a", "--tag", ""], "--tag"],
    [["append", "orders", "--file", ""], "--file"],
    [["groups", "create", "orders", "g", "--push", ""], "--push"],
    [["groups", "create", "orders", "g", "--secret", ""], "--secret"],
    [["streams", "erase", "orders", "--key", "k", "--id", "", "--yes"], "--id"],
    [["import", "orders", "rows.ndjson", "--state", ""], "--state"],
    [["dump", "-o", ""], "--output"],
    [["restore", "shop.mrdp", "--stream", ""], "--stream"],
    [["dev", "--data", ""], "--data"],
    [["context", "add", "prod", "--url", "http://127.0.0.1:9", "--token", ""], "--token"],
    [["profile", "set", "--namespace", ""], "--namespace"],
  ])("%j", async (args, option) => {
    const { code, out, err } = await run(args);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(`millrace: ${option} is empty: give it a value, or leave it out`);
  });
});

describe("a name that is empty is said to be:", () => {
  test.each([
    [["streams", "create", ""], "the name of the stream is empty"],
    [["streams", "rm", "", "--yes"], "the name of the stream is empty"],
    [["append", "", "1"], "the name of the stream is empty"],
    [["read", ""], "the name of the stream is empty"],
    [["import", "", "rows.ndjson"], "the name of the stream is empty"],
    [["groups", "create", "orders", ""], "the name of the group is empty"],
    [["groups", "rm", "orders", "", "--yes"], "the name of the group is empty"],
    [["groups", "redrive", "orders", "g", ""], "<letters> is empty"],
    [["groups", "lanes", "skip", "orders", "g", ""], "<lane> is empty"],
    [["groups", "only", "orders", "g", ""], "<keys> is empty"],
    [["groups", "seek", "orders", "g", "", "--yes"], "<to> is empty"],
    [["streams", "trim", "orders", "", "--yes"], "<before> is empty"],
    [["snapshot", "get", "orders", ""], "<which> is empty"],
    [["snapshot", "delete", "orders", "", "--yes"], "'' is no offset"],
    [["namespaces", "create", ""], "<name> is empty"],
    [["namespaces", "rm", "", "--force", "--yes"], "<name> is empty"],
    [["context", "add", "", "--url", "http://127.0.0.1:9"], "<name> is empty"],
    [["context", "use", ""], "<name> is empty"],
    [["dump", ""], "<what> is empty"],
    [["verify", ""], "<file> is empty"],
    [["forward", "orders", ""], "<files> is empty"],
  ])("%j", async (args, says) => {
    const { code, out, err } = await run(args, { MILLRACE_PROFILE: join(folder, "profile.json") });
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(says);
  });
});

describe("a variable that is empty does not stand for the default either:", () => {
  test.each(["URL", "TOKEN", "NAMESPACE", "CONTEXT", "PROFILE"])("MILLRACE_%s", async (name) => {
    const says = `millrace: MILLRACE_${name} is empty: give it a value, or unset it\n`;
    for (const args of [remove, ["groups", "ls", "orders"], ["dump"], ["doctor"]])
      expect(await run(args, { [`MILLRACE_${name}`]: "" }), args.join(" ")).toMatchObject({
        code: 2,
        out: "",
        err: says,
      });
  });

  test("unless an option says it", async () => {
    const ran = await run([...remove, "-n", "shop"], { MILLRACE_NAMESPACE: "" });
    expect(ran).toMatchObject({ code: 3, out: "" });
  });
});

describe("a token that no header can carry is refused, wherever it comes from:", () => {
  test.each(["a\nb", "a\r", "tok\u00e9n"])("%j", async (token) => {
    const refused = { code: 2, out: "" };
    expect(await run([...remove, "--token", token])).toMatchObject({
      ...refused,
      err: expect.stringContaining("--token: a token must be one line"),
    });
    expect(await run(remove, { MILLRACE_TOKEN: token })).toMatchObject({
      ...refused,
      err: expect.stringContaining("the environment: a token"),
    });
  });
});

describe("a configuration that is no object is refused:", () => {
  test.each(["null", "[]", "5", '"x"', "true", "{"])("%s", async (config) => {
    for (const command of [
      ["groups", "update", "orders", "g"],
      ["groups", "create", "orders", "g"],
      ["streams", "update", "orders"],
      ["streams", "create", "orders"],
    ])
      expect(await run([...command, "--config", config])).toMatchObject({
        code: 2,
        out: "",
        err: expect.stringMatching(/--config: (must be an object|not JSON)/),
      });
  });
});

describe("completion prints its script, or says why not:", () => {
  test.each([
    [["tcsh"], "completion takes bash, zsh or fish"],
    [["bash", "more"], "completion takes bash, zsh or fish"],
    [["--bogus"], "takes no option: leave --bogus out"],
    [[""], "completion takes bash, zsh or fish"],
  ])("%j", async (args, says) => {
    const { code, out, err } = await run(["completion", ...args]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(says);
  });

  test.each(["bash", "zsh", "fish"])("%s", async (shell) => {
    expect(await run(["completion", shell])).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringContaining("millrace"),
    });
  });
});
