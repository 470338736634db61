/** Pulling: `…/receive`, `…/ack`, `…/nack`, `…/extend`. */
import { ok, type Result, refuse } from "../../../schemas/errors.ts";
import { ackBody, extendBody, nackBody, type ReceiveBody, receiveBody } from "../../../schemas/group.ts";
import { readReceipt, writeReceipt } from "../../delivery/receipt.ts";
import { showDelivery } from "../../delivery/show.ts";
import { JsonWriter } from "../../log/json.ts";
import type { Answer } from "../../objects/answer.ts";
import type { DeliveryRpc, Leases, Refused } from "../../objects/rpc.ts";
import type { Env } from "../../objects/stubs.ts";
import { readJson } from "../parse.ts";
import { json, problem } from "../problem.ts";
import type { Names } from "./groups.ts";
import { askDelivery, type GroupRoute, groupRoute, noPartition, openPartition } from "./route.ts";

/** Several partitions are waited for in slices: those that are not answered are left waiting, which must not last. */
const sliceMs = 2_000;
const emptyPauseMs = 200;

/** A receipt that was not honoured, as it is shown. */
interface Shown {
  readonly receipt: string;
  readonly code: string;
  readonly detail: string;
}

export async function receive(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, receiveBody);
  if (!body.ok) return problem(body.refusal);
  const target = await groupRoute(env, names.namespace, names.stream, names.group);
  if (!target.ok) return problem(target.refusal);
  const only = body.value.partition;
  if (only !== undefined && !target.value.partitions.includes(only)) return problem(noPartition(only).refusal);
  const got = await new Receiving(env, names, target.value, body.value).run();
  return got.ok ? shown(got.value, target.value.group.id) : problem(got.refusal);
}

interface Got {
  readonly leases: readonly Leases[];
  readonly refused: readonly Shown[];
}

class Receiving {
  readonly #until: number;
  #opened = false;
  /** Partitions that were split, and are finished. */
  readonly #over = new Set<number>();

  constructor(
    readonly env: Env,
    readonly names: Names,
    public target: GroupRoute,
    readonly body: ReceiveBody,
  ) {
    this.#until = Date.now() + body.waitSeconds * 1_000;
  }

  async run(): Promise<Result<Got>> {
    const [only, ...others] = this.#partitions();
    if (others.length === 0) {
      const rubbish = this.body.ack.find(
        (text) => !this.target.partitions.includes(readReceipt(text)?.partition ?? -1),
      );
      if (rubbish !== undefined) return noReceipt(rubbish);
      const got = await this.#one(only);
      if (!got.ok || got.value.leases.some(({ ends }) => ends.length > 0) || Date.now() >= this.#until) return got;
      // There is more of the stream by now than one partition: it is waited for there.
      if (this.body.partition !== undefined || this.target.partitions.length === 1) return got;
      return this.#several(got.value.refused);
    }
    const refused = await settle(this.env, this.target, this.body.ack, (one, receipts) => one.ack(receipts));
    return refused.ok ? this.#several(refused.value) : refused;
  }

  async #several(refused: readonly Shown[]): Promise<Result<Got>> {
    for (;;) {
      const leases = await this.#round(this.#partitions());
      if (!leases.ok) return leases;
      if (leases.value.length > 0 || Date.now() >= this.#until) return ok({ leases: leases.value, refused });
      const waited = await this.#wait();
      if (!waited.ok) return waited;
    }
  }

  /** A partition is finished. If this Worker thinks that it takes appends, the map is a newer one. */
  async #noteOver({ over, partition }: Leases): Promise<void> {
    if (over) this.#over.add(partition);
    if (!over || this.target.route.stream.map[partition].sealed) return;
    const { namespace, stream, group } = this.names;
    const fresh = await groupRoute(this.env, namespace, stream, group, true);
    if (fresh.ok) this.target = fresh.value;
  }

