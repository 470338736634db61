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
  spawnSync(command, args, {
    cwd: folder,
    encoding: "utf8",
    // Nobody will run the same file again.
    env: { ...process.env, npm_config_loglevel: "warn", NODE_DISABLE_COMPILE_CACHE: "1" },
  });

beforeAll(async () => {
  millrace = await service(undefined, { privateNetwork: true });
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

const readme = readFileSync(join(root, "README.md"), "utf8");
/** Blocks of the README in a language, for the service of this test. */
const shown = (language: string) =>
  [...readme.matchAll(new RegExp(`\`\`\`${language}\\n([^\`]+)\`\`\``, "g"))].map(([, text]) =>
    text.replaceAll("http://localhost:8787", millrace.url).replaceAll("millrace-dev", token),
  );

test("has the commands of the README, as it shows them", () => {
  const commands = shown("sh").filter((text) => text.startsWith("curl"));
  expect(commands.length).toBe(2);
  const said = commands.map((text) => inside("bash", "-c", text).stdout);
  expect(said[0]).toContain(/```json\n(.*)\n```/.exec(readme)?.[1]);
  expect(said[1]).toContain('"data":{"total":7}');
  expect(said[1]).toMatch(/\n\{"settled":2\}\n$/);
  const terminal = shown("sh").find((text) => text.startsWith("npx millrace")) as string;
  const [append, , webhook] = terminal.split("\n").map((line) => line.replace("npx", "node_modules/.bin/") as string);
  const here = `export MILLRACE_URL=${millrace.url} MILLRACE_TOKEN=${token};`;
  expect(inside("bash", "-c", `${here} ${append.replace("/ ", "/")}`)).toMatchObject({ status: 0, stderr: "" });
  const made = inside("bash", "-c", `${here} ${webhook.replace("/ ", "/")}`);
  expect(made).toMatchObject({ status: 0, stdout: expect.stringContaining("http://localhost:9000/hook") });
  expect(made.stdout + made.stderr).toContain("whsec_");
});

test.each([
  ["follow", "customer-1 { total: 42 }"],
  ["consume", "billed customer-1 42"],
])("has the library, as the README shows it: %s", async (name, says) => {
  const snippet = shown("js").find((text) => text.includes(`.${name}(`)) as string;
  writeFileSync(join(folder, `${name}.mjs`), snippet);
  const orders = "/v1/default/streams/orders";
  await millrace.call("DELETE", orders);
  await millrace.call("PUT", orders, {});
  await millrace.call("POST", `${orders}/records`, { records: [{ key: "customer-1", data: { total: 42 } }] });
  const child = spawn(process.execPath, [`${name}.mjs`], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  await expect.poll(() => said, { timeout: 20_000 }).toContain(`${says}\n`);
  expect(new Set(said.trim().split("\n"))).toEqual(new Set([says]));
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
      'export const checked: Promise<string> = verifyWebhook("", {}, url);',
    ].join("\n"),
  );
  const tsc = join(root, "node_modules/.bin/tsc");
  expect(inside(tsc, "--noEmit", "--strict", "--module", "nodenext", "--types", "", "typed.mts").stdout).toBe("");
});
