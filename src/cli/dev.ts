/** `dev`: the service on this machine, on bare workerd, as the package has it. */
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { archiveVars } from "./archive.ts";
import { checkToken } from "./config.ts";
import { variable } from "./contexts.ts";
import { developmentToken, isLoopback } from "./defaults.ts";
import { launch } from "./launch.ts";
import { answer, Usage } from "./output.ts";
import { outlastReaders } from "./readers.ts";

export interface DevArgs {
  host: string;
  port: number;
  data: string;
  token?: string;
  json?: boolean;
}

export async function dev({ host, port, data, token, json }: DevArgs): Promise<void> {
  // workerd says its port on a descriptor that the others do not pass on.
  if ("Bun" in globalThis || "Deno" in globalThis)
    throw new Usage("`millrace dev` runs on Node alone; use node or npx");
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Usage(`--port must be a number from 0 to 65535, not ${port}`);
  const local = isLoopback(host);
  const secret = token ?? variable("MILLRACE_ROOT_TOKEN") ?? (local ? developmentToken : undefined);
  if (secret === undefined) throw new Usage(`refusing to serve on ${host} without a token: give --token`);
  checkToken(secret, token === undefined ? "MILLRACE_ROOT_TOKEN" : "--token");
  const folder = resolve(data);
  // Beside this file, where the build has put them.
  const here = import.meta.dirname;
  const manifest = JSON.parse(readFileSync(join(here, "manifest.json"), "utf8"));
  const assets = join(here, "public");
  outlastReaders();
  const running = await launch({
    workerd: findWorkerd(),
    manifest,
    folder,
    bundle: (outfile) => copyFileSync(join(here, "worker.js"), outfile),
    assets,
    host,
    port,
    token: secret,
    archive: archiveVars(),
    privateNetwork: local,
  });
  // What is written to a terminal is written to logs.
  const isSecret = secret !== developmentToken;
  const source = token === undefined ? "as MILLRACE_ROOT_TOKEN has it" : "as --token has it";
  answer(
    json,
    { url: running.url, ...(isSecret ? {} : { token: secret }), data: folder },
    `Millrace is up on ${running.url}      page: ${running.url}/${isSecret ? "" : `#token=${secret}`}\n` +
      `Token: ${isSecret ? source : secret}    Data: ${folder}    Ctrl-C stops.`,
  );
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      stopping = true;
      void running.stop();
    });
  }
  await running.ended;
  if (!stopping) throw new Error("workerd ended by itself");
}

/** workerd is a peer that this package does not bring: whoever only needs the client should not load a runtime. */
function findWorkerd(): string {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      const found = join(createRequire(from).resolve("workerd/package.json"), "../bin/workerd");
      if (existsSync(found)) return found;
    } catch {
      // Not there.
    }
  }
  throw new Usage("workerd is not installed here; run: npm install --save-dev workerd");
}
