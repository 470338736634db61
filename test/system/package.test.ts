/** The package as `npm pack` makes it, installed in an empty folder: no warnings, the command line, the library and its types. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { version } from "../../schemas/limits.ts";
import { type Service, service, token } from "../http/service.ts";

const root = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "millrace-package-"));
let millrace: Service;

const inside = (command: string, ...args: string[]) =>
  spawnSync(command, args, { cwd: folder, encoding: "utf8", env: { ...process.env, npm_config_loglevel: "warn" } });

beforeAll(async () => {
  millrace = await service();
  execFileSync("npm", ["pack", "--pack-destination", folder], { cwd: root, stdio: "ignore" });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true }));
}, 120_000);
afterAll(async () => {
  await millrace.end();
  rmSync(folder, { recursive: true, force: true });
});

test("installs without a registry and without a warning, and brings nothing with it", () => {
  const tarball = `./millrace-${version}.tgz`;
  const { status, stdout, stderr } = inside("npm", "install", "--offline", "--no-audit", "--no-fund", tarball);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).not.toMatch(/warn/i);
  expect(readdirSync(join(folder, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(["millrace"]);
});

test("has the command line", () => {
  expect(inside("node_modules/.bin/millrace", "--version")).toMatchObject({
    status: 0,
    stdout: `${version}\n`,
    stderr: "",
  });
  expect(inside("node_modules/.bin/millrace", "--help").stdout).toContain("millrace streams");
  // The runtime is not its own to bring.
  const dev = inside("node_modules/.bin/millrace", "dev", "--port", "0", "--data", join(folder, "data"));
  expect(dev).toMatchObject({ status: 2, stderr: expect.stringContaining("npm install --save-dev workerd") });
});

test("has the library, as the README shows it", async () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const shown = /```js\n(import \{ Millrace \}[^`]+)```/.exec(readme)?.[1] as string;
  const snippet = shown.replace("http://localhost:8787", millrace.url).replace("millrace-dev", token);
  writeFileSync(join(folder, "follow.mjs"), snippet);
  await millrace.call("PUT", "/v1/default/streams/orders", {});
  const child = spawn(process.execPath, ["follow.mjs"], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  await expect.poll(() => said, { timeout: 20_000 }).toBe("customer-1 { total: 42 }\n");
  child.kill();
});

test("has the spool, with the errors of the library", () => {
  const program = `
    import { Millrace, MillraceError } from "millrace";
    import { spool } from "millrace/node";
    const orders = new Millrace({ url: ${JSON.stringify(millrace.url)}, token: ${JSON.stringify(token)} }).stream("spooled");
    await orders.put();
    const open = () => orders.producer({ spool: spool("spool") });
    const producer = open();
    await producer.push({ data: { total: 42 } });
    try { open(); } catch (error) { console.log(error instanceof MillraceError, error.code); }
    console.log(await producer.close());
    for await (const { data } of orders.read()) console.log(data);`;
  writeFileSync(join(folder, "spool.mjs"), program);
  expect(inside(process.execPath, "spool.mjs")).toMatchObject({
    stdout: "true spool-busy\n{ sent: 1, unsent: 0 }\n{ total: 42 }\n",
    stderr: "",
  });
});

test("has the check of webhooks, whose errors are the library's", () => {
  const snippet = `
    import { MillraceError } from "millrace";
    import { verifyWebhook } from "millrace/webhook";
    const secret = "whsec_" + btoa("a".repeat(32));
    const error = await verifyWebhook(secret, {}, "").catch((error) => error);
    console.log(error instanceof MillraceError, error.code, error.message);
  `;
  writeFileSync(join(folder, "webhook.mjs"), snippet);
  expect(inside(process.execPath, "webhook.mjs").stdout).toMatch(/^true unauthorized the webhook is not genuine/);
});

test("has its types", () => {
  writeFileSync(
    join(folder, "typed.mts"),
    [
      'import { Millrace } from "millrace";',
      'import { spool } from "millrace/node";',
      'import { verifyWebhook } from "millrace/webhook";',
      'const { http, stream } = new Millrace({ url: "http://x" });',
      "export const url: string = http.base;",
      'export const records: number = stream("s").producer({ spool: spool("folder", { recordsMax: 7 }) }).pending.records;',
      'export const { id }: { id: string } = stream("s").producer({ id: "plain" });',
      'export const checked: Promise<void> = verifyWebhook("", {}, url);',
    ].join("\n"),
  );
  const tsc = join(root, "node_modules/.bin/tsc");
  expect(inside(tsc, "--noEmit", "--strict", "--module", "nodenext", "--types", "", "typed.mts").stdout).toBe("");
});
