/** `groups create`, `update`, `show`: what a group is. */
import type { Group, GroupConfig, GroupInfo } from "../client/index.ts";
import { refuseBoth } from "./arguments.ts";
import { make, patch } from "./definitions.ts";
import { paint, print, table, Usage } from "./output.ts";
import { changeSecrets, newSecret, secretText } from "./secrets.ts";
import { shownDuration } from "./units.ts";

export const header = ["GROUP", "ORDER", "ON FAILURE", "DELIVERIES", "BACKOFF", "PUSH", ""];

export const row = ({ group, config, paused }: GroupInfo) => [
  group,
  config.order ?? "",
  config.onFailure ?? "",
  blocks(config) ? "any" : (config.maxDeliveries ?? ""),
  backoffText(config.backoff),
  config.push?.url ?? "-",
  paused ? "paused" : "",
];

/** One that blocks goes on trying, whatever the number. */
const blocks = ({ onFailure }: GroupConfig) => onFailure === "block";

/** `1s, 5s, 1m`, or `1s, x2 up to 5m`. */
function backoffText(backoff: GroupConfig["backoff"]): string {
  if (backoff === undefined) return "";
  if (Array.isArray(backoff)) return backoff.map(shownDuration).join(", ");
  const { initialMs, factor = 2, maxMs } = backoff;
  return `${shownDuration(initialMs)}, x${factor} up to ${shownDuration(maxMs)}`;
}

export const showRow = (info: GroupInfo, json?: boolean) =>
  print(json ? JSON.stringify(info) : table(header, [row(info)]));

/** Everything, with durations as people write them. */
export async function show(group: Group, json?: boolean): Promise<void> {
  const info = await group.info();
  if (json) return print(JSON.stringify(info));
  const { pausedBecause: because } = info;
  const pause = because === undefined ? [] : [`  paused  ${because.reason} (since ${because.at})`];
  const besides = { maxDeliveries: blocks(info.config) ? " (any number, as it blocks)" : "" };
  const fields = Object.entries(info.config).map(
    ([name, value]) => `  ${name}  ${shownValue(name, value)}${besides[name as keyof typeof besides] ?? ""}`,
  );
  const head = `${paint("bold", info.group)}  id ${info.groupId}  created ${info.createdAt}  updated ${info.updatedAt}`;
  print([head, ...pause, ...fields].join("\n"));
}

/** A field of the configuration: in ms as a duration, and an object by its members. */
function shownValue(name: string, value: unknown): string {
  if (value === undefined || value === null) return "none";
  if (name === "backoff") return backoffText(value as GroupConfig["backoff"]);
  if (typeof value === "number" && name.endsWith("Ms")) return shownDuration(value);
  if (Array.isArray(value) || typeof value !== "object")
    return typeof value === "string" ? value : JSON.stringify(value);
  return Object.entries(value)
    .map(([name, value]) => `${name} ${shownValue(name, value)}`)
    .join(", ");
}

export interface PutArgs {
  group: string;
  push?: string;
  secret?: readonly string[];
  generateSecret?: boolean;
  json?: boolean;
}

/** Makes a group that is not there yet; with `ifNotExists` one that is there stays as it is. */
export async function create(
  group: Group,
  config: GroupConfig,
  args: PutArgs & { ifNotExists?: boolean },
): Promise<void> {
  const { push, secret } = pushOf(undefined, config, args);
  const info = await make<GroupInfo>(group, { ...config, ...push });
  if (info !== undefined) return tell(info, secret, args.json);
  if (args.ifNotExists) return showRow(await group.info(), args.json);
  throw new Error(`the group '${args.group}' exists: change it with groups update, or say --if-not-exists`);
}

/** Changes what is named of a group that is there, and prints that, old and new. */
export async function update(group: Group, config: GroupConfig, args: PutArgs): Promise<void> {
  let secret: string | undefined;
  const changeOf = (before: GroupInfo) => {
    const named = pushOf(before.config.push ?? undefined, config, args);
    secret = named.secret;
    return { ...config, ...named.push };
  };
  const plain = async () => {
    const before = await group.info();
    return { before, after: await patch<GroupInfo>(group, changeOf(before)) };
  };
  const { before, after } = await (args.generateSecret ? changeSecrets(group, changeOf) : plain());
  if (args.json) return tell(after, secret, true);
  const changed = Object.entries(after.config).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(before.config[name as keyof GroupConfig]),
  );
  const line = ([name, value]: [string, unknown]) =>
    `  ${name}  ${shownValue(name, before.config[name as keyof GroupConfig])} -> ${shownValue(name, value)}`;
  print(changed.length === 0 ? `${args.group} is as it was` : [args.group, ...changed.map(line)].join("\n"));
  tellSecret(secret);
}

/**
 * What is named of `push`; the rest of it stays. A secret that is made stands beside those that are there, so that the receiver
 * can be changed meanwhile: what is shown of them stands for them. Those that are given replace them.
 */
function pushOf(
  before: GroupConfig["push"] | undefined,
  config: GroupConfig,
  { push: url, secret: given, generateSecret }: PutArgs,
): { push: { push?: Partial<GroupConfig["push"]> }; secret: string | undefined } {
  if (url === undefined && given === undefined && !generateSecret) return { push: {}, secret: undefined };
  if (given !== undefined && generateSecret) throw new Usage("say --secret or --generate-secret, and not both");
  refuseBoth(config.push ?? {}, { url, secrets: given }, "push.");
  const named = { ...config.push, ...(url === undefined ? {} : { url }) };
  if ((named.url ?? before?.url) === undefined) throw new Usage("a secret is for a push: say --push <url>");
  const secret = generateSecret ? newSecret() : undefined;
  const secrets = secret === undefined ? given : [...(named.secrets ?? before?.secrets ?? []), secret];
  return { push: { push: { ...named, ...(secrets && { secrets: [...secrets] }) } }, secret };
}

function tell(info: GroupInfo, secret: string | undefined, json: boolean | undefined): void {
  if (json) print(JSON.stringify(secret === undefined ? info : { ...info, secret }));
  else {
    showRow(info);
    tellSecret(secret);
  }
}

function tellSecret(secret: string | undefined): void {
  if (secret !== undefined) print(secretText(secret));
}
