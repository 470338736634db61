/** `doctor`: what is right and what is wrong with a connection, and what to do about it. */
import { version } from "../../schemas/limits.ts";
import { Millrace, type MillraceError } from "../client/index.ts";
import { type Common, haste, masked, type Settled, settled } from "./config.ts";
import { connectDeployment } from "./deployment.ts";
import { exits, paint, print } from "./output.ts";
import { shownAge } from "./units.ts";

/** `unknown`: nothing could be said, which is no fault. */
export interface Finding {
  readonly check: string;
  readonly is: "ok" | "wrong" | "unknown";
  readonly says: string;
  readonly todo?: string | undefined;
}

const patienceMs = 5_000;
/** By as much a clock may be wrong: tickets last for seconds, and an answer is under way for a while. */
const clockMsMax = 5_000;

const ok = (check: string, says: string): Finding => ({ check, is: "ok", says });
const wrong = (check: string, says: string, todo: string): Finding => ({ check, is: "wrong", says, todo });
const lookBetween = "look at --url, and at what stands between";
const isBetween = (error: unknown) => ["network", "http"].includes((error as MillraceError).code);
const unknown = (check: string, says: string): Finding => ({ check, is: "unknown", says });

/** Exit code 1 where something is wrong. */
export async function doctor(args: Common): Promise<void> {
  let failed = false;
  for await (const finding of findings(args)) {
    failed ||= finding.is === "wrong";
    if (args.json) print(JSON.stringify(finding));
    else print(lineOf(finding));
  }
  if (failed) process.exitCode = exits.refused;
}

const signs = { ok: paint("green", "ok     "), wrong: paint("red", "wrong  "), unknown: "-      " };
const lineOf = ({ check, is, says, todo }: Finding) =>
  `${signs[is]}${check.padEnd(11)}${says}${todo === undefined ? "" : `\n       ${" ".repeat(11)}${todo}`}`;

async function* findings(args: Common): AsyncGenerator<Finding, void, undefined> {
  const terms = settled(args);
  const { url, context, origins } = terms;
  yield ok("settings", `${url} (${origins.url}), context ${context ?? "none"}`);
  const answer = await healthOf(url);
  if ("is" in answer) return yield answer;
  yield ok("connection", `answered in ${Math.round(answer.tookMs)} ms`);
  yield clockOf(answer);
  yield versionOf(answer.version);
  const token = await tokenOf(args, terms);
  yield token;
  // Whatever else is asked would say the same.
  if (token.is === "wrong") return;
  const namespace = await namespaceOf(terms);
  yield namespace;
  if (namespace.is === "ok") yield await archiveOf(terms);
}

interface Health {
  readonly version: string;
  readonly tookMs: number;
  /** Date header, and the moment in the middle of the request, in ms since 1970. */
  readonly theirs: number;
  readonly ours: number;
}

async function healthOf(url: string): Promise<Health | Finding> {
  const begun = Date.now();
  const start = performance.now();
  try {
    const response = await fetch(`${url.replace(/\/+$/, "")}/healthz`, { signal: AbortSignal.timeout(patienceMs) });
    const tookMs = performance.now() - start;
    const said: unknown = await response.json().catch(() => undefined);
    const { status, version } = Object(said) as { status?: string; version?: string };
    if (status !== "ok" || version === undefined)
      return wrong("connection", `something answers (${response.status}), and it is no Millrace`, lookBetween);
    return { version, tookMs, theirs: Date.parse(response.headers.get("date") ?? ""), ours: begun + tookMs / 2 };
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { message?: string; code?: string } };
    const why = cause?.message || cause?.code || message;
    return wrong("connection", `${url} does not answer: ${why}`, "is the service up? see --url; here: millrace dev");
  }
}

