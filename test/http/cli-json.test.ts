/** With `--json` every command prints a JSON text a line, and nothing else, to the standard output. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { archived } from "./archived.ts";
import { runCli } from "./cli.ts";
import { type Service, token } from "./service.ts";

let millrace: Service;
const folder = mkdtempSync(join(tmpdir(), "millrace-json-"));
const at = (name: string) => join(folder, name);
const receiver = createServer((request, response) => request.resume().on("end", () => response.writeHead(200).end()));
beforeAll(async () => {
  millrace = await archived({ privateNetwork: true });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  writeFileSync(at("rows.ndjson"), '{"a":1}\n{"a":2}\n');
});
afterAll(async () => {
  receiver.close();
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

const run = (args: readonly string[]) =>
  runCli(args, { MILLRACE_URL: millrace.url, MILLRACE_TOKEN: token, XDG_CONFIG_HOME: folder }, "state");
const push = () => ["--push", `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`];

/** What there is, as `--help` lists it. */
async function commands(of: readonly string[] = []): Promise<string[]> {
  const { out } = await run([...of, "--help"]);
  const list = /\nCommands:\n((?: .*\n)+)/.exec(out)?.[1] ?? "";
  const found = [...list.matchAll(/^ {2}millrace ((?:[a-z][a-z-]*(?: |$))+)/gm)].map(([, words]) => words.trim());
  const inner = found.filter((one) => one.startsWith([...of, ""].join(" ")) && one !== of.join(" "));
  const all = await Promise.all(
    inner.map(async (one) => {
      const below = await commands(one.split(" "));
      return below.length === 0 ? [one] : below;
    }),
  );
  return all.flat();
}

/** Print something else than what they were asked for, and why. */
const others: Readonly<Record<string, string>> = {
  completion: "a script",
  dev: "runs until it is stopped",
  bench: "takes long, and is looked at by itself",
};

type Row = readonly [command: string, ...args: (string | (() => string[]))[]];
const [one, keyed] = ["orders", ["orders", "billing"]] as const;
/** In an order in which each finds what it works on. An option begins what follows the name. */
const rows: readonly Row[] = [
  ["streams create", one, "--key-index"],
  ["streams create", "orders", "--if-not-exists"],
  ["streams update", one, "--retention-age", "7d"],
  ["streams list"],
  ["streams show", one],
  ["append", one, '{"a":1}', "--key", "k"],
  ["read", one],
  ["tail", one],
  ["snapshot put", one, "0", () => [at("rows.ndjson")]],
  ["snapshot list", one],
  ["snapshot get", one, "latest", () => [at("copy")]],
  ["snapshot lease", one, "--holder", "h"],
  ["snapshot delete", one, "0"],
  ["groups create", ...keyed, "--max-deliveries", "1"],
  ["groups create", one, "pushed", push, "--generate-secret"],
  ["groups update", ...keyed, "--max-in-flight", "7"],
  ["groups show", ...keyed],
  ["groups list", one],
  ["groups status", ...keyed],
  ["groups consume", ...keyed, "--max", "1"],
  ["groups dead-letters", ...keyed],
  ["groups redrive", ...keyed, "--all"],
  ["groups discard", ...keyed, "--all"],
  ["groups lanes list", ...keyed],
  ["groups attempts", one, "pushed"],
  ["groups test", one, "pushed"],
  ["groups roll-secret", one, "pushed"],
  ["groups seek", ...keyed, "earliest"],
  ["groups pause", ...keyed],
  ["groups resume", ...keyed],
  ["groups only", ...keyed, "k"],
  ["groups only", ...keyed, "--off"],
  ["groups delete", ...keyed],
  ["namespaces create", "shop"],
  ["namespaces list"],
  ["report"],
  ["doctor"],
  ["forward", one, () => [at("rows.ndjson"), "--once", "--state", at("forwarded")]],
  ["import", one, () => [at("rows.ndjson")]],
  ["import", one, () => [at("rows.ndjson"), "--dry-run"]],
  ["dump", "default/orders", "-o", () => [at("orders.mrdp")]],
  ["dump", "default/orders", "-o", () => [at("orders.mrdp"), "--resume", "--verify"]],
  ["verify", () => [at("orders.mrdp")]],
  ["restore", () => [at("orders.mrdp"), "-n", "shop", "--new-id"]],
  ["streams verify", one],
  ["streams repair", one, "--mode", "isolate"],
  ["streams trim", one, "1", "--partition", "0"],
  ["streams erase", one, "--key", "k", "--wait"],
  ["streams delete", one],
  ["namespaces delete", "shop", "--force"],
  ["context add", "a", "--url", "http://127.0.0.1:9", "--token", "t"],
  ["context add", "b", "--url", "http://127.0.0.1:9"],
  ["context use", "b"],
  ["context list"],
  ["profile set", "--namespace", "shop"],
  ["profile show"],
  ["context remove", "b"],
];
/** Which no lane and no letter is there for. Both answer with what the service answers. */
const refused = ["groups lanes resume", "groups lanes skip"];
/** Print nothing where there is nothing. */
const silent = ["groups dead-letters", "groups lanes list", "groups attempts"];

test("there is a row for every command", async () => {
  const said = new Set([...rows.map(([command]) => command), ...Object.keys(others), ...refused]);
  const all = await commands();
  expect(all.length).toBeGreaterThan(50);
  expect(all.filter((command) => !said.has(command))).toEqual([]);
  expect([...said].filter((command) => !all.includes(command))).toEqual([]);
}, 120_000);

test("each prints JSON, a text a line", async () => {
  for (const [command, ...more] of rows) {
    const args = [...command.split(" "), ...more.flatMap((one) => (typeof one === "string" ? [one] : one()))];
    const { code, out, err, lines } = await run([...args, "--json", "--yes"]);
    expect({ args, code, err }).toEqual({ args, code: 0, err: expect.any(String) });
    if (!silent.includes(command)) expect({ args, count: lines.length }).not.toEqual({ args, count: 0 });
    for (const line of lines) expect(isJson(line), `${command}: ${out}`).toBe(true);
  }
}, 300_000);

test("what prints something else takes no --json, or prints it aside", async () => {
  for (const args of [["--json"], ["bash", "--json"], ["--json", "bash"]]) {
    const { code, out, err } = await run(["completion", ...args]);
    expect({ code, out, err }).toEqual({ code: 2, out: "", err: expect.stringContaining("leave --json out") });
  }
  await run(["streams", "create", "aside"]);
  const { code, out, err } = await run(["dump", "default/aside", "--json"]);
  expect({ code, begins: out.slice(0, 4), told: JSON.parse(err).streams }).toEqual({
    code: 0,
    begins: "MRDP",
    told: 1,
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
