/** `groups lanes`, `only`: what stands apart, and what goes on alone. */
import type { Call } from "../client/http.ts";
import type { Group } from "../client/index.ts";
import { type Try, tryText } from "./letters.ts";
import { counted, print, table, Usage } from "./output.ts";
import { answerJson, mayBeOurs } from "./repeated.ts";

interface Lane {
  readonly lane: string;
  readonly key?: string;
  readonly offset?: number;
  readonly state: "open" | "retry" | "parked" | "held";
  readonly attempts: number;
  readonly dueAt?: string;
  readonly tries: readonly Try[];
}

/** What a lane does. */
const states = {
  open: "goes on",
  retry: "tries again",
  parked: "parked",
  held: "waits for the partition before",
} as const;

const lanesShape = { lanes: [{ lane: "", state: "", tries: [{}] }] };

const pathOf = ({ path }: Group, what: string) => `${path}/${what}`;

/** Those of a key, or all, with the last failure of each; of a key with all that are known. */
export async function lanes(group: Group, key: string | undefined, json?: boolean): Promise<void> {
  const found: Lane[] = [];
  for await (const lane of group.http.list<Lane>(pathOf(group, "lanes"), "lanes")) {
    if (key !== undefined && lane.key !== key) continue;
    if (json) print(JSON.stringify(lane));
    else found.push(lane);
  }
  if (json) return;
  if (found.length === 0) return print("no lanes: no record that failed is unfinished");
  const rows = found.map((lane) => [
    lane.lane,
    lane.key ?? "-",
    lane.offset ?? "",
    `${states[lane.state]}${lane.dueAt === undefined ? "" : ` at ${lane.dueAt}`}`,
    lane.attempts,
    lane.tries.at(-1)?.reason ?? "",
  ]);
  print(table(["LANE", "KEY", "OFFSET", "STATE", "ATTEMPTS", "LAST FAILURE"], rows));
  if (key !== undefined) for (const { tries } of found) for (const one of tries) print(tryText(one));
}

export interface LaneArgs {
  lane: string;
  offset?: number;
  json?: boolean;
}

/** The order names the record that it is for: sent again after a lost answer, it touches no other. */
export async function orderLane(
  group: Group,
  { lane, offset, json }: LaneArgs,
  order: "resume" | "skip",
): Promise<void> {
  const at = offset ?? (await firstOf(group, lane));
  // Where it is yet to be read which record that is, the order is for whichever is first, and is not sent again.
  const call: Call = at === undefined ? { body: { lane } } : { body: { lane, offset: at }, safe: true };
  const answer = await group.http.json<{ changed: boolean }>(
    "POST",
    pathOf(group, `lanes/${order}`),
    { changed: true },
    call,
  );
  if (json) return print(answerJson(answer, call));
  const record = at === undefined ? "its first record" : `offset ${at}`;
  if (!answer.changed) print(`lane ${lane} does not stand at ${record} any more${mayBeOurs(call)}`);
  else if (order === "resume") print(`lane ${lane} tries ${record} again now`);
  else print(`lane ${lane} goes on: ${record} is a dead letter`);
}

/** The offset of a lane's first record. Of one that is not there the order is refused. */
async function firstOf(group: Group, lane: string): Promise<number | undefined> {
  const [, partition, number] = /^(\d{1,7})\.(\d{1,16})$/.exec(lane) ?? [];
  // What is no lane is refused by the order.
  if (number === undefined || Number(number) === 0) return undefined;
  const query = { partition, after: `${partition}.${Number(number) - 1}`, limit: 1 };
  const [first] = (await group.http.json<{ lanes: Lane[] }>("GET", pathOf(group, "lanes"), lanesShape, { query }))
    .lanes;
  return first?.lane === `${Number(partition)}.${Number(number)}` ? first.offset : undefined;
}

/** Incident mode: these keys alone, or its end. */
export async function only(group: Group, keys: readonly string[], off: boolean, json?: boolean): Promise<void> {
  if (off === keys.length > 0) throw new Usage("say which keys go on alone, or --off, which lets all go on");
  const info = await group.put({ only: off ? null : [...keys] });
  if (json) return print(JSON.stringify(info));
  print(off ? "all keys go on" : `${counted(keys.length, "key")} alone; the others wait, until: --off`);
}
