/** Where the service is and who asks: flags, a context that a flag names, the environment, the context that holds. */
import { Millrace } from "../client/index.ts";
import { Absence } from "./absence.ts";
import { type Context, chosen, isSameUrl, variable } from "./contexts.ts";
import { developmentToken, tokenProblem } from "./defaults.ts";
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
  const ofContext = `context ${context}`;
  const pick = (name: "url" | "namespace"): [value: string | undefined, origin: string] => {
    if (flags[name]) return [flags[name], `--${name}`];
    if (flags.context && kept[name]) return [kept[name], ofContext];
    const given = environment[name]();
    if (given !== undefined) return [given, "the environment"];
    return kept[name] ? [kept[name], ofContext] : [undefined, "the default"];
  };
  const [url = local, urlFrom] = pick("url");
  checkUrl(url, urlFrom);
  const stored = {
    token: kept.token,
    url: kept.url,
    origin: ofContext,
    whose: `the token of the context '${context}'`,
  };
  function* tokens(): Generator<Given> {
    yield { token: flags.token, url, origin: "--token", whose: "--token" };
    if (flags.context) yield stored;
    const token = environment.token();
    const { MILLRACE_URL: beside } = process.env;
    // Services of one machine, as those of tests, have one token mostly.
    const its = beside && isLocal(beside) && isLocal(url) ? undefined : beside;
    yield { token, url: its, origin: "the environment", whose: "the token of the environment" };
    yield stored;
  }
  const [token, tokenFrom] = tokenFor(url, urlFrom, tokens());
  checkToken(token, tokenFrom);
  const [namespace = "default", namespaceFrom] = pick("namespace");
  return { url, token, namespace, context, origins: { url: urlFrom, token: tokenFrom, namespace: namespaceFrom } };
}

const isLocal = (url: string) => /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(url);

/** A token, and the URL that it was given with, if one was. */
interface Given {
  readonly token: string | undefined;
  readonly url: string | undefined;
  readonly origin: string;
  /** How a refusal begins. */
  readonly whose: string;
}

/** The first one that is not another URL's, and so for nobody else to see; on this machine the development token otherwise. */
function tokenFor(url: string, urlFrom: string, tokens: Iterable<Given>): [token: string, origin: string] {
  let problem: string | undefined;
  for (const { token, url: belongs, origin, whose } of tokens) {
    if (!token) continue;
    if (!belongs || isSameUrl(belongs, url)) return [token, origin];
    problem ??= `${whose} is for ${belongs}, and is not sent to ${url} (${urlFrom}): give --token`;
  }
  if (isLocal(url)) return [developmentToken, "the default"];
  throw new Usage(problem ?? `no token for ${url}: give --token, MILLRACE_TOKEN, or a context`);
}

/** Throws `Usage` where no header can carry a token. */
export function checkToken(token: string, from: string): void {
  const problem = tokenProblem(token);
  if (problem !== undefined) throw new Usage(`${from}: ${problem}`);
}

/**
 * Throws `Usage` where a URL is none of a service. Where it has no scheme, which one is meant is a question of who may listen.
 */
export function checkUrl(url: string, from: string): void {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) {
    const scheme = /^(localhost|127\.|\[::1\])/i.test(url) ? "http" : "https";
    throw new Usage(`${from}: '${url}' has no scheme; say ${scheme}://${url}`);
  }
  try {
    new Millrace({ url, token: "none" });
  } catch (error) {
    throw new Usage(`${from}: ${(error as Error).message.replace(/^url, urls: /, "")}`);
  }
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
