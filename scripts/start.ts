/**
 * `npm start`: the Worker under `wrangler dev`, which reloads on change; `-- --help` has its options. PORT and MILLRACE_ROOT_TOKEN
 * are respected.
 */
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { text } from "../src/cli/arguments.ts";
import { makeFolder } from "../src/cli/folders.ts";
import { hold, mortal } from "../src/cli/holding.ts";
import { portProblem } from "../src/cli/ports.ts";
import { outlastReaders } from "../src/cli/readers.ts";
import { keepUp } from "./kept-up.ts";
import { checkTexts, variable } from "./options.ts";
import { endWithNpm } from "./under-npm.ts";
import { isPort, tokenFor, welcome } from "./welcome.ts";

const root = resolve(import.meta.dirname, "..");
const values = await yargs(hideBin(process.argv))
  .scriptName("npm start --")
  .usage("$0 [options]")
  .options({
    port: { ...text, default: variable("PORT") ?? "8787", describe: "Port to listen on; by default PORT." },
    data: { ...text, default: ".wrangler/state", describe: "Folder of the data." },
  })
  .check(({ port, ...others }) => {
    checkTexts({ port, ...others });
    if (isPort(port) && Number(port) > 0) return true;
    throw new Error(`--port must be a number from 1 to 65535, not '${port}'.`);
  })
  .strict()
  .version(false)
  .parse();
outlastReaders();
const { port } = values;
const token = tokenFor("localhost");
const url = `http://localhost:${port}`;
const up = async () => {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
};
const refuse = (why: string): never => {
  console.error(why);
  process.exit(1);
};
const data = resolve(root, values.data);
makeFolder(data);
// Two would write into each other's databases. It is let go of when this process ends, however it does.
await hold(data).catch(({ message }: Error) => refuse(message));
// What answers there would be taken for ours, and its token is another.
const problem = await portProblem(Number(port), "npm start --");
if (problem !== undefined) refuse(problem);
// What wrangler starts ends with it, though it be killed, as it does with this process.
const wrangler = [
  process.execPath,
  "--no-warnings",
  resolve(root, "node_modules/wrangler/wrangler-dist/cli.js"),
  "dev",
  "--port",
  port,
  "--persist-to",
  data,
  "--inspector-port",
  "0",
  "--show-interactive-dev-session=false",
  "--var",
  `MILLRACE_ROOT_TOKEN:${token}`,
  // Receivers of pushes are on this machine.
  "--var",
  "MILLRACE_PUSH_PRIVATE:1",
];
const [command, ...args] = mortal(wrangler);
const mortals =
  command === wrangler[0]
    ? {}
    : {
        MINIFLARE_WORKERD_PATH: resolve(root, "scripts/workerd.sh"),
        ESBUILD_BINARY_PATH: resolve(root, "scripts/esbuild.sh"),
        MILLRACE_ESBUILD: resolve(root, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`),
      };
let ups = 0;
const keeping = keepUp({
  command: [command as string, ...args],
  // Where there is no network it would tell at length that it cannot fetch what nothing here reads.
  env: { CLOUDFLARE_CF_FETCH_ENABLED: "false", ...process.env, ...mortals, WRANGLER_SEND_METRICS: "false" },
  modules: resolve(root, "node_modules"),
  files: ["wrangler/wrangler-dist/cli.js", "esbuild/package.json", "workerd/bin/workerd"],
  async started() {
    const mine = ++ups;
    while (!(await up())) await pause(200);
    if (mine === ups) console.log(mine === 1 ? welcome(url, token) : `Millrace is up again on ${url}`);
  },
  replaced() {
    ups++;
    console.error("node_modules is being replaced: the service comes up again once npm is done.");
  },
});
let stopping = false;
const stop = async (signal: NodeJS.Signals) => {
  stopping = true;
  await keeping.stop(signal);
  process.exit(0);
};
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop(signal));
endWithNpm("start", () => stop("SIGTERM"));
const code = await keeping.ended;
process.exit(stopping ? 0 : code);
