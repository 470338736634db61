/** The file of contexts: url, token and namespace of each service that somebody works with, and which of them holds. */
import { chmodSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { lock } from "./files.ts";
import { makeFolder } from "./folders.ts";
import { Usage } from "./output.ts";

export interface Context {
  url?: string;
  token?: string;
  namespace?: string;
}

export interface Contexts {
  /** The one that holds where none is named. */
  readonly current?: string | undefined;
  readonly contexts: Readonly<Record<string, Context>>;
}

/** What a file holds that has one context without a name, as all had once. */
const unnamed = "default";

/** A variable; undefined where it is not set. Throws `Usage` where it is empty: what holds without it may not be what was meant. */
export function variable(name: `MILLRACE_${string}`): string | undefined {
  const value = process.env[name];
  if (value === "") throw new Usage(`${name} is empty: give it a value, or unset it`);
  return value;
}

export const contextsPath = (given?: string): string =>
  given ||
  variable("MILLRACE_PROFILE") ||
  join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "millrace", "profile.json");

/** Undefined where there is no file. Throws `Usage` where it cannot be understood. */
export function readContexts(path: string): Contexts | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EISDIR") throw isFolder(path);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new Usage(`cannot read the contexts in ${path}: ${message}`);
  }
  if ((statSync(path).mode & 0o077) !== 0)
    console.error(`millrace: ${path} holds a token and can be read by others; run: chmod 600 ${path}`);
  const read = parsed(path, text);
  if (read.contexts !== undefined) {
    if (!isObject(read.contexts) || !Object.values(read.contexts).every(isObject)) throw unknown(path);
    return { current: read.current, contexts: read.contexts };
  }
  const { url, token, namespace } = read;
  return { current: unnamed, contexts: { [unnamed]: { url, token, namespace } } };
}

function parsed(path: string, text: string): Context & Partial<Contexts> {
  try {
    const read = JSON.parse(text);
    if (isObject(read)) return read;
  } catch {
    // Said below.
  }
  throw unknown(path);
}

const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
const unknown = (path: string) =>
  new Usage(
    `${path} is not JSON, or not of contexts; write it anew: rm ${path} && millrace profile set --url … --token …`,
  );

const isFolder = (path: string) =>
  new Usage(`${path} is a folder: give the file with the contexts with --profile, or MILLRACE_PROFILE`);

/** So often the file is tried for: each has it for some milliseconds, and ten seconds in all are enough for hundreds. */
const tries = 200;

/**
 * Writes what a change makes of the contexts that are there; of several processes that do so at once each sees what the one
 * before has made. Throws `Usage` where another one has the file for ten seconds.
 */
export function changeContexts(path: string, change: (found: Contexts) => Contexts): void {
  if (/[/\\]$/.test(path)) throw isFolder(path);
  makeFolder(dirname(path));
  const unlock = lock(`${path}.lock`, (pid) => `process ${pid} is changing ${path}: try again`, tries);
  try {
    writeContexts(path, change(readContexts(path) ?? { contexts: {} }));
  } finally {
    unlock();
  }
}

/** For the eyes of its owner, from the first byte on. One context without a name is written so that older versions read it. */
function writeContexts(path: string, { current, contexts }: Contexts): void {
  const names = Object.keys(contexts);
  const written = names.length === 1 && names[0] === unnamed ? contexts[unnamed] : { current, contexts };
  makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(written, null, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** The context that holds, by its name in the flags, in the environment, or in the file. Throws `Usage` where it is not there. */
export function chosen(flags: { profile?: string; context?: string }): { name?: string | undefined } & Context {
  const path = contextsPath(flags.profile);
  const found = readContexts(path);
  const asked = flags.context || variable("MILLRACE_CONTEXT");
  const explicit = flags.profile || variable("MILLRACE_PROFILE");
  if (found === undefined && explicit) throw new Usage(`there is no file ${path}`);
  const name = asked || found?.current;
  if (name === undefined) return {};
  if (found !== undefined && Object.hasOwn(found.contexts, name)) return { name, ...found.contexts[name] };
  if (!asked) return {};
  throw new Usage(`there is no context '${name}' in ${path}; see: millrace context ls`);
}

/** Whether two URLs are one, however they are written. */
export const isSameUrl = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((url) => (URL.canParse(url) ? new URL(url).href.replace(/\/+$/, "") : url));
  return a === b;
};

export interface Written {
  readonly path: string;
  /** The URL whose token is not kept: it was given with that, and the context has another now. */
  readonly dropped: string | undefined;
}

/** What may be changed of the context that holds, or is named; a new one where there is none. */
export function setContext(flags: { profile?: string; context?: string }, change: Context): Written {
  const path = contextsPath(flags.profile);
  const asked = flags.context || variable("MILLRACE_CONTEXT");
  let dropped: string | undefined;
  changeContexts(path, ({ current, contexts }) => {
    const name = asked || current || unnamed;
    const { token, ...before } = contexts[name] ?? {};
    const isAnothers = before.url !== undefined && change.url !== undefined && !isSameUrl(before.url, change.url);
    dropped = token !== undefined && change.token === undefined && isAnothers ? before.url : undefined;
    const kept = token === undefined || dropped !== undefined ? before : { ...before, token };
    return { current: current ?? name, contexts: { ...contexts, [name]: { ...kept, ...change } } };
  });
  return { path, dropped };
}
