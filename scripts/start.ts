/** `npm start`: the Worker under `wrangler dev`, which reloads on change. PORT and MILLRACE_ROOT_TOKEN are respected. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { tokenFor, welcome } from "./welcome.ts";

const port = process.env.PORT ?? "8787";
const token = tokenFor("localhost");
const url = `http://localhost:${port}`;
const up = async () => {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
};
// Its answers would be taken for ours, and its token is another.
if (await up()) {
  console.error(`A service is already up on ${url}. Stop it, or choose another port: PORT=8788 npm start`);
  process.exit(1);
}
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
    // Receivers of pushes are on this machine.
    "--var",
    "MILLRACE_PUSH_PRIVATE:1",
  ],
  { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
);
let stopping = false;
child.once("exit", (code) => process.exit(stopping ? 0 : (code ?? 1)));
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stopping = true;
    child.kill(signal);
  });
}

while (!(await up())) await pause(200);
console.log(welcome(url, token));
