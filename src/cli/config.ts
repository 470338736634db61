/** Where the service is and who asks: flags, a context that a flag names, the environment, the context that holds. */
import { Millrace } from "../client/index.ts";
import { Absence } from "./absence.ts";
import { type Context, chosen, variable } from "./contexts.ts";
import { developmentToken } from "./defaults.ts";
import { Usage } from "./output.ts";

/** Flags that every command takes. */
export interface Common extends Context {
  profile?: string;
  context?: string;
  json?: boolean;
  yes?: boolean;
}

const local = "http://localhost:8787";

export interface Settled extends Required<Context> {
  /** Name of the context that holds, if one does. */
  readonly context: string | undefined;
  /** Where each part came from, for people. */
  readonly origins: Readonly<Record<keyof Context, string>>;
}

/** What holds, and where each part came from. */
export function settled(flags: Common): Settled {
  const environment = {
    url: () => variable("MILLRACE_URL"),
    token: () => variable("MILLRACE_TOKEN") ?? variable("MILLRACE_ROOT_TOKEN"),
    namespace: () => variable("MILLRACE_NAMESPACE"),
  };
  const { name: context, ...kept } = chosen(flags);
  const pick = (name: keyof Context): [value: string | undefined, origin: string] => {
    if (flags[name]) return [flags[name], `--${name}`];
    if (flags.context && kept[name]) return [kept[name], `context ${context}`];
    const given = environment[name]();
    if (given !== undefined) return [given, "the environment"];
    return kept[name] ? [kept[name], `context ${context}`] : [undefined, "the default"];
  };
  const [url = local, urlFrom] = pick("url");
  checkUrl(url, urlFrom);
  const isLocal = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(url);
  const picked = pick("token");
  const isKept = picked[1].startsWith("context ");
  // A token is for the URL that it was stored with, and for nobody else to see.
  const isAnothers = isKept && kept.url !== undefined && !isSame(kept.url, url);
  const [token = isLocal ? developmentToken : undefined, tokenFrom] = isAnothers
    ? ([undefined, "the default"] as const)
    : picked;
  if (token === undefined && isAnothers)
    throw new Usage(
      `the token of the context '${context}' is for ${kept.url}, and is not sent to ${url} (${urlFrom}): ` +
        "give --token, or MILLRACE_TOKEN",
    );
  if (token !== undefined) checkToken(token, tokenFrom);
  if (token === undefined) throw new Usage(`no token for ${url}: give --token, MILLRACE_TOKEN, or a context`);
  const [namespace = "default", namespaceFrom] = pick("namespace");
  return { url, token, namespace, context, origins: { url: urlFrom, token: tokenFrom, namespace: namespaceFrom } };
}

const isSame = (one: string, other: string) => {
  const [a, b] = [one, other].map((url) => (URL.canParse(url) ? new URL(url).href.replace(/\/+$/, "") : url));
  return a === b;
};

/** Throws `Usage` where no header can carry a token. */
export function checkToken(token: string, from: string): void {
  if (/[^ -~]/.test(token)) throw new Usage(`${from}: a token must be one line of visible ASCII`);
}

/** Throws `Usage` where a URL has no scheme: which one is meant is a question of who may listen. */
export function checkUrl(url: string, from: string): void {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) return;
  const scheme = /^(localhost|127\.|\[::1\])/i.test(url) ? "http" : "https";
  throw new Usage(`${from}: '${url}' has no scheme; say ${scheme}://${url}`);
}

export function settle(flags: Common): Required<Context> {
  const { url, token, namespace } = settled(flags);
  return { url, token, namespace };
}

/** As much of a token as may be shown. */
export const masked = (token: string): string => `${token.slice(0, 4)}…`;

/** Somebody waits for the answer: it is not tried for long. */
export const haste = { attempts: 4 };
export const connect = (flags: Common): Millrace =>
  reached(() => new Millrace({ ...settle(flags), retry: { ...haste, onRetry: new Absence().retried } }));

/** A URL that is none is the command's fault. */
export function reached<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof TypeError ? new Usage(error.message) : error;
  }
}
