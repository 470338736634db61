/** `groups dead-letters`, `redrive`, `discard`. */

import type { Call } from "../client/http.ts";
import type { DeadLetters, Group } from "../client/index.ts";
import { encodeText } from "../lib/bytes.ts";
import { confirm } from "./confirm.ts";
import { type Exact, jsonOf, oneLine } from "./exact.ts";
import { counted, paint, print, table, Usage } from "./output.ts";
import { answerJson, isRepeated, mayBeOurs } from "./repeated.ts";

interface Letter extends Exact {
  readonly letter: string;
  readonly state: string;
  readonly reason: string;
  readonly attempts: number;
  readonly diedAt: string;
  readonly tries: readonly Try[];
}

export interface Try {
  readonly attempt: number;
  readonly at: string;
  readonly member: string;
  readonly reason: string;
}

/** Those that are named with everything that is known of them, else a line for each. The group is an exact one. */
export async function deadLetters(group: Group, names: readonly string[] = [], json?: boolean): Promise<void> {
  const letters = names.length === 0 ? listed(group) : named(group, names);
  const rows: (string | number)[][] = [];
  for await (const letter of letters) {
    if (json) print(jsonOf(letter));
    else if (names.length > 0) print(letterText(letter));
    else rows.push([letter.letter, letter.key ?? "-", letter.attempts, letter.diedAt, stateOf(letter), letter.reason]);
  }
  if (json || names.length > 0) return;
  print(rows.length === 0 ? "no dead letters" : table(["LETTER", "KEY", "ATTEMPTS", "DIED", "", "REASON"], rows));
}

const listed = (group: Group) => group.http.list<Letter>(`${group.path}/dead-letters`, "letters");

async function* named(group: Group, names: readonly string[]): AsyncGenerator<Letter, void, undefined> {
  for (const name of names) {
    const [, partition, offset] = /^(\d{1,7})\.(\d{1,16})$/.exec(name) ?? [];
    if (offset === undefined) throw new Usage(`'${name}' is no dead letter: one is partition.offset, as listed`);
    const after = Number(offset) === 0 ? {} : { after: `${partition}.${Number(offset) - 1}` };
    const page: DeadLetters = await group.deadLetters({ partition: Number(partition), limit: 1, ...after });
    const [letter] = page.letters as unknown as Letter[];
    if (letter?.letter !== `${Number(partition)}.${Number(offset)}`) throw new Error(`there is no dead letter ${name}`);
    yield letter;
  }
}

const stateOf = ({ state }: Letter) => (state === "dead" ? "" : state);

function letterText(letter: Letter): string {
  const { letter: name, state, reason, attempts, diedAt, tries, partition: _, data, data_base64, ...record } = letter;
  const died = `died ${diedAt}${state === "dead" ? "" : `, ${state}`}`;
  const fields = Object.entries(record).map(([field, value]) => `  ${field}  ${asText(value)}`);
  const shown = data === undefined ? (data_base64 ?? "") : oneLine(data);
  return [
    `${paint("bold", name)}  ${died}  ${counted(attempts, "attempt")}: ${reason}`,
    ...fields,
    `  data  ${shown}`,
    ...tries.map(tryText),
  ].join("\n");
}

const asText = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** A failed attempt, as a line below what it is of. */
export const tryText = ({ attempt, at, member, reason }: Try): string =>
  `  ${paint("dim", `attempt ${attempt}  ${at}  ${member}`)}  ${reason}`;

export interface LettersArgs {
  group: string;
  letters?: readonly string[];
  all?: boolean;
  json?: boolean;
}

/** Delivers them again, or one with other data. */
export async function redrive(group: Group, args: LettersArgs & { data?: string }): Promise<void> {
  const call = args.data === undefined ? { body: bodyOf(chosen(args)) } : withData(args, args.data);
  await order(group, "redrive", call, args);
}

function withData({ letters = [], all }: LettersArgs, data: string): Call {
  if (all || letters.length !== 1) throw new Usage("--data is for one letter: name it");
  try {
    JSON.parse(data);
  } catch (error) {
    throw new Usage(`--data: not JSON: ${(error as Error).message}; a text stands in quotes`);
  }
  const body = encodeText(`{"letter":${JSON.stringify(letters[0])},"data":${data}}`);
  return { body, headers: { "content-type": "application/json" } };
}

/** Forgets them. */
export async function discard(group: Group, args: LettersArgs & { yes?: boolean }): Promise<void> {
  const which = chosen(args);
  if (which === "all") await confirm(args, `all dead letters of '${args.group}' will be forgotten`);
  await order(group, "discard", { body: bodyOf(which) }, args);
}

const bodyOf = (which: ReturnType<typeof chosen>) => (which === "all" ? { all: true } : { letters: which });
const past = { redrive: ["redriven", "delivered again"], discard: ["discarded", "forgotten"] } as const;

/** Those that are named are done, whichever request did it: the first one's answer may have been lost. */
async function order(group: Group, what: keyof typeof past, given: Call, args: LettersArgs): Promise<void> {
  const call: Call = { ...given, safe: true };
  const answer = await group.http.json<Record<string, number>>(
    "POST",
    `${group.path}/dead-letters/${what}`,
    { [past[what][0]]: 0 },
    call,
  );
  if (args.json) return print(answerJson(answer, call));
  const [name, then] = past[what];
  const named = new Set(args.letters).size;
  const count = named || answer[name];
  // Of all, what the first one did is not counted.
  const isPart = named === 0 && isRepeated(call);
  if (count === 0) print(`no dead letters are left to be ${then}${mayBeOurs(call)}`);
  else
    print(`${counted(count, "dead letter")} ${then}${isPart ? ", and maybe others: the first answer was lost" : ""}`);
}

function chosen({ letters = [], all }: LettersArgs): "all" | readonly string[] {
  if (all && letters.length > 0) throw new Usage("say which letters, or --all, and not both");
  if (all) return "all";
  if (letters.length === 0) throw new Usage("say which letters, or --all");
  return letters;
}
