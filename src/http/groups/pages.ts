/** Pages of what each partition of a group has a list of: by partition, and by number in it. */
import type { z } from "zod";
import { JsonWriter } from "../../log/json.ts";
import type { Answer } from "../../objects/answer.ts";
import type { DeliveryRpc } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { query } from "../parse.ts";
import { problem } from "../problem.ts";
import { countedBody, type Later } from "../sending.ts";
import type { Names } from "./groups.ts";
import { askDelivery, groupRoute, noPartition } from "./route.ts";

/** What a page has, in bytes, about: the last item may go beyond. */
const pageBytes = 1_048_576;

/** What a page has room for yet. Asked for no items, a partition says whether it has any. */
export interface Room {
  readonly items: number;
  readonly bytes: number;
}

/**
 * What a partition answers: items behind the number, in order, and whether it has more; or whatever it has, as a list that is short
 * by itself, and as an object of a version that knew no pages.
 */
type Portion<N extends string, T> =
  | ({ readonly [name in N]: readonly T[] } & { readonly more: boolean })
  | readonly T[];

/** What is listed, under its name. */
export interface List<N extends string, T> {
  readonly name: N;
  readonly query: z.ZodType<{ partition?: number | undefined; after?: string | undefined; limit: number }>;
  /** Those of a partition behind a number. */
  ask(one: DeliveryRpc, behind: number, room: Room): Promise<Answer<Portion<N, T>>>;
  numberOf(item: T): number;
  show(writer: JsonWriter, item: T, partition: number): void;
}

/** `partition.number`. */
export function idOf(text: string): { partition: number; number: number } {
  const [partition, number] = text.split(".").map(Number);
  return { partition, number };
}

/** The page that a request asks for: it ends where it is full, in items or in bytes. */
export async function listPage<N extends string, T>(
  request: Request,
  env: Env,
  names: Names,
  later: Later,
  list: List<N, T>,
): Promise<Response> {
  const terms = query(list.query, new URL(request.url));
  if (!terms.ok) return problem(terms.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group, true);
  if (!target.ok) return problem(target.refusal);
  const { partition: only, after, limit } = terms.value;
  const { partitions } = target.value;
  if (only !== undefined && !partitions.includes(only)) return problem(noPartition(only).refusal);
  const from = after === undefined ? { partition: 0, number: -1 } : idOf(after);
  const writer = new JsonWriter().text(`{"${list.name}":[`);
  let last: string | undefined;
  let [items, more] = [0, false];
  for (const partition of only === undefined ? partitions.filter((one) => one >= from.partition) : [only]) {
    if (more) break;
    const behind = partition === from.partition ? from.number : -1;
    const bytes = pageBytes - writer.length;
    const room = { items: bytes > 0 ? limit - items : 0, bytes };
    const some = await askDelivery(env, target.value, partition, (one) => list.ask(one, behind, room));
    if (some?.ok === false) return problem(some.refusal);
    const answer = some?.value ?? [];
    const found = isWhole(answer) ? behindOf(list, answer, behind) : answer[list.name];
    more = !isWhole(answer) && answer.more;
    for (const item of found) {
      if (items === limit || (items > 0 && writer.length >= pageBytes)) {
        more = true;
        break;
      }
      if (items++ > 0) writer.text(",");
      list.show(writer, item, partition);
      last = `${partition}.${list.numberOf(item)}`;
    }
  }
  writer.text(more && last !== undefined ? `],"after":"${last}"}\n` : "]}\n");
  return new Response(countedBody(writer.take(), later), { headers: { "content-type": "application/json" } });
}

const isWhole = <N extends string, T>(answer: Portion<N, T>): answer is readonly T[] => Array.isArray(answer);

const behindOf = <T>({ numberOf }: List<string, T>, all: readonly T[], number: number): T[] =>
  all.filter((one) => numberOf(one) > number).sort((a, b) => numberOf(a) - numberOf(b));
