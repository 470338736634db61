/** `groups attempts`, `test`, `roll-secret`: what a group sends to its receiver, and what signs it. */
import type { Group } from "../client/index.ts";
import { exits, print, table, Usage } from "./output.ts";
import { changeSecrets, newSecret, secretText } from "./secrets.ts";

interface Attempt {
  readonly partition: number;
  readonly at: string;
  readonly deliveryId: string;
  readonly records: number;
  readonly attempt: number;
  readonly status?: number;
  readonly error?: string;
  readonly durationMs: number;
  readonly answer: string;
}

/** The last requests of a push, the newest last. */
export async function attempts(group: Group, json?: boolean): Promise<void> {
  const attempts: Attempt[] = [];
  for await (const one of group.http.list<Attempt>(`${group.path}/attempts`, "attempts")) attempts.push(one);
  // Times as text, all in UTC and of one length.
  const sorted = attempts.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.partition - b.partition));
  if (json) {
    for (const one of sorted) print(JSON.stringify(one));
    return;
  }
  if (sorted.length === 0) return print("no attempts: nothing was pushed of late");
  const rows = sorted.map((one) => [
    one.at,
    // The group's id is the same in all.
    one.deliveryId.slice(one.deliveryId.indexOf(".") + 1),
    one.records,
    one.attempt,
    Math.round(one.durationMs),
    one.status ?? "-",
    oneLineOf(one.error ?? one.answer),
  ]);
  print(table(["AT", "RECORD", "RECORDS", "ATTEMPT", "MS", "STATUS", "ANSWER"], rows));
}

const oneLineOf = (text: string) => text.replace(/\s+/g, " ").trim();

interface Trial {
  readonly url: string;
  readonly outcome: "done" | "gone" | "busy" | "failed";
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly answer?: string;
  readonly error?: string;
  readonly durationMs: number;
}

/** What a push would make of an answer. */
const outcomes = {
  done: "a record would be acknowledged",
  busy: "the receiver would be left alone for a while",
  gone: "the group would pause",
  failed: "a record's attempt would have failed",
} as const;

/** Sends the receiver an event that is no record, and prints what came back. */
export async function test(group: Group, json?: boolean): Promise<void> {
  const trial = await group.http.json<Trial>(
    "POST",
    `${group.path}/test`,
    { url: "", outcome: "", durationMs: 0 },
    { body: {} },
  );
  if (trial.outcome !== "done") process.exitCode = exits.refused;
  if (json) return print(JSON.stringify(trial));
  const { url, outcome, status, headers = {}, answer = "", error, durationMs } = trial;
  print(`${url}  ${status ?? "no answer"}  ${Math.round(durationMs)} ms: ${error ?? outcomes[outcome]}`);
  for (const [name, value] of Object.entries(headers)) print(`  ${name}: ${value}`);
  if (answer !== "") print(`  ${oneLineOf(answer)}`);
}

export interface RollArgs {
  stream: string;
  group: string;
  finish?: boolean;
  json?: boolean;
}

/**
 * A new secret beside the newest of those before, so that a receiver that knows either goes on meanwhile; with `finish` the
 * newest alone.
 */
export async function rollSecret(group: Group, args: RollArgs): Promise<void> {
  const secret = args.finish ? undefined : newSecret();
  let last: readonly string[] = [];
  const { after: info } = await changeSecrets(group, ({ config: { push } }) => {
    if (!push) throw new Usage(`'${args.group}' pushes to nobody; give it a receiver with groups update --push`);
    last = (push.secrets ?? []).slice(-1);
    if (args.finish && last.length === 0)
      throw new Usage(`'${args.group}' has no secret; make one with groups roll-secret`);
    return { push: { secrets: secret === undefined ? [...last] : [...last, secret] } };
  });
  if (args.json) return print(JSON.stringify(secret === undefined ? info : { ...info, secret }));
  if (secret === undefined) return print(`only ${last[0]} signs now`);
  print(secretText(secret));
  if (last.length > 0)
    print(`${last[0]} signs too, until: millrace groups roll-secret ${args.stream} ${args.group} --finish`);
}