  #partitions(): readonly number[] {
    if (this.body.partition !== undefined) return [this.body.partition];
    const { partitions } = this.target;
    return this.#over.size === 0 ? partitions : partitions.filter((one) => !this.#over.has(one));
  }

  /** One partition: acks and receives in one call. */
  async #one(partition: number): Promise<Result<Got>> {
    for (;;) {
      const waitMs = Math.max(0, this.#until - Date.now());
      const answer = await this.#ask(partition, this.body.max, this.body.maxBytes, waitMs, this.body.ack);
      if (answer !== undefined) {
        if (!answer.ok) return answer;
        await this.#noteOver(answer.value);
        return ok({ leases: [answer.value], refused: shownRefused(this.body.ack, answer.value.refused) });
      }
      if (Date.now() >= this.#until) return ok({ leases: [], refused: [] });
      const again = await this.#notThere();
      if (!again.ok) return again;
    }
  }

  /** Once around the partitions, from one that chance picks, until there is enough. */
  async #round(partitions: readonly number[]): Promise<Result<Leases[]>> {
    const leases: Leases[] = [];
    let [left, bytesLeft] = [this.body.max, this.body.maxBytes];
    const first = Math.floor(Math.random() * partitions.length);
    let there = 0;
    for (let index = 0; index < partitions.length && left > 0 && bytesLeft > 0; index++) {
      const partition = partitions[(first + index) % partitions.length];
      const answer = await this.#ask(partition, left, bytesLeft, 0, []);
      if (answer === undefined) continue;
      there++;
      // What is leased already goes out; the others will be asked by the next receive.
      if (!answer.ok) return leases.length > 0 ? ok(leases) : answer;
      await this.#noteOver(answer.value);
      if (answer.value.ends.length > 0 || answer.value.lost.length > 0) leases.push(answer.value);
      left -= answer.value.ends.length;
      bytesLeft -= answer.value.bytes.length;
    }
    if (there > 0 || leases.length > 0) return ok(leases);
    const again = await this.#notThere();
    return again.ok ? ok(leases) : again;
  }

  async #ask(partition: number, max: number, bytesMax: number, waitMs: number, ack: readonly string[]) {
    const { member } = this.body;
    return askDelivery(this.env, this.target, partition, (one) => one.receive({ max, bytesMax, waitMs, member, ack }));
  }

  /** Nobody there: the group is not the one that it was, or the stream holds nothing yet. */
  async #notThere(): Promise<Result<undefined>> {
    const { namespace, stream, group } = this.names;
    const fresh = await groupRoute(this.env, namespace, stream, group, true);
    if (!fresh.ok) return fresh;
    this.target = fresh.value;
    const left = this.#until - Date.now();
    if (left <= 0) return ok(undefined);
    // Somebody waits for what is to come: it will come to a partition that is there.
    const opened = await Promise.all(this.#partitions().map((one) => openPartition(this.env, this.target, one)));
    const refused = opened.find((one) => !one.ok);
    if (refused !== undefined) return refused;
    if (this.#opened) await scheduler.wait(Math.min(left, emptyPauseMs));
    this.#opened = true;
    return ok(undefined);
  }

  /** Until some partition has something. Nothing is leased meanwhile: what nobody fetches would be lost for a time. */
  async #wait(): Promise<Result<undefined>> {
    const waitMs = Math.min(sliceMs, Math.max(0, this.#until - Date.now()));
    const asked = this.#partitions().map(async (partition) => {
      const answer = await askDelivery(this.env, this.target, partition, (one) => one.ready(waitMs));
      if (answer === undefined) {
        const opened = await openPartition(this.env, this.target, partition);
        if (!opened.ok) return opened;
        await scheduler.wait(emptyPauseMs);
      }
      return answer;
    });
    // Where all are finished, and the newer map is yet to be had.
    if (asked.length === 0) await scheduler.wait(emptyPauseMs);
    const first = asked.length === 0 ? undefined : await Promise.race(asked);
    return first === undefined || first.ok ? ok(undefined) : first;
  }
}

function shown({ leases, refused }: Got, groupId: string): Response {
  const writer = new JsonWriter();
  writer.text('{"deliveries":[');
  const lost: object[] = [];
  let first = true;
  for (const lease of leases) {
    const { partition, era, bytes, ends } = lease;
    for (const one of lease.lost) lost.push({ partition, ...one });
    for (let index = 0, from = 0; index < ends.length; from = ends[index++]) {
      if (!first) writer.text(",");
      first = false;
      const [offset, timestamp] = [lease.offsets[index], lease.timestamps[index]];
      const item = { bytes, from, to: ends[index], offset, timestamp, checked: lease.checked[index] === 1 };
      const receipt = writeReceipt(partition, offset, era, lease.generations[index]);
      showDelivery(writer, item, { groupId, partition }, receipt, lease.attempts[index]);
    }
  }
  writer.text("]");
  if (refused.length > 0) writer.text(`,"refused":${JSON.stringify(refused)}`);
  if (lost.length > 0) writer.text(`,"lost":${JSON.stringify(lost)}`);
  writer.text("}\n");
  return new Response(writer.take(), { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}

const shownRefused = (receipts: readonly string[], refused: readonly Refused[]): Shown[] =>
  refused.map(({ place, refusal }) => ({ receipt: receipts[place], code: refusal.code, detail: refusal.detail }));

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

export async function extend(request: Request, env: Env, names: Names): Promise<Response> {
  const body = await readJson(request, extendBody);
  if (!body.ok) return problem(body.refusal);
  const { receipts, ackTimeoutMs } = body.value;
  return settled(env, names, receipts, (one, some) => one.extend(some, ackTimeoutMs));
}

type Settle = (delivery: DeliveryRpc, receipts: readonly string[]) => Promise<Answer<readonly Refused[]>>;

async function settled(env: Env, names: Names, receipts: readonly string[], call: Settle): Promise<Response> {
  const target = await groupRoute(env, names.namespace, names.stream, names.group);
  if (!target.ok) return problem(target.refusal);
  const refused = await settle(env, target.value, receipts, call);
  if (!refused.ok) return problem(refused.refusal);
  const { value } = refused;
  // One receipt is one question, and its refusal is the answer.
  if (receipts.length === 1 && value.length === 1) {
    const [{ code, detail }] = value;
    return problem({ code: code as "stale-lease", detail });
  }
  return json({ settled: receipts.length - value.length, ...(value.length === 0 ? {} : { refused: value }) });
}

const noReceipt = (text: string) =>
  refuse("invalid", `body: '${text}' is no receipt of this group; send it as the delivery has it`);

/** Sends each receipt to its partition. */
async function settle(
  env: Env,
  target: GroupRoute,
  receipts: readonly string[],
  call: Settle,
): Promise<Result<Shown[]>> {
  const groups = new Map<number, string[]>();
  for (const receipt of receipts) {
    const partition = readReceipt(receipt)?.partition;
    if (partition === undefined || !target.partitions.includes(partition)) {
      return noReceipt(receipt);
    }
    const group = groups.get(partition);
    if (group === undefined) groups.set(partition, [receipt]);
    else group.push(receipt);
  }
  const refused: Shown[] = [];
  const answers = await Promise.all(
    [...groups].map(async ([partition, some]) => ({
      some,
      answer: await askDelivery(env, target, partition, (one) => call(one, some)),
    })),
  );
  for (const { some, answer } of answers) {
    if (answer === undefined) {
      return refuse("group-not-found", "the group was deleted, and its leases with it");
    }
    if (!answer.ok) return answer;
    refused.push(...shownRefused(some, answer.value));
  }
  return ok(refused);
}
