/** Where services are, and who asks: kept in a file. */
import { given, type Yargs } from "./arguments.ts";
import { type Common, checkToken, checkUrl, masked, settled } from "./config.ts";
import { confirm } from "./confirm.ts";
import {
  type Context,
  type Contexts,
  changeContexts,
  contextsPath,
  readContexts,
  setContext,
  variable,
} from "./contexts.ts";
import { answer, print, table, Usage } from "./output.ts";

/** A command with the common options only. */
const noMore = (yargs: Yargs) => yargs;
const fields = ["url", "token", "namespace"] as const;
function changeOf(args: Common): Context {
  if (args.url) checkUrl(args.url, "--url");
  const change = given<Context>(args as never, fields);
  // Every request would fail of it, and name no flag.
  if (change.token !== undefined) checkToken(change.token, "--token");
  return change;
}

export const profileCommands = (yargs: Yargs) =>
  yargs
    .command("set", "Write what is given into the context that holds", noMore, (args) => {
      const { path, dropped } = setContext(args, changeOf(args));
      answer(args.json, { profile: path }, `written to ${path}`);
      if (dropped !== undefined)
        console.error(
          `the token was for ${dropped}, and is dropped: give that of ${args.url} with profile set --token`,
        );
    })
    .command("show", "What holds now, from flags, environment and file", noMore, (args) => {
      const { token, url, namespace, context } = settled(args);
      const path = contextsPath(args.profile);
      const isThere = readContexts(path) !== undefined;
      const shown = { url, namespace, token: masked(token), context, ...(isThere ? { profile: path } : {}) };
      if (args.json) return print(JSON.stringify(shown));
      const lines = Object.entries({ ...shown, context: context ?? "none", profile: isThere ? path : "none" });
      print(lines.map((entry) => entry.join("  ")).join("\n"));
    })
    .demandCommand(1, "say which: set or show");

const name = { type: "string", demandOption: true, describe: "Name of the context." } as const;

export const contextCommands = (yargs: Yargs) =>
  yargs
    .command(["list", "ls"], "List contexts; a star marks the one that holds", noMore, (args) => list(args))
    .command(
      "use <name>",
      "Let one hold from now on",
      (yargs) => yargs.positional("name", name),
      (args) => use(args),
    )
    .command(
      "add <name>",
      "Add one, with --url, --token and --namespace",
      (yargs) =>
        yargs
          .positional("name", name)
          .option("use", { type: "boolean", describe: "Let it hold from now on. The first one does anyway." })
          .example("$0 context add prod --url https://millrace.example.com --token …", ""),
      (args) => add(args),
    )
    .command(
      ["remove <name>", "rm <name>"],
      "Remove one",
      (yargs) => yargs.positional("name", name),
      (args) => remove(args),
    )
    .demandCommand(1, "say which: ls, use, add or rm");

type Named = Common & { name: string };

const kept = (args: Common): Contexts => readContexts(contextsPath(args.profile)) ?? { contexts: {} };

/** Throws `Usage` where a context is not there. */
function mustHave({ contexts }: Contexts, name: string): void {
  if (!Object.hasOwn(contexts, name)) throw new Usage(`there is no context '${name}'; see: millrace context ls`);
}

/** Changes what is there. Nothing is made where there is nothing to be changed. */
function change(args: Named, to: (found: Contexts) => Contexts): void {
  mustHave(kept(args), args.name);
  changeContexts(contextsPath(args.profile), (found) => {
    // Another may have removed it meanwhile.
    mustHave(found, args.name);
    return to(found);
  });
}

function list(args: Common): void {
  const { current, contexts } = kept(args);
  const holds = args.context || variable("MILLRACE_CONTEXT") || current;
  const rows = Object.entries(contexts).map(([name, { url, namespace, token }]) => ({
    name,
    url: url ?? null,
    namespace: namespace ?? "default",
    token: token === undefined ? null : masked(token),
    holds: name === holds,
  }));
  if (args.json) for (const row of rows) print(JSON.stringify(row));
  else if (rows.length === 0) print("no contexts; add one with: millrace context add <name> --url … --token …");
  else {
    const cells = rows.map((row) => [row.holds ? "*" : "", row.name, row.url ?? "-", row.namespace, row.token ?? "-"]);
    print(table(["", "NAME", "URL", "NAMESPACE", "TOKEN"], cells));
  }
}

function use(args: Named): void {
  change(args, (found) => ({ ...found, current: args.name }));
  answer(args.json, { name: args.name, holds: true }, `${args.name} holds from now on`);
}

function add(args: Named & { use?: boolean }): void {
  const { name } = args;
  if (!args.url) throw new Usage("say where the service is with --url");
  const context = changeOf(args);
  let holds = false;
  changeContexts(contextsPath(args.profile), ({ current, contexts }) => {
    if (Object.hasOwn(contexts, name))
      throw new Usage(`there is a context '${name}'; change it with: millrace profile set --context ${name}`);
    holds = args.use || current === undefined;
    return { current: holds ? name : current, contexts: { ...contexts, [name]: context } };
  });
  const next = holds ? "" : `; let it hold with: millrace context use ${name}`;
  answer(args.json, { name, holds }, `added ${name}${next}`);
}

async function remove(args: Named): Promise<void> {
  const { name } = args;
  mustHave(kept(args), name);
  await confirm(args, `the context '${name}' and its token will be removed`);
  let held = false;
  change(args, ({ current, contexts: { [name]: _, ...others } }) => {
    held = current === name;
    return { current: held ? undefined : current, contexts: others };
  });
  answer(args.json, { removed: name, held }, `removed ${name}${held ? "; no context holds now" : ""}`);
}
