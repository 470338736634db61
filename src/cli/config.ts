/** Where the service is and who asks: flags, then the environment, then a profile file. */
import { chmodSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { Millrace } from "../client/index.ts";
import { developmentToken } from "./defaults.ts";
import { makeFolder } from "./folders.ts";
import { Usage } from "./output.ts";

export interface Profile {
  url?: string;
  token?: string;
  namespace?: string;
}

/** Flags that every command takes. */
export interface Common extends Profile {
  profile?: string;
  json?: boolean;
  yes?: boolean;
}

const local = "http://localhost:8787";

export const profilePath = (given?: string): string =>
  given ??
  process.env.MILLRACE_PROFILE ??
  join(process.env.XDG_CONFIG_HOME || join(homedir(), ".config"), "millrace", "profile.json");

export function readProfile(path: string): Profile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  if ((statSync(path).mode & 0o077) !== 0) {
    console.error(`millrace: ${path} holds a token and can be read by others; run: chmod 600 ${path}`);
  }
  try {
    return JSON.parse(text) as Profile;
  } catch {
    throw new Usage(`${path} is not JSON; write it anew with: millrace profile set --url … --token …`);
  }
}

/** For the eyes of its owner, from the first byte on. */
export function writeProfile(path: string, profile: Profile): void {
  makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600 });
  chmodSync(temporary, 0o600);
  renameSync(temporary, path);
}

/** What holds, and where each part came from. */
export function settle(flags: Common): Required<Profile> {
  const { MILLRACE_URL, MILLRACE_TOKEN, MILLRACE_ROOT_TOKEN, MILLRACE_NAMESPACE } = process.env;
  const environment = {
    url: MILLRACE_URL,
    token: MILLRACE_TOKEN || MILLRACE_ROOT_TOKEN,
    namespace: MILLRACE_NAMESPACE,
  };
  const profile = readProfile(profilePath(flags.profile));
  const pick = (name: keyof Profile) => flags[name] || environment[name] || profile[name];
  const url = pick("url") ?? local;
  const isLocal = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(url);
  const token = pick("token") ?? (isLocal ? developmentToken : undefined);
  if (token === undefined) throw new Usage(`no token for ${url}: give --token, MILLRACE_TOKEN, or a profile`);
  return { url, token, namespace: pick("namespace") ?? "default" };
}

/** Somebody waits for the answer: it is not tried for long. */
export const haste = { attempts: 4 };
export const connect = (flags: Common): Millrace => new Millrace({ ...settle(flags), retry: haste });
