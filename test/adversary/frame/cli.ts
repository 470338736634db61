/** The command line as the package has it: a process, which says something and ends with a code. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Service } from "./service.ts";

const commandMs = 60_000;

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** `npm ci` builds it; where that was not so, it is built now. */
export function built(folder: string): string {
  const said = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const path = join(folder, said.bin.millrace as string);
  if (existsSync(path)) return path;
  const [, ...words] = (said.scripts.build as string).split(" ");
  execFileSync(process.execPath, words, { cwd: folder, stdio: "inherit" });
  return path;
}

export function millrace(service: Service, namespace: string, args: readonly string[]): Promise<Ran> {
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: "/nonexistent",
    MILLRACE_URL: service.origin,
    MILLRACE_TOKEN: service.token,
    MILLRACE_NAMESPACE: namespace,
  };
  const child = spawn(process.execPath, [built(service.folder), ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: commandMs,
  });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (data) => {
    said.out += data;
  });
  child.stderr.setEncoding("utf8").on("data", (data) => {
    said.err += data;
  });
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (code) => done({ code, ...said }));
  });
}