/** The header counts whole seconds, and is cut. */
export function clockOf({ theirs, ours, tookMs }: Pick<Health, "theirs" | "ours" | "tookMs">): Finding {
  if (Number.isNaN(theirs)) return unknown("clock", "the service does not say what time it has");
  const difference = ours - (theirs + 500);
  const off = Math.abs(difference);
  if (off <= clockMsMax + tookMs) return ok("clock", "as the service's, to a few seconds");
  const so = `this clock is ${shownAge(off)} ${difference > 0 ? "ahead of" : "behind"} the service's`;
  return wrong("clock", so, "set it: what is counted from now, and how long a ticket lasts, goes by it");
}

function versionOf(theirs: string): Finding {
  const major = (text: string) => text.split(".")[0];
  if (theirs === version) return ok("version", version);
  const both = `the service has ${theirs}, this command line ${version}`;
  return major(theirs) === major(version)
    ? ok("version", both)
    : wrong("version", both, "use a command line of the service's version");
}

/** A ticket says itself what it is for; whether it is genuine the service says. */
async function tokenOf(args: Common, { url, token, origins }: Settled): Promise<Finding> {
  const from = `${masked(token)} (${origins.token})`;
  const ticket = claimsOf(token);
  try {
    if (ticket === undefined) {
      await connectDeployment(args).json("GET", "/config", { version: "" });
      return ok("token", `${from}: the root token, which may do everything`);
    }
    const { namespace, stream, rights, exp } = ticket;
    const so = `${from}: a ticket for ${namespace}/${stream}, to ${rights.join(", ")}, until ${new Date(exp * 1_000).toISOString()}`;
    await new Millrace({ url, token, namespace, retry: haste }).stream(stream).info();
    return ok("token", so);
  } catch (error) {
    const { code, message, status } = error as MillraceError;
    // It may do something else, or its stream has gone; but it is one.
    if (ticket !== undefined && (status === 403 || status === 404)) return ok("token", `${from}: a ticket; ${message}`);
    if (code === "not-configured")
      return wrong("token", message, "without one the deployment refuses everything: it is its owner's to set");
    if (isBetween(error)) return wrong("token", `${from}: ${message}`, lookBetween);
    return wrong("token", `${from}: ${message}`, "give another: --token, MILLRACE_TOKEN, or millrace profile set");
  }
}

interface Claims {
  readonly namespace: string;
  readonly stream: string;
  readonly rights: readonly string[];
  readonly exp: number;
}

function claimsOf(token: string): Claims | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(parts[1], "base64url").toString());
    return Array.isArray(claims.rights) && typeof claims.stream === "string" ? claims : undefined;
  } catch {
    return undefined;
  }
}

async function namespaceOf({ url, token, namespace, origins }: Settled): Promise<Finding> {
  const ticket = claimsOf(token);
  if (ticket !== undefined) return unknown("namespace", "a ticket cannot tell");
  try {
    const { http } = new Millrace({ url, token, namespace, retry: haste });
    await http.json("GET", "", { namespace: "" });
    return ok("namespace", `${namespace} (${origins.namespace})`);
  } catch (error) {
    const { code, message } = error as MillraceError;
    if (isBetween(error)) return wrong("namespace", message, lookBetween);
    const todo =
      code === "namespace-not-found" ? `make it: millrace namespaces create ${namespace}` : "look at --namespace";
    return wrong("namespace", message.replace(/; create it with PUT$/, ""), todo);
  }
}

/** A plan of a stream with an archive, which nobody makes, is refused where there is none. */
async function archiveOf({ url, token, namespace }: Settled): Promise<Finding> {
  try {
    const name = `doctor-${Date.now().toString(36)}`;
    await new Millrace({ url, token, namespace, retry: haste }).stream(name).put({ archive: true }, { dryRun: true });
  } catch (error) {
    const { code, message } = error as MillraceError;
    if (code === "archive-off") return unknown("archive", message);
    if (isBetween(error)) return wrong("archive", message, lookBetween);
    if (code !== "stream-not-found") return wrong("archive", message, "try again");
  }
  return ok("archive", "there is one: streams with --archive keep everything");
}
