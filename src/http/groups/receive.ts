/**
 * `…/receive`. What is there is answered at once. Where there is nothing it is waited for; and when something has come, the
 * answer is begun before any lease is taken: a member that has gone meanwhile gets none.
 */
import { ok, type Result } from "../../../schemas/errors.ts";
import { receiveBody } from "../../../schemas/group.ts";
import { readReceipt } from "../../delivery/receipt.ts";
import { DeliveryWriter } from "../../delivery/show.ts";
import { encodeText } from "../../lib/bytes.ts";
import { JsonWriter } from "../../log/json.ts";
import type { Leases } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { readJson } from "../parse.ts";
import { problem } from "../problem.ts";
import { countedBody } from "../sending.ts";
import { partly } from "../several.ts";
import { counted } from "../untaken.ts";
import type { Names } from "./groups.ts";
import { Presence } from "./presence.ts";
import { Receiving } from "./receiving.ts";
import { groupRoute, noPartition } from "./route.ts";
import { settle, type Unsettled, unsettled } from "./settle.ts";

/**
 * After something was written to it, that a connection is broken is known when events have been gathered twice: a timer of
 * the first time goes before it. One wait found a third of them, two found all of 2 000, on a loaded machine too.
 */
const gatherings = 2;
/** An answer that took longer may be one that nobody waits for. */
const promptMs = 250;

/** What one receive has come to. */
interface Got {
  readonly leases: readonly Leases[];
  readonly refused: readonly Unsettled[];
  /** There is something to be had now. */
  readonly ready: boolean;
}

export async function receive(
  request: Request,
  env: Env,
  names: Names,
  later: (work: Promise<unknown>) => void,
  until: number | undefined,
): Promise<Response> {
  const started = Date.now();
  const presence = new Presence(request);
  const body = await readJson(request, receiveBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group);
  if (!target.ok) return problem(target.refusal);
  const only = body.value.partition;
  if (only !== undefined && !target.value.partitions.includes(only)) return problem(noPartition(only).refusal);
  const receiving = new Receiving(env, names, target.value, body.value, presence, until);
  const got = await begin(receiving);
  if (!got.ok) {
    receiving.untaken.end();
    return problem(got.refusal);
  }
  const { id: groupId } = target.value.group;
  const { leases, refused, ready } = got.value;
  const late = leases.length > 0 && Date.now() - started > promptMs;
  // A lease that nobody took runs out; what is lost would be told to nobody.
  const once = leases.some(({ lost }) => lost.length > 0);
  if (ready || late || once) return handOver(receiving, got.value, groupId, later);
  receiving.untaken.end();
  return new Response(countedBody(shown(leases, refused, groupId), later), { headers });
}

const headers = { "content-type": "application/json", "cache-control": "no-store" };

/** Acks, and takes what there is; where there is nothing, waits until there is. */
async function begin(receiving: Receiving): Promise<Result<Got>> {
  const { body, target, env, names, partitions } = receiving;
  const [only] = partitions;
  // Acks of one partition go with the question, in one call.
  const together = partitions.length === 1 && body.ack.every((text) => readReceipt(text)?.partition === only);
  const settled = together ? ok([]) : await settle(env, names, target, body.ack, (one, receipts) => one.ack(receipts));
  if (!settled.ok) return settled;
  const got = await take(receiving, only, together ? body.ack : [], settled.value);
  return got.ok || together || body.ack.length === 0 ? got : { ok: false, refusal: partly(got.refusal) };
}

/** `acks`: what is acked in the same call; `refused`: of those that were acked before. */
async function take(
  receiving: Receiving,
  only: number,
  acks: readonly string[],
  before: readonly Unsettled[],
): Promise<Result<Got>> {
  const { body, partitions } = receiving;
  let refused = before;
  if (partitions.length === 1) {
    const { leftMs } = receiving;
    const answer = await receiving.ask(only, body.max, receiving.bytesMax(leftMs > 0), leftMs, acks);
    if (answer !== undefined && !answer.ok) return answer;
    if (answer !== undefined) {
      refused = [...refused, ...unsettled(acks, answer.value.refused)];
      const { ends, lost, ready } = answer.value;
      if (ends.length > 0 || lost.length > 0) return ok({ leases: [answer.value], refused, ready: false });
      if (ready) return ok({ leases: [], refused, ready: true });
      // There is more of the stream by now than one partition: it is waited for there.
    } else {
      const there = await receiving.absent();
      if (!there.ok) return there;
    }
  } else {
    const taken = await receiving.take();
    if (!taken.ok) return taken;
    if (taken.value.length > 0) return ok({ leases: taken.value, refused, ready: false });
  }
  if (receiving.leftMs === 0) return ok({ leases: [], refused, ready: false });
  const waited = await receiving.wait();
  return waited.ok ? ok({ leases: [], refused, ready: waited.value }) : waited;
}

/** An answer that goes out while it is found out whether anybody takes it. */
function handOver(
  receiving: Receiving,
  { leases, refused }: Got,
  groupId: string,
  later: (work: Promise<unknown>) => void,
): Response {
  const { presence, untaken } = receiving;
  presence.attend();
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  writer.closed.catch(() => presence.leave());
  const write = (text: Uint8Array) => writer.write(text).catch(() => presence.leave());
  const hand = async () => {
    let taken: readonly Leases[] = leases;
    while (!presence.gone) {
      // White space, which JSON has room for.
      await write(encodeText(" "));
      for (let count = 0; count < gatherings; count++) await scheduler.wait(1);
      if (presence.gone) break;
      const more = taken.length > 0 ? ok(taken) : await receiving.take();
      taken = more.ok ? more.value : [];
      if (presence.gone || taken.length > 0 || !more.ok || receiving.leftMs === 0) break;
      const waited = await receiving.wait();
      if (!waited.ok || !waited.value) break;
    }
    if (!presence.gone) {
      const bytes = shown(taken, refused, groupId);
      untaken.holds(counted(bytes.length));
      await write(bytes);
    }
    untaken.end();
    if (presence.gone) await receiving.release(taken);
    else await writer.close().catch(() => {});
  };
  later(hand());
  return new Response(readable, { headers });
}

function shown(leases: readonly Leases[], refused: readonly Unsettled[], groupId: string): Uint8Array {
  const writer = new JsonWriter();
  writer.text('{"deliveries":[');
  const lost: object[] = [];
  let first = true;
  for (const lease of leases) {
    const { partition, era, bytes, ends } = lease;
    const deliveries = new DeliveryWriter({ groupId, partition, era });
    for (const one of lease.lost) lost.push({ partition, ...one });
    for (let index = 0, from = 0; index < ends.length; from = ends[index++]) {
      if (!first) writer.text(",");
      first = false;
      const [offset, timestamp] = [lease.offsets[index], lease.timestamps[index]];
      const item = { bytes, from, to: ends[index], offset, timestamp, checked: lease.checked[index] === 1 };
      deliveries.delivery(writer, item, lease.generations[index], lease.tags[index], lease.attempts[index]);
    }
  }
  writer.text("]");
  if (refused.length > 0) writer.text(`,"refused":${JSON.stringify(refused)}`);
  if (lost.length > 0) writer.text(`,"lost":${JSON.stringify(lost)}`);
  writer.text("}\n");
  return writer.take();
}
