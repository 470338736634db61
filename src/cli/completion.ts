/** Completion of names, beside yargs' own of commands and options: streams, groups, namespaces and contexts. */
import type { FallbackCompletionFunction } from "yargs";
import { Millrace } from "../client/index.ts";
import { type Common, settle } from "./config.ts";
import { contextsPath, readContexts } from "./contexts.ts";
import { Deployment } from "./deployment.ts";
import { Usage } from "./output.ts";

/** Somebody has pressed a key, and waits. */
const patienceMs = 1_000;
/** More than these nobody reads. */
const most = 100;

export type Kind = "stream" | "group" | "namespace" | "context" | undefined;

/** Commands with a stream behind their first word, or behind their second. */
const ofStream = ["append", "read", "tail", "import", "forward"];
const ofNoun: Readonly<Record<string, readonly string[]>> = {
  streams: ["show", "update", "delete", "rm", "trim", "verify", "repair", "erase"],
  snapshot: ["put", "get", "list", "ls", "delete", "rm", "lease"],
  namespaces: ["delete", "rm"],
  context: ["use", "remove", "rm"],
};
const kinds: Readonly<Record<string, Kind>> = { namespaces: "namespace", context: "context" };

/** What stands in the place of the word that is being written: `before` are the words before it, options left out. */
export function kindOf(before: readonly string[], option: string | undefined): Kind {
  if (option === "-n" || option === "--namespace") return "namespace";
  if (option === "--context") return "context";
  const [first = "", second = "", ...more] = before;
  if (ofStream.includes(first)) return before.length === 1 ? "stream" : undefined;
  if (first === "groups") {
    if (before.length === 2) return "stream";
    return more.length === 1 && second !== "list" && second !== "ls" && second !== "create" ? "group" : undefined;
  }
  return before.length === 2 && ofNoun[first]?.includes(second) ? (kinds[first] ?? "stream") : undefined;
}

/** The flag by which the scripts of the shells ask. */
const flag = "--get-yargs-completions";

/** The names that may stand where the line that is being completed ends; none where the service does not answer at once. */
export async function namesFor(argv: readonly string[]): Promise<string[]> {
  const at = argv.indexOf(flag);
  if (at < 0) return [];
  const current = argv.at(-1) as string;
  const words = wordsOf(argv.slice(at + 1, -1));
  const before = positionals(words);
  const kind = kindOf(before, words.at(-1));
  if (kind === undefined || current.startsWith("-")) return [];
  try {
    const names = await listed(kind, current, before.at(-1) ?? "", flagsOf(words));
    return names.filter((name) => name.startsWith(current));
  } catch {
    return [];
  }
}

/** What yargs asks: names where a name belongs; commands and options elsewhere. */
export const completer =
  (names: string[]): FallbackCompletionFunction =>
  (_current, _args, others, done) => {
    if (names.length > 0) done(names);
    // One letter has one dash.
    else others((_, found) => done((found ?? []).filter((word) => !/^--\w(\W|$)/.test(word))));
  };

/** Shells differ in whether they give the program's name. */
const wordsOf = (words: readonly string[]) =>
  /(^|[/\\])(millrace|cli\.js)$/.test(words[0] ?? "") ? words.slice(1) : words;

/** Options of every command that have a value. */
const valued: Readonly<Record<string, keyof Common>> = {
  "-n": "namespace",
  "--namespace": "namespace",
  "--url": "url",
  "--token": "token",
  "--profile": "profile",
  "--context": "context",
};

const positionals = (words: readonly string[]) =>
  words.filter((word, at) => !word.startsWith("-") && !(words[at - 1] in valued));

function flagsOf(words: readonly string[]): Common {
  const flags: Record<string, string> = {};
  words.forEach((word, at) => {
    const [name, value = words[at + 1]] = word.split(/=(.*)/s);
    if (name in valued && value !== undefined) flags[valued[name]] = value;
  });
  return flags;
}

async function listed(kind: Kind, prefix: string, stream: string, flags: Common): Promise<string[]> {
  if (kind === "context") return Object.keys(readContexts(contextsPath(flags.profile))?.contexts ?? {});
  const terms = settle(flags);
  const http = kind === "namespace" ? new Deployment(terms) : new Millrace(terms).http;
  const path = { stream: "/streams", group: `/streams/${encodeURIComponent(stream)}/groups`, namespace: "" }[
    kind as Exclude<Kind, "context" | undefined>
  ];
  const call = { query: { prefix, limit: most }, signal: AbortSignal.timeout(patienceMs) };
  const shape = { [`${kind}s`]: [{ [kind as string]: "" }] };
  const page = await http.jsonOnce<Record<string, readonly Record<string, string>[]>>("GET", path, shape, call);
  return page[`${kind}s`].map((one) => one[kind as string]);
}

/** What yargs prints for fish takes the last whole word for the one that is being written. */
const fishScript = `# Into ~/.config/fish/completions/millrace.fish
complete -f -c millrace -a '(millrace ${flag} millrace (commandline -opc)[2..-1] (commandline -ct))'
`;

/** The words of a command without the shell of `completion <shell>`: yargs goes by SHELL, and that becomes the one that is named. */
export function forShell([command, shell, ...more]: readonly string[]): string[] {
  const words = [command, shell, ...more].filter((word) => word !== undefined);
  if (command !== "completion" || !["bash", "zsh", "fish"].includes(shell)) return words;
  process.env.SHELL = shell;
  return [command, ...more];
}

const helpText = `millrace completion [bash|zsh|fish]

Print a script for the completion of bash, zsh or fish, by default of the shell that SHELL names.
Where it goes stands in its head.
`;

/**
 * What `completion` prints by itself: the script of fish, and help, for which the parser would print its script; undefined:
 * what is asked for is the parser's to do. Throws `Usage`.
 */
export function scriptFor([command, ...more]: readonly string[]): string | undefined {
  if (command !== "completion") return undefined;
  if (more.includes("--help") || more.includes("-h")) return helpText;
  // The parser would print its script first.
  const option = more.find((word) => word.startsWith("-"));
  if (option !== undefined) throw new Usage(`completion prints a script, and takes no option: leave ${option} out`);
  if (more.length > 0) throw new Usage(`completion takes bash, zsh or fish, and nothing else; not '${more[0]}'`);
  return process.env.SHELL?.endsWith("fish") ? fishScript : undefined;
}
