/** `npm start`: the Worker under `wrangler dev`, which reloads on change. PORT and MILLRACE_ROOT_TOKEN are respected. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { tokenFor, welcome } from "./welcome.ts";

const port = process.env.PORT ?? "8787";
const token = tokenFor("localhost");
const wrangler = resolve(import.meta.dirname, "../node_modules/.bin/wrangler");
const child = spawn(
  wrangler,
  [
    "dev",
    "--port",
    port,
    "--inspector-port",
    "0",
    "--show-interactive-dev-session=false",
    "--var",
    `MILLRACE_ROOT_TOKEN:${token}`,
  ],
  { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
);
child.once("exit", (code) => process.exit(code ?? 0));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => child.kill(signal));

const url = `http://localhost:${port}`;
for (;;) {
  try {
    if ((await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) })).ok) break;
  } catch {
    // Not up yet.
  }
  await pause(200);
}
console.log(welcome(url, token));
