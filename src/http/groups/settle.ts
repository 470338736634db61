/** `…/ack`, `…/nack`, `…/release`, `…/extend`: each receipt goes to its partition. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { ackBody, extendBody, nackBody, releaseBody } from "../../../schemas/group.ts";
import { readReceipt } from "../../delivery/receipt.ts";
import type { Answer } from "../../objects/answer.ts";
import type { Settling } from "../../objects/members.ts";
import type { DeliveryRpc, Refused } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { readJson } from "../parse.ts";
import { json, problem } from "../problem.ts";
import { changed } from "../several.ts";
import type { Names } from "./groups.ts";
import { askDelivery, type GroupRoute, groupRoute } from "./route.ts";

/** A receipt that was not honoured, as it is shown. */
export interface Unsettled {
  readonly receipt: string;
  readonly code: string;
  readonly detail: string;
}

export async function ack(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, ackBody);
  if (!body.ok) return problem(body.refusal);
  return settled(env, names, body.value.receipts, (one, receipts) => one.ack(receipts));
}

export async function nack(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, nackBody);
  if (!body.ok) return problem(body.refusal);
  const { receipts, delayMs, reason } = body.value;
  return settled(env, names, receipts, (one, some) => one.nack(some, delayMs, reason));
}

export async function release(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, releaseBody);
  if (!body.ok) return problem(body.refusal);
  return settled(env, names, body.value.receipts, (one, receipts) => one.release(receipts));
}

export async function extend(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, extendBody);
  if (!body.ok) return problem(body.refusal);
  const { receipts, ackTimeoutMs } = body.value;
  return settled(env, names, receipts, (one, some) => one.extend(some, ackTimeoutMs));
}

/**
 * What a member's message on a socket says of receipts, as `settle` does it; but each receipt is refused by itself. They are of
 * one partition, which is `only`, where the socket is of one.
 */
export async function settleEach(
  env: Env,
  names: Names,
  target: GroupRoute,
  message: Settling,
  only: number | undefined,
): Promise<Unsettled[]> {
  const { receipts } = message;
  const partition = readReceipt(receipts[0])?.partition;
  const foreign = partition === undefined || (only !== undefined && partition !== only);
  const answer = foreign ? noReceipt(receipts[0]) : await settle(env, names, target, receipts, callOf(message));
  if (answer.ok) return answer.value;
  const { code, detail } = answer.refusal;
  const why = (receipt: string) => (code === "invalid" ? `'${receipt}' ${noReceiptOf}` : detail);
  return receipts.map((receipt) => ({ receipt, code, detail: why(receipt) }));
}

function callOf(message: Settling): Settle {
  if (message.type === "ack") return (one, some) => one.ack(some);
  if (message.type === "nack") return (one, some) => one.nack(some, message.delayMs, message.reason);
  if (message.type === "release") return (one, some) => one.release(some);
  return (one, some) => one.extend(some, message.ackTimeoutMs);
}

type Settle = (delivery: DeliveryRpc, receipts: readonly string[]) => Promise<Answer<readonly Refused[]>>;

async function settled(env: Env, names: Names, receipts: readonly string[], call: Settle): Promise<Response> {
  const target = await groupRoute(env, names.namespace, names.stream, names.group);
  if (!target.ok) return problem(target.refusal);
  const refused = await settle(env, names, target.value, receipts, call);
  if (!refused.ok) return problem(refused.refusal);
  const { value } = refused;
  // One receipt is one question, and its refusal is the answer.
  if (receipts.length === 1 && value.length === 1) {
    const [{ code, detail }] = value;
    return problem({ code: code as "stale-lease", detail });
  }
  return json({ settled: receipts.length - value.length, ...(value.length === 0 ? {} : { refused: value }) });
}

/** Sends each receipt to its partition; answers those that were not honoured. Where one is no receipt at all, nothing is done. */
export async function settle(
  env: Env,
  names: Names,
  target: GroupRoute,
  receipts: readonly string[],
  call: Settle,
): Promise<Result<Unsettled[]>> {
  const groups = new Map<number, string[]>();
  let { partitions } = target;
  for (const receipt of receipts) {
    const partition = readReceipt(receipt)?.partition;
    // One that came to be since this Worker looked.
    if (partition !== undefined && partition >= partitions.length && partitions === target.partitions) {
      const fresh = await groupRoute(env, names.namespace, names.stream, names.group, true);
      if (!fresh.ok) return fresh;
      partitions = fresh.value.partitions;
    }
    if (partition === undefined || !partitions.includes(partition)) return noReceipt(receipt);
    if (groups.has(partition)) groups.get(partition)!.push(receipt);
    else groups.set(partition, [receipt]);
  }
  const gone = refuse("group-not-found", "the group was deleted, and its leases with it");
  const answers = await Promise.all(
    [...groups].map(async ([partition, some]) => {
      const answer = (await askDelivery(env, target, partition, (one) => call(one, some))) ?? gone;
      return answer.ok ? ok(unsettled(some, answer.value)) : answer;
    }),
  );
  const all = changed(answers);
  return all.ok ? ok(all.value.flat()) : all;
}

const noReceiptOf = "is no receipt of this group; send it as the delivery has it";

const noReceipt = (text: string) => refuse("invalid", `body: '${text}' ${noReceiptOf}`);

export const unsettled = (receipts: readonly string[], refused: readonly Refused[]): Unsettled[] =>
  refused.map(({ place, refusal }) => ({ receipt: receipts[place], code: refusal.code, detail: refusal.detail }));
