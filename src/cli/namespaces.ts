/** `namespaces …`. */
import { Millrace, MillraceError } from "../client/index.ts";
import type { Yargs } from "./arguments.ts";
import { type Common, haste, settle } from "./config.ts";
import { confirm } from "./confirm.ts";
import { connectDeployment } from "./deployment.ts";
import { answer, counted, print, table } from "./output.ts";

interface Info {
  readonly namespace: string;
  readonly createdAt: string;
}
type Named = Common & { name: string };

const name = { type: "string", demandOption: true, describe: "Name of the namespace." } as const;

export const namespaceCommands = (yargs: Yargs) =>
  yargs
    .command(
      ["list", "ls"],
      "List namespaces",
      (yargs) => yargs,
      (args) => list(args),
    )
    .command(
      "create <name>",
      "Make a namespace",
      (yargs) =>
        yargs
          .positional("name", name)
          .option("if-not-exists", { type: "boolean", describe: "One that is there is as good." }),
      (args) => create(args),
    )
    .command(
      ["delete <name>", "rm <name>"],
      "Delete a namespace",
      (yargs) =>
        yargs.positional("name", name).option("force", { type: "boolean", describe: "Delete its streams too." }),
      (args) => remove(args),
    )
    .demandCommand(1, "say which: ls, create or rm");

const namespaceOf = (args: Named) => new Millrace({ ...settle(args), namespace: args.name, retry: haste });

async function list(args: Common): Promise<void> {
  const rows: string[][] = [];
  for await (const info of connectDeployment(args).list<Info>("", "namespaces")) {
    if (args.json) print(JSON.stringify(info));
    else rows.push([info.namespace, info.namespace === "default" ? "always there" : info.createdAt]);
  }
  if (!args.json) print(table(["NAMESPACE", "CREATED"], rows));
}

async function create(args: Named & { ifNotExists?: boolean }): Promise<void> {
  const { http } = namespaceOf(args);
  const before = await found(http);
  if (before !== undefined && !args.ifNotExists) throw new Error(`the namespace '${args.name}' exists`);
  const isNew = before === undefined;
  const info = before ?? (await http.json<Info>("PUT", "", { namespace: "" }));
  print(args.json ? JSON.stringify(info) : `${isNew ? "created" : "there is"} ${info.namespace}`);
}

/** Undefined where there is none. */
async function found(http: Millrace["http"]): Promise<Info | undefined> {
  try {
    return await http.json<Info>("GET", "", { namespace: "" });
  } catch (error) {
    if (error instanceof MillraceError && error.code === "namespace-not-found") return undefined;
    throw error;
  }
}

async function remove(args: Named & { force?: boolean }): Promise<void> {
  const { http } = namespaceOf(args);
  await http.json("GET", "", { namespace: "" });
  await confirm(
    args,
    `the namespace '${args.name}'${args.force ? " and all its streams" : ""} will be deleted for good`,
  );
  try {
    await http.gone("", "namespace-not-found", { query: { force: args.force } });
  } catch (error) {
    const count = error instanceof MillraceError && error.code === "conflict" ? error.facts.streams : undefined;
    if (typeof count !== "number") throw error;
    throw new Error(
      `the namespace '${args.name}' has ${counted(count, "stream")}; delete ${count === 1 ? "it" : "them"} first, or all of it with --force`,
    );
  }
  answer(args.json, { deleted: args.name }, `deleted ${args.name}`);
}
